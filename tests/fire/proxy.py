"""A bad line between a shop and its Redis: it delays, cuts and swallows what passes, as often as it is told to."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each happens, of a thousand chunks that pass."""

    delay: float = 6
    """A reply is late, by up to LONGEST_DELAY_SECONDS."""
    drop: float = 2
    """The server did it, and the connection ends before its reply."""
    halve: float = 1
    """The connection ends in the middle of a reply."""
    cut: float = 1
    """The connection ends in the middle of a request."""
    swallow: float = 0.3
    """A reply never comes, and nobody hangs up: the client must give up by itself."""


CALM = Faults(0, 0, 0, 0, 0)
LONGEST_DELAY_SECONDS = 0.4


class BadLine:
    """A TCP port before a server's unix socket. With the server away it hangs up on whoever calls."""

    def __init__(self, server: Path, seed: int) -> None:
        self.faults = CALM
        self.happened: Counter[str] = Counter()
        self._server = str(server)
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:
                server.close()
                client.close()
                continue
            _Line(self, client, server).open()

    def fault(self, *possible: str) -> str | None:
        """What happens to a chunk now; None: nothing."""
        with self._lock:
            roll = self._dice.random() * 1000
            for name in possible:
                roll -= getattr(self.faults, name)
                if roll < 0:
                    self.happened[name] += 1
                    return name
        return None

    def late(self) -> float:
        with self._lock:
            return self._dice.uniform(0.01, LONGEST_DELAY_SECONDS)


class _Line:
    """One connection and its two directions; both sockets are closed when both have ended."""

    def __init__(self, proxy: BadLine, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._open = 2
        self._lock = threading.Lock()

    def open(self) -> None:
        for work in (self._requests, self._replies):
            threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Any) -> None:
        with suppress(OSError):
            work()
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= 1
            over = not self._open
        if over:
            self._client.close()
            self._server.close()

    def _requests(self) -> None:
        while data := self._client.recv(CHUNK):
            if self._proxy.fault("cut"):
                self._server.sendall(data[: len(data) // 2])
                return
            self._server.sendall(data)

    def _replies(self) -> None:
        while data := self._server.recv(CHUNK):
            match self._proxy.fault("delay", "drop", "halve", "swallow"):
                case "drop":
                    return
                case "halve":
                    self._client.sendall(data[: len(data) // 2])
                    return
                case "swallow":
                    continue
                case "delay":
                    time.sleep(self._proxy.late())
            self._client.sendall(data)


@contextmanager
def bad_line(server: Path, seed: int) -> Iterator[BadLine]:
    """A line that is calm until its `faults` are set."""
    line = BadLine(server, seed)
    try:
        yield line
    finally:
        line.close()
