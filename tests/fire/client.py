"""A shopper who writes down what they are about to do and what they were told, for the checker to judge."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tests.harness import CHECKOUT_BODY
from tests.processes import Answer, Shopper
from tests.servers import until

HISTORY_PAGE = 100
AGAIN_SECONDS = 0.2
_numbers, _run = count(1), time.time_ns()


class Cart(msgspec.Struct, omit_defaults=True, frozen=True):
    """A cart as the shopper was last told it is."""

    id: str | None = None
    version: int = 0
    lines: dict[str, int] = {}


class Entry(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line of a log. An intention is written before the request, its answer after; both have the same `n`.

    An intention without an answer, or with one whose `status` is None, may or may not have been carried out.
    """

    n: str
    """Unique over all logs of a run."""
    at: int
    """ms since the epoch."""
    what: str
    """"ask" or "told"."""
    session: str
    action: str
    """cart, add, set, clear, quote, checkout, order, orders, cancel, or the method and path of another request."""
    key: str | None = None
    product_id: str | None = None
    quantity: int | None = None
    before: Cart | None = None
    """The cart before a request that changes it, as the shopper knew it."""
    body: dict[str, Any] | None = None
    """What a checkout sent, where it was not the common body."""
    status: int | None = None
    error: str | None = None
    code: str | None = None
    """Of a problem."""
    retry_after: str | None = None
    order_id: str | None = None
    """Of an intention: the order that is asked for or cancelled."""
    order_status: str | None = None
    total: str | None = None
    currency: str | None = None
    replayed: bool = False
    cart: Cart | None = None
    lines: dict[str, int] | None = None
    """Units of an order's products."""
    ids: list[str] | None = None
    """The orders of a history that was read to its end."""
    final: bool = False
    """Read when all was at rest: a history must be exact."""


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Entry).decode


class Log:
    """A file of entries, a line each. Any number of threads may write; what a killed process wrote is there."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, entry: Entry) -> None:
        os.write(self._file, _write(entry) + b"\n")

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_log(path: Path) -> Iterator[Entry]:
    """The entries of a log; a last line that was cut by a kill is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _read(line)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def session_of(token: str) -> str:
    """The session a token is for."""
    return token.split(".", 1)[0]


@dataclass
class LoggingShopper:
    """A shopper with a session of their own whose every request is in the log, with what came of it.

    Every method answers like tests.processes.Shopper's and raises OSError when nobody answers.
    """

    address: str
    log: Log
    token: str | None = None
    seen: Cart | None = None
    """The cart as it was last told; None while that is not known."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def session(self) -> str:
        return session_of(self.token) if self.token else ""

    def begin(self) -> None:
        """Get a session. Before anything is chosen: units in a session that nobody was told of are nobody's."""
        with self._lock:
            if self.token is None:
                shopper = Shopper(self.address)
                answer = shopper.ask("GET", "/api/cart")
                if shopper.token is None:
                    raise ConnectionError(f"no session, but {answer.status}")
                self.token = shopper.token
                self.seen = _cart(answer.body)

    def twin(self) -> LoggingShopper:
        """The same session in another tab."""
        self.begin()
        return LoggingShopper(self.address, self.log, self.token, self.seen)

    # ------------------------------------------------------------ what a shopper does

    def cart(self) -> Answer:
        return self.ask("GET", "/api/cart", "cart")

    def add(self, product_id: str, quantity: int = 1) -> Answer:
        body = {"product_id": product_id, "quantity": quantity}
        return self.ask("POST", "/api/cart/add", "add", body, product_id=product_id, quantity=quantity)

    def set(self, product_id: str, quantity: int) -> Answer:
        body = {"item_id": product_id, "quantity": quantity}
        return self.ask("PUT", "/api/cart/update", "set", body, product_id=product_id, quantity=quantity)

    def remove(self, product_id: str) -> Answer:
        path = f"/api/cart/remove/{product_id}"
        return self.ask("DELETE", path, "set", product_id=product_id, quantity=0)

    def clear(self) -> Answer:
        return self.ask("DELETE", "/api/cart/clear", "clear")

    def quote(self) -> Answer:
        wanted = {name: CHECKOUT_BODY[name] for name in ("shipping_info", "shipping_method")}
        return self.ask("POST", "/api/checkout/quote", "quote", wanted)

    def check_out(self, body: Mapping[str, Any] | None = None, key: str | None = None, **headers: str) -> Answer:
        """Check out with the common body and what `body` has instead."""
        given = dict(body or {})
        if key is not None:
            headers["Idempotency-Key"] = key
        return self.ask(
            "POST", "/api/checkout", "checkout", {**CHECKOUT_BODY, **given}, headers, key=key, instead=given or None
        )

    def order(self, order_id: str, **headers: str) -> Answer:
        return self.ask("GET", f"/api/orders/{order_id}", "order", headers=headers, order_id=order_id)

    def cancel(self, order_id: str) -> Answer:
        return self.ask("POST", f"/api/orders/{order_id}/cancel", "cancel", {}, order_id=order_id)

    def orders(self, *, final: bool = False) -> list[str] | None:
        """The ids of the whole history; None when a page of it was refused. One entry for all pages."""
        entry = self._intend("orders", final=final)
        told = Entry(n=entry.n, at=0, what="told", session=entry.session, action="orders", final=final)
        found: list[str] = []
        try:
            cursor: str | None = ""
            while cursor is not None:
                answer = self._shopper().ask("GET", f"/api/orders?per_page={HISTORY_PAGE}{cursor}")
                _note(told, answer)
                if answer.status != 200:
                    return None
                found += [order["id"] for order in answer.body["items"]]
                following = answer.body["page"]["next_cursor"]
                cursor = following and f"&cursor={following}"
            told.ids = found
        except (OSError, ValueError) as error:
            raise _broken(told, error) from error
        finally:
            self._told(told)
        return found

    def outcome(self, order_id: str, seconds: float = 30) -> dict[str, Any]:
        """The order once it is terminal, whatever dies on the way."""

        def terminal() -> dict[str, Any] | None:
            try:
                answer = self.order(order_id, Prefer="wait=2")
            except OSError:
                time.sleep(AGAIN_SECONDS)
                return None
            if answer.status >= 500:
                time.sleep(AGAIN_SECONDS)
            return answer.body if answer.status == 200 and answer.body["terminal"] else None

        return until(terminal, seconds, f"order {order_id} to be terminal") or {}

    # ------------------------------------------------------------ how it is written down

    def ask(
        self,
        method: str,
        path: str,
        action: str = "",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str | None = None,
        product_id: str | None = None,
        quantity: int | None = None,
        order_id: str | None = None,
        instead: dict[str, Any] | None = None,
    ) -> Answer:
        """A request, with its intention and its answer in the log; raises OSError when nobody answers."""
        self.begin()
        action = action or f"{method} {path}"
        before = self.seen if action in ("add", "set", "clear", "checkout") else None
        asked = self._intend(
            action,
            key=key,
            product_id=product_id,
            quantity=quantity,
            order_id=order_id,
            before=before,
            body=instead,
        )
        told = Entry(n=asked.n, at=0, what="told", session=asked.session, action=action, key=key)
        told.product_id, told.quantity = product_id, quantity
        try:
            answer = self._shopper().ask(method, path, body, **(headers or {}))
            _note(told, answer)
        except (OSError, ValueError) as error:  # No answer, or one that is no JSON.
            raise _broken(told, error) from error
        finally:
            self._told(told)
            self._remember(told)
        return answer

    def _shopper(self) -> Shopper:
        self.begin()
        return Shopper(self.address, self.token)

    def _intend(self, action: str, **fields: Any) -> Entry:
        self.begin()
        entry = Entry(
            n=f"{_run:x}-{os.getpid()}-{next(_numbers)}",
            at=now_ms(),
            what="ask",
            session=self.session,
            action=action,
            **fields,
        )
        self.log.write(entry)
        return entry

    def _told(self, entry: Entry) -> None:
        entry.at = now_ms()
        self.log.write(entry)

    def _remember(self, told: Entry) -> None:
        if told.cart is not None:
            self.seen = told.cart
        elif told.action in ("add", "set", "clear", "checkout") and told.status not in (409, 422):
            self.seen = None


def _broken(told: Entry, error: Exception) -> OSError:
    told.status, told.error = None, repr(error)
    return error if isinstance(error, OSError) else ConnectionError(f"the answer is no JSON: {error}")


def _note(told: Entry, answer: Answer) -> None:
    """What the checker needs of an answer."""
    body = answer.body if isinstance(answer.body, dict) else {}
    told.status = answer.status
    told.code = body.get("code")
    told.retry_after = answer.headers.get("Retry-After")
    told.replayed = answer.headers.get("Idempotent-Replayed") == "true"
    if "total_quantity" in body or "cart" in body:
        told.cart = _cart(body.get("cart", body))
    elif answer.status >= 400:
        told.order_id = body.get("order_id")
    elif "total_amount" in body and "id" in body:
        told.order_id, told.order_status = body["id"], body["status"]
        told.total, told.currency = body["total_amount"], body["currency"]
        told.lines = _units((item["product_id"], item["quantity"]) for item in body["items"])


def _cart(body: Mapping[str, Any]) -> Cart | None:
    if "items" not in body:
        return None
    return Cart(body["id"], body["version"], _units((item["product_id"], item["quantity"]) for item in body["items"]))


def _units(lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for product_id, quantity in lines:
        found[product_id] = found.get(product_id, 0) + quantity
    return found


def written(path: Path, entries: Iterable[Entry]) -> Path:
    """A log of these entries, for tests that tell what nobody was told."""
    with Log(path) as log:
        for entry in entries:
            log.write(entry)
    return path


__all__ = ["Cart", "Entry", "Log", "LoggingShopper", "now_ms", "read_log", "session_of", "written"]
