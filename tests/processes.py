"""A shop of real processes, as `make run` starts it, and a client that talks to it over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import harness
from tests.harness import CHECKOUT_BODY
from tests.servers import free_port, until
from web.settings import ROOT

START_SECONDS = 60
RECOVERY_SECONDS = 20
"""Far more than it takes (see bench/recovery.py): a test machine may be busy with other tests."""

UNLIMITED = {name.upper(): value for name, value in harness.UNLIMITED.items()}
"""A crowd of tests and benchmarks comes from one address; what limits do is tested by itself."""


@dataclass
class Answer:
    status: int
    headers: Any
    body: Any


def refusal(body: bytes) -> Any:
    """A refusal's body; one that is no JSON is still an answer, and its status counts."""
    try:
        return json.loads(body or b"null")
    except ValueError:
        return {"code": "not_json"}


@dataclass
class Shopper:
    """A client with a session of its own, kept in X-Session-Token."""

    address: str
    token: str | None = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request and its answer, whatever its status; raises OSError when nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("X-Session-Token", self.token)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = Answer(response.status, response.headers, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                answer = Answer(error.code, error.headers, refusal(error.read()))
        except http.client.HTTPException as error:
            raise ConnectionError("the answer broke off") from error
        self.token = answer.headers.get("X-Session-Token") or self.token
        return answer

    def add(self, product_id: str, quantity: int = 1) -> Answer:
        return self.ask("POST", "/api/cart/add", {"product_id": product_id, "quantity": quantity})

    def check_out(self, **headers: str) -> Answer:
        return self.ask("POST", "/api/checkout", CHECKOUT_BODY, **headers)

    def order(self, order_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/api/orders/{order_id}").body
        return found

    def outcome(self, order_id: str) -> dict[str, Any]:
        """The order once it is terminal, whatever dies on the way."""

        def terminal() -> dict[str, Any] | None:
            try:
                order = self.order(order_id)
            except OSError:
                return None
            return order if order.get("terminal") else None

        return until(terminal, RECOVERY_SECONDS, f"order {order_id} to be terminal") or {}


def halt(pid: int) -> None:
    """Let a process stand still until it is told to go on (SIGCONT), each thread of it. Linux only."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: _stands_still(pid), what=f"process {pid} to stand still")


def _stands_still(pid: int) -> bool:
    try:
        stats = [(thread / "stat").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):  # It, or a thread of it, has just ended.
        return not Path(f"/proc/{pid}").exists()
    return all(stat.rpartition(")")[2].split()[0] in "TtZX" for stat in stats)


@dataclass
class RunningShop:
    """`python -m web.start` (or `make run`) in a folder of its own."""

    var_dir: Path
    port: int = field(default_factory=free_port)
    settings: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=lambda: [sys.executable, "-m", "web.start"])
    folder: Path = ROOT
    patience: float = START_SECONDS
    process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, **UNLIMITED, "PORT": str(self.port), "VAR_DIR": str(self.var_dir), **self.settings}

    def launch(self) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self.process

    def open(self) -> None:
        """Start, and return when the shop is ready."""
        process = self.launch()

        def ready() -> bool:
            assert process.poll() is None, f"it ended: {process.stdout.read() if process.stdout else ''}"
            try:
                return self.shopper().ask("GET", "/readyz").status == 200
            except OSError:
                return False

        until(ready, self.patience, "the shop to open")

    def refused(self) -> tuple[int, str]:
        """Start something that must not start: its exit code and what it said."""
        process = self.launch()
        said, _ = process.communicate(timeout=START_SECONDS)
        return process.returncode, said

    def shopper(self) -> Shopper:
        return Shopper(self.address)

    def pids(self) -> dict[str, list[int]]:
        """The running processes by role; children of a role's first process come after it."""
        roles: dict[str, list[int]] = {"web": [], "worker": [], "valkey": [], "supervisord": []}
        marks = {
            "app.py": "web",
            "worker.py": "worker",
            "valkey-server ": "valkey",
            "web.supervise": "supervisord",
        }
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                # Valkey writes its title over its environment, but works in our folder.
                mine = f"VAR_DIR={self.var_dir}\0".encode() in (entry / "environ").read_bytes()
                mine = mine or (entry / "cwd").readlink().is_relative_to(self.var_dir)
            except (OSError, ValueError):
                continue
            role = next((marks[mark] for mark in marks if any(mark in part for part in command)), None)
            if mine and role:
                roles[role].append(int(entry.name))
        return {role: sorted(found) for role, found in roles.items()}

    def kill(self, role: str, which: slice = slice(None)) -> None:
        victims = self.pids()[role][which]
        assert victims, f"no {role} to kill"
        for pid in victims:
            os.kill(pid, signal.SIGKILL)

    def close(self, sig: int = signal.SIGTERM) -> None:
        """Ask it to end, and return when it has; what it leaves behind is killed and named."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            self.process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        self.process = None

    def left_behind(self) -> list[int]:
        return [pid for pids in self.pids().values() for pid in pids]


@contextmanager
def running(shop: RunningShop) -> Iterator[RunningShop]:
    """An open shop that is closed again, with nothing of it left, whatever the test does."""
    try:
        shop.open()
        yield shop
    finally:
        shop.close()
        for pid in shop.left_behind():
            os.kill(pid, signal.SIGKILL)
