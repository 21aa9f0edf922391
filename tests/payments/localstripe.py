"""localstripe as a process of its own, and a server before it that adds what it lacks and can go wrong on purpose.

What is added is what Stripe documents: idempotency keys, the search, the filter of a list by time, the amounts
received and capturable, refusals to refund more than was taken. docs/payments/stripe.md lists it.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.servers import free_port, until

Reply = tuple[int, bytes, dict[str, str]]
Fault = Callable[[Callable[[], Reply]], Reply | None]
"""What happens to one call instead: it may let the call through, and answers, or (None) drops the connection."""

UNKNOWN_TO_LOCALSTRIPE = ("return_url",)
PICKLE = Path("/tmp/localstripe.pickle")
"""localstripe writes its objects there, always; we start it without reading them."""


def unreachable(forward: Callable[[], Reply]) -> None:
    """The call is lost on its way."""


def lost_answer(forward: Callable[[], Reply]) -> None:
    """Stripe does what it was asked for, and the answer is lost."""
    forward()


def answering(status: int, body: Any, **headers: str) -> Fault:
    """A recorded answer; `body` may be text that is no JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda forward: (status, text.encode(), headers)


def failing(status: int, **error: Any) -> Fault:
    return answering(status, {"error": error}, **{"Request-Id": "req_recorded"})


@dataclass
class Asked:
    method: str
    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Front:
    """The address that a `Stripe` is given, what it was asked, and what shall go wrong next."""

    behind: str
    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    saved: dict[str, tuple[Any, Reply]] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    received: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reset(self) -> None:
        self.asked.clear()
        self.faults.clear()

    # ------------------------------------------------------------ what the tests ask behind the adapter's back

    def api(self, method: str, path: str, **form: Any) -> Any:
        """A call to localstripe itself."""
        status, body = self._send(method, path, form)
        assert status == 200, (status, body)
        return json.loads(body or "null")

    def intents(self, order_id: str | None = None) -> list[Any]:
        """All payments, or those of an order, newest first."""
        data = self.api("GET", "/v1/payment_intents?limit=100000")["data"]
        return [it for it in reversed(data) if order_id in (None, it["metadata"].get("order_id"))]

    def charges(self, order_id: str) -> int:
        charged = [it["latest_charge"] for it in self.intents(order_id)]
        return sum(1 for charge in charged if charge and charge["status"] == "succeeded")

    def authenticate(self, intent_id: str, success: bool) -> None:
        """What the shopper's browser does in 3-D Secure."""
        secret = self.api("GET", f"/v1/payment_intents/{intent_id}")["client_secret"]
        path = f"/v1/payment_intents/{intent_id}/_authenticate"
        self.api("POST", path, client_secret=secret, success=str(success).lower())

    # ------------------------------------------------------------ what the adapter asks

    def answer(self, asked: Asked) -> Reply | None:
        with self.lock:
            self.asked.append(asked)
            fault = self.faults.popleft() if self.faults else None
        if fault:
            return fault(lambda: self._once(asked))
        return self._once(asked)

    def _once(self, asked: Asked) -> Reply:
        key = asked.headers.get("idempotency-key")
        if asked.method != "POST" or not key:
            return self._documented(asked)
        with self.lock:
            if key in self.running:
                return _error(409, type="idempotency_error", code="idempotency_key_in_use", message="in use")
            known = self.saved.get(key)
            if known is None:
                self.running.add(key)
        if known:
            fingerprint, reply = known
            if fingerprint == (asked.path, asked.form):
                return (*reply[:2], {"Idempotent-Replayed": "true"})
            return _error(400, type="idempotency_error", message="Keys can only be used with the same parameters.")
        reply = self._documented(asked)
        with self.lock:
            self.running.discard(key)
            if reply[0] != 400:  # what fails validation is not kept
                self.saved[key] = ((asked.path, asked.form), reply)
        return reply

    def _documented(self, asked: Asked) -> Reply:
        path = urlsplit(asked.path).path
        if asked.method == "GET" and path in ("/v1/payment_intents", "/v1/payment_intents/search"):
            return self._found(path, dict(parse_qsl(urlsplit(asked.path).query)))
        if path == "/v1/refunds" and asked.method == "POST" and (refusal := self._refusal(asked.form)):
            return refusal
        form = {name: value for name, value in asked.form.items() if name not in UNKNOWN_TO_LOCALSTRIPE}
        status, body = self._send(asked.method, asked.path, form)
        if status == 200 and path.endswith("/capture"):
            self.received[path.split("/")[3]] = int(form["amount_to_capture"])
        return status, self._with_amounts(body), {"Request-Id": "req_localstripe"}

    def _found(self, path: str, query: dict[str, str]) -> Reply:
        found = self.intents()
        if path.endswith("/search"):
            wanted = re.fullmatch(r"metadata\['order_id'\]:'([^']*)'", query["query"])
            assert wanted, query
            found = [it for it in found if it["metadata"].get("order_id") == wanted[1]]
        found = [it for it in found if it["created"] >= int(query.get("created[gte]", 0))]
        if "starting_after" in query:
            found = found[[it["id"] for it in found].index(query["starting_after"]) + 1 :]
        page = found[: int(query.get("limit", 10))]
        listing = {"object": "list", "url": "/v1/payment_intents", "data": page, "has_more": len(found) > len(page)}
        return 200, json.dumps(listing).encode(), {}

    def _refusal(self, form: dict[str, str]) -> Reply | None:
        intent = self.api("GET", f"/v1/payment_intents/{form['payment_intent']}")
        if intent["status"] != "succeeded":
            message = "This PaymentIntent does not have a successful charge to refund."
            return _error(400, type="invalid_request_error", message=message)
        refunds = self.api("GET", f"/v1/refunds?payment_intent={intent['id']}&limit=100")["data"]
        left = self.received.get(intent["id"], intent["amount"]) - sum(it["amount"] for it in refunds)
        if int(form["amount"]) > left:
            message = "Refund amount is greater than unrefunded amount on charge."
            return _error(400, type="invalid_request_error", message=message)
        return None

    def _with_amounts(self, body: bytes) -> bytes:
        found = json.loads(body)
        if found.get("object") == "payment_intent":
            taken = self.received.get(found["id"], found["amount"])
            found["amount_received"] = taken if found["status"] == "succeeded" else 0
            found["amount_capturable"] = found["amount"] if found["status"] == "requires_capture" else 0
        return json.dumps(found).encode()

    def _send(self, method: str, path: str, form: dict[str, Any]) -> tuple[int, bytes]:
        data = urlencode(form).encode() if method == "POST" else None
        request = urllib.request.Request(
            self.behind + path, data, {"Authorization": "Bearer sk_test_12345"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def _error(status: int, **error: Any) -> Reply:
    return status, json.dumps({"error": error}).encode(), {"Request-Id": "req_front"}


@contextmanager
def localstripe() -> Iterator[str]:
    """localstripe on a port of its own, and its address."""
    port = free_port()
    left_by_others = PICKLE.exists()
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: server.poll() is not None or _answers(port), seconds=60, what="localstripe")
        assert server.poll() is None, "localstripe did not start; it needs IPv6"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        if not left_by_others:
            PICKLE.unlink(missing_ok=True)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/js.stripe.com/v3/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def front(behind: str) -> Iterator[Front]:
    """The server before localstripe; `behind` may be empty for tests that only play recorded answers."""
    it = Front(behind)
    server = _server(it)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        it.address = f"http://127.0.0.1:{server.server_port}"
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def listener(heard: list[tuple[bytes, dict[str, str]]], wanted: str, arrived: threading.Event) -> Iterator[str]:
    """A server that takes down the webhooks it is called with; `arrived` once it has heard of `wanted`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            heard.append((body, dict(self.headers.items())))
            if wanted in body.decode():
                arrived.set()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(it: Front) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            form = dict(parse_qsl(body.decode(), keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = it.answer(Asked(self.command, self.path, form, headers))
            if reply is None:
                self.close_connection = True
                return
            status, content, extra = reply
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **extra}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):  # the client gave up waiting, as some tests want it
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    return Server(("127.0.0.1", 0), Handler)
