"""The shop's own Valkey: one server for a data folder, whoever else is started on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.servers import until
from web.settings import ROOT

pytestmark = pytest.mark.real


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path of its own: a unix socket's may have 107 characters at most."""
    place = Path(tempfile.mkdtemp(prefix="oc"))
    yield place
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def started(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m web.valkey` on a data folder."""
    environment = {**os.environ, "VAR_DIR": str(folder)}
    command = [sys.executable, "-m", "web.valkey"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE) as server:
        try:
            yield server
        finally:
            server.kill()


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def test_a_second_server_on_the_same_folder_ends_and_leaves_the_first_alone(folder: Path) -> None:
    with Redis(unix_socket_path=f"{folder}/valkey/valkey.sock", decode_responses=True) as client, started(folder):
        until(lambda: answers(client), what="the first server")
        client.set("kept", "yes")

        with started(folder) as second:
            until(lambda: second.poll() is not None, 5, "the second server to end")
            told = second.stderr.read() if second.stderr else ""

        assert second.returncode == 2
        assert f"another Valkey is running on {folder}/valkey; stop it first" in told
        client.connection_pool.disconnect()
        assert client.get("kept") == "yes"


def test_a_server_starts_again_on_what_a_killed_one_left(folder: Path) -> None:
    with Redis(unix_socket_path=f"{folder}/valkey/valkey.sock", decode_responses=True) as client:
        with started(folder):
            until(lambda: answers(client), what="the first server")
            client.set("kept", "yes")
        with started(folder):
            until(lambda: answers(client), what="the server after it")
            assert client.get("kept") == "yes"
