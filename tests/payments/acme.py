"""Acme Pay, the imaginary service of docs/payments/adding-a-provider.md, as a server that can go wrong on purpose."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.payments.localstripe import Fault, Reply

SLOW_SECONDS = 0.05
DECLINES = {"tok_no_funds": "no_funds", "tok_stolen": "stolen"}
CHARGED = ("authorized", "captured")
Told = tuple[int, dict[str, Any]]
"""The status and the JSON of an answer."""


@dataclass
class Payment:
    id: str
    reference: str
    amount: int
    currency: str
    status: str
    reason: str | None = None
    action_url: str | None = None
    refunded: int = 0

    def shown(self) -> dict[str, Any]:
        names = ("id", "reference", "amount", "currency", "status", "reason", "action_url")
        return {name: getattr(self, name) for name in names}


@dataclass
class Acme:
    """The books of Acme Pay, and how it answers."""

    secret_key: str
    address: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    """What happens to the next calls instead, one each."""
    payments: dict[str, Payment] = field(default_factory=dict)
    _keys: dict[str, tuple[str, Told | None]] = field(default_factory=dict)
    """What each key was used for, and the answer; None while it is being worked out."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _books: threading.Lock = field(default_factory=threading.Lock)

    def of_order(self, order_id: str) -> list[Payment]:
        return [payment for payment in self.payments.values() if payment.reference == order_id]

    def charges(self, order_id: str) -> int:
        return sum(payment.status in CHARGED for payment in self.of_order(order_id))

    def act(self, payment_id: str, approve: bool) -> None:
        """The shopper's click on the page of an action."""
        payment = self.payments[payment_id]
        payment.status = "authorized" if approve else "declined"
        payment.reason = None if approve else "not_authenticated"

    # ------------------------------------------------------------ answering

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply | None:
        """The answer to a call; None drops the connection."""

        def forward() -> Reply:
            status, told = self._told(method, path, headers, body)
            return status, json.dumps(told).encode(), {}

        return self.faults.popleft()(forward) if self.faults else forward()

    def _told(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Told:
        if headers.get("authorization") != f"Bearer {self.secret_key}":
            return 401, {"error": "unauthorized", "message": "This is no key."}
        url = urlsplit(path)
        if method == "GET" and url.path == "/payments":
            (reference,) = parse_qs(url.query)["reference"]
            return 200, {"payments": [payment.shown() for payment in self.of_order(reference)]}
        return self._once(headers["idempotency-key"], url.path, json.loads(body))

    def _once(self, key: str, path: str, asked: dict[str, Any]) -> Told:
        """What the first call with this key was answered; this one, if it is the first."""
        print_ = json.dumps([path, asked], sort_keys=True)
        with self._books:
            known = self._keys.setdefault(key, (print_, None))
            if known[0] != print_:
                return 409, {"error": "key_reused", "message": "This key was used for something else."}
            if known[1] is not None:
                return known[1]
            if asked.get("token") != "tok_slow":
                return self._remember(key, print_, self._done(path, asked))
            self._keys[key] = (print_, (409, {"error": "in_progress", "message": "Ask again."}))
        time.sleep(SLOW_SECONDS)
        with self._books:
            return self._remember(key, print_, self._done(path, asked))

    def _remember(self, key: str, print_: str, told: Told) -> Told:
        self._keys[key] = (print_, told)
        return told

    def _done(self, path: str, asked: dict[str, Any]) -> Told:
        if path == "/payments":
            return self._paid(asked)
        _, _, payment_id, step = path.split("/")
        payment = self.payments.get(payment_id)
        if payment is None:
            return 404, {"error": "not_found", "message": "There is no such payment."}
        return {"capture": self._captured, "void": self._voided, "refunds": self._refunded}[step](payment, asked)

    def _paid(self, asked: dict[str, Any]) -> Told:
        token = asked["token"]
        if not token.startswith("tok_"):
            return 422, {"error": "invalid", "message": "This is no token."}
        status = "captured" if asked["capture"] else "authorized"
        status = {"tok_action": "action_required", **dict.fromkeys(DECLINES, "declined")}.get(token, status)
        payment_id = f"pay_{next(self._ids)}"
        payment = Payment(payment_id, asked["reference"], asked["amount"], asked["currency"], status)
        payment.reason = DECLINES.get(token)
        payment.action_url = f"https://acmepay.example/act/{payment_id}" if token == "tok_action" else None
        self.payments[payment_id] = payment
        return 201, payment.shown()

    def _captured(self, payment: Payment, asked: dict[str, Any]) -> Told:
        if payment.status != "authorized" or asked["amount"] > payment.amount:
            return _refused("Not so much is reserved.")
        payment.status, payment.amount = "captured", asked["amount"]
        return 200, payment.shown()

    def _voided(self, payment: Payment, asked: dict[str, Any]) -> Told:
        if payment.status == "captured":
            return _refused("The money was taken.")
        payment.status = "voided"
        return 200, payment.shown()

    def _refunded(self, payment: Payment, asked: dict[str, Any]) -> Told:
        if payment.status != "captured" or payment.refunded + asked["amount"] > payment.amount:
            return _refused("Not so much was taken.")
        payment.refunded += asked["amount"]
        return 201, {"id": f"ref_{next(self._ids)}", "payment": payment.id, "amount": asked["amount"]}


def _refused(message: str) -> Told:
    return 422, {"error": "refused", "message": message}


@contextmanager
def acme_pay(secret_key: str) -> Iterator[Acme]:
    """Acme Pay on a port of its own."""
    acme = Acme(secret_key)
    server = _server(acme)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        acme.address = f"http://127.0.0.1:{server.server_port}"
        yield acme
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(acme: Acme) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = acme.answer(self.command, self.path, headers, body)
            if reply is None:
                self.close_connection = True
                return
            status, content, more = reply
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **more,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # The client gave up waiting, as some tests want it.
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    return Server(("127.0.0.1", 0), Handler)
