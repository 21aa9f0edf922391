"""HTTP/1.1 on bare sockets: quick enough to flood a shop, and free to send what no library would."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.fire.client import Cart, LoggingShopper
from tests.processes import Answer, Shopper, refusal

TIMEOUT_SECONDS = 60
_lines = threading.local()


class Headers(dict[str, str]):
    """Header fields by their names in any case."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class Line:
    """A connection that is kept open. After an OSError it is of no use any more."""

    def __init__(self, address: str, timeout: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(address)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._seen = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, method: str = "GET") -> tuple[int, Headers, bytes]:
        """The next answer. Raises ConnectionError when the connection ends before it does."""
        head = self._until(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = Headers()
        for field in fields:
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        status = int(first.split(" ", 2)[1])
        if status == 100:
            return self.receive(method)
        if method == "HEAD" or status in (204, 304):
            return status, headers, b""
        if "chunked" in headers.get("Transfer-Encoding", ""):
            return status, headers, self._chunks()
        return status, headers, self._exactly(int(headers.get("Content-Length", 0)))

    def close(self) -> None:
        self._socket.close()

    def __del__(self) -> None:
        """Of a thread that has ended."""
        self.close()

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            body += self._exactly(size + 2)[:-2]
        self._until(b"\r\n")
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._seen:
            self._more()
        found, self._seen = self._seen.split(mark, 1)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._seen) < size:
            self._more()
        found, self._seen = self._seen[:size], self._seen[size:]
        return found

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the connection ended")
        self._seen += data


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """A request as it goes over the wire; headers may replace the usual ones."""
    given = {"Host": "127.0.0.1"} | headers
    if body is not None:
        given = {"Content-Type": "application/json", "Content-Length": str(len(body))} | given
    fields = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{fields}\r\n".encode("latin-1") + (body or b"")


def hang_up() -> None:
    """Close the connections that this thread keeps."""
    while _lines.__dict__:
        _lines.__dict__.popitem()[1].close()


@dataclass
class QuickShopper(Shopper):
    """A shopper whose requests go over a connection that their thread keeps."""

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        if self.token:
            headers["X-Session-Token"] = self.token
        open_lines: dict[str, Line] = _lines.__dict__
        line = open_lines.pop(self.address, None) or Line(self.address)
        try:
            line.send(request(method, path, data, **headers))
            status, got, answer = line.receive(method)
        except BaseException:
            line.close()
            raise
        if got.get("Connection", "") == "close":
            line.close()
        else:
            open_lines[self.address] = line
        self.token = got.get("X-Session-Token") or self.token
        return Answer(status, got, json.loads(answer or b"null") if status < 400 else refusal(answer))


@dataclass
class QuickLoggingShopper(LoggingShopper):
    """The same, with everything in the log."""

    def begin(self) -> None:
        with self._lock:
            if self.token is None:
                shopper = QuickShopper(self.address)
                answer = shopper.ask("GET", "/api/cart")
                if shopper.token is None:
                    raise ConnectionError(f"no session, but {answer.status}")
                self.token, self.seen = shopper.token, Cart()

    def twin(self) -> QuickLoggingShopper:
        self.begin()
        return QuickLoggingShopper(self.address, self.log, self.token, self.seen)

    def _shopper(self) -> Shopper:
        self.begin()
        return QuickShopper(self.address, self.token)
