"""Real servers for the tests: a Valkey from its wheel, a PostgreSQL where its programs are installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError

from web.valkey import command

T = TypeVar("T")


def until(probe: Callable[[], T], seconds: float = 10.0, what: str = "a condition") -> T:
    """The first true answer of `probe`, asked again and again; fails the test when time is up."""
    end = time.monotonic() + seconds
    while True:
        if answer := probe():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def valkey(folder: Path | None = None) -> Iterator[str]:
    """A Valkey set up as `make run` sets it up, and its URL."""
    # A short path of its own: a unix socket's may have 107 characters at most.
    place = folder or Path(tempfile.mkdtemp(prefix="oc"))
    sock = place / "s"
    server = subprocess.Popen(command(place, sock), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Redis(unix_socket_path=str(sock)) as client:
            until(lambda: _answers(client), what="Valkey")
        yield f"unix://{sock}"
    finally:
        server.kill()
        server.wait()
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def postgres_programs() -> Path | None:
    """Where initdb and postgres are, if they are."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextmanager
def postgres(programs: Path, *, fsync: bool = False) -> Iterator[str]:
    """A PostgreSQL on a free port with an empty database, and its URL; as another user when we are root."""
    user = None
    if os.getuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = "postgres" if "postgres" in names else "nobody"
    place = Path(tempfile.mkdtemp(prefix="ocpg"))
    if user:
        shutil.chown(place, user)
    data, port = place / "data", free_port()

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [programs / program, *arguments],
            check=True,
            user=user,
            cwd=place,
            capture_output=True,
            env={"LANG": "C.UTF-8"},
        )

    run("initdb", "-D", str(data), "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = (
        f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync={'on' if fsync else 'off'} -c max_connections=200"
    )
    run("pg_ctl", "-D", str(data), "-o", options, "-l", str(place / "log"), "-w", "start")
    try:
        yield f"postgresql://shop@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(place, ignore_errors=True)
