"""A proxy before a Redis that can lose a reply: the server did it, and the client does not know."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Passes bytes between clients and a server's unix socket; `drop_next_reply` cuts one line."""

    def __init__(self, server_path: str) -> None:
        self._server_path = server_path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._drops = 0
        self._passes = 0
        self.dropped = 0
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def drop_next_reply(self, after: int = 0) -> None:
        """Cut the line in place of a reply: the next one, or the one after so many more."""
        self._passes = after
        self._drops += 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            _hang_up(end)
        for thread in self._threads:
            thread.join(timeout=5)
        for end in self._sockets:
            end.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server_path)
            self._sockets += [client, server]
            self._start(self._pass, client, server, False)
            self._start(self._pass, server, client, True)

    def _pass(self, source: socket.socket, target: socket.socket, replies: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if replies and self._drops and self._passes:
                    self._passes -= 1
                elif replies and self._drops:
                    self._drops -= 1
                    self.dropped += 1
                    break
                target.sendall(data)
        _hang_up(source)
        _hang_up(target)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy(valkey_url: str) -> Iterator[Proxy]:
    """A proxy before the server at a `unix://` URL."""
    between = Proxy(valkey_url.removeprefix("unix://"))
    try:
        yield between
    finally:
        between.close()
