"""Who notices are sent to: a server that takes webhooks, and one that takes mail, both in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers import free_port

Reply = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Post:
    """A webhook as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Receiver:
    """Takes webhooks and answers as it is told; `answer` may also wait, as long as it likes."""

    url: str = ""
    got: list[Post] = field(default_factory=list)
    answer: Callable[[Post], Reply] = lambda post: (200, {}, b"thanks")

    @property
    def ids(self) -> list[str]:
        return [post.id for post in self.got]

    @property
    def events(self) -> list[str]:
        return [post.message["type"] for post in self.got]

    def says(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.answer = lambda post: (status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@contextmanager
def receiver() -> Iterator[Receiver]:
    taker = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            post = Post(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            taker.got.append(post)
            status, headers, said = taker.answer(post)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    taker.url = f"http://127.0.0.1:{server.server_port}/hooks"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield taker
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """Takes mail; `refusal` is what it says to a recipient it does not take."""

    url: str = ""
    got: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refusal: str = ""

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.got.append(message)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


@contextmanager
def mailbox(hostname: str = "127.0.0.1", **options: Any) -> Iterator[Mailbox]:
    """A real SMTP server on a free port."""
    box = Mailbox()
    controller = Controller(box, hostname=hostname, port=free_port(), ready_timeout=30, **options)
    controller.start()
    try:
        box.url = f"smtp://{hostname}:{controller.port}"
        yield box
    finally:
        controller.stop()
