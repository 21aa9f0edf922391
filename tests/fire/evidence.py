"""Everything there is to judge a run by: both stores, the provider's own books, and what the clients wrote down."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from carts.connection import connect
from carts.inbox import Inbox
from carts.store import Carts
from db.audit import CHECKS
from db.models import OrderEventRow, OrderItemRow, OrderRow, PaymentRow
from db.session import SQLITE, Database
from payments.sandbox import Sandbox
from payments.sandbox_store import Account
from shop.errors import Unavailable
from shop.orders import OPEN
from shop.paying import UNHEARD_OF, WAITING
from tasks import audit
from tests.fire.client import Entry, now_ms, read_log

ROWS_AT_ONCE = 2000
LIFETIME_SECONDS, MOST_LINES = 30 * 24 * 3600, 100
FEW_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Order:
    """An order as SQL has it."""

    id: str
    session_id: str
    status: str
    payment_status: str
    fulfillment_status: str
    total_minor: int
    currency: str
    number: int | None
    idempotency_key: str | None
    payment_method: str
    accepted_at: int

    @property
    def given_back(self) -> bool:
        """Whether its units went back into the shopper's cart: it failed, or was cancelled before it was paid."""
        return self.status == "failed" or (self.status == "cancelled" and self.number is None)


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of an order's timeline."""

    seq: int
    stage: str
    at: int
    attempt: int
    outcome: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class Payment:
    """Something the provider was to be told."""

    key: str
    kind: str
    status: str
    amount_minor: int
    provider: str
    provider_id: str | None
    tries: int
    next_at: int | None
    tells: bool
    detail: str | None

    def is_unheard_of(self, order_status: str) -> bool:
        """Whether who was to ask for it died just before, its order was then cancelled, and the provider knows nothing.

        It is looked at again until the provider would have forgotten its key, for the call may still be under way:
        that takes a day, and is no fault. Whether money was taken is for the provider's books to say.
        """
        open_ended = self.kind == "authorize" and self.status == "unknown" and self.tries >= FEW_LOOKS
        over = order_status == "cancelled"
        return open_ended and over and self.detail == UNHEARD_OF and self.provider_id is None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client was about to do, and what it was told; None when it did not live to write that down."""

    asked: Entry
    told: Entry | None

    @property
    def status(self) -> int | None:
        """None when nobody knows what came of it."""
        return self.told.status if self.told else None

    @property
    def unclear(self) -> bool:
        """Whether it may or may not have been carried out: no answer, or one that a store was away."""
        return self.status is None or self.status >= 500


@dataclass
class Evidence:
    """What the checks look at. Nothing in it was computed by the code that is judged, but for its own audit."""

    orders: Mapping[str, Order]
    lines: Mapping[str, Counter[str]]
    timelines: Mapping[str, list[Event]]
    payments: Mapping[str, list[Payment]]
    accounts: Mapping[str, Account]
    carts: Mapping[str, Counter[str]]
    """The carts of all sessions that the logs know."""
    entries: Sequence[Entry]
    audited: Sequence[audit.Violation]
    """What `flask audit` would say."""
    audited_rows: int
    calls: Any = field(default=lambda order_id: [])
    """What the provider was asked about an order."""

    @cached_property
    def requests(self) -> list[Request]:
        """In the order in which they were begun."""
        told = {entry.n: entry for entry in self.entries if entry.what == "told"}
        asked = sorted((entry for entry in self.entries if entry.what == "ask"), key=lambda entry: entry.at)
        return [Request(entry, told.get(entry.n)) for entry in asked]

    @cached_property
    def accepted(self) -> dict[str, list[Request]]:
        """Order ids that a checkout was answered with, and those checkouts."""
        found: dict[str, list[Request]] = defaultdict(list)
        for request in self.requests:
            if request.asked.action == "checkout" and request.status in (200, 202) and request.told:
                found[request.told.order_id or ""].append(request)
        return found

    @cached_property
    def by_session(self) -> dict[str, list[Order]]:
        found: dict[str, list[Order]] = defaultdict(list)
        for order in self.orders.values():
            found[order.session_id].append(order)
        return found

    def history(self, order_id: str) -> tuple[str, ...]:
        """All that is known of an order, oldest first, to read beside a violation."""
        return tuple(text for _, text in sorted(self._history(order_id), key=lambda each: each[0]))

    def _history(self, order_id: str) -> Iterator[tuple[int, str]]:
        numbers = {entry.n for entry in self.entries if entry.order_id == order_id}
        for entry in self.entries:
            if entry.n in numbers:
                yield entry.at, f"log       {_told(entry)}"
        if order := self.orders.get(order_id):
            yield order.accepted_at, f"order     {order}"
        else:
            yield 0, "order     is not in SQL"
        for event in self.timelines.get(order_id, ()):
            yield event.at, f"timeline  {event.seq} {event.stage} {event.outcome} {event.detail or ''}"
        for call in self.calls(order_id):
            yield call.at, f"provider  {call.operation} {call.key or ''} {call.amount_minor or ''} -> {call.answer}"
        for payment in self.payments.get(order_id, ()):
            yield 2**62, f"payment   {payment}"
        if account := self.accounts.get(order_id):
            yield 2**62, f"books     {account}"


def _told(entry: Entry) -> str:
    given = {name: getattr(entry, name) for name in entry.__struct_fields__ if name not in ("at", "what", "session")}
    facts = " ".join(f"{name}={value}" for name, value in given.items() if value not in (None, False))
    return f"{entry.session[:8]} {entry.what}s {facts}"


def damage(var_dir: Path, database_url: str) -> Iterator[tuple[str, str]]:
    """SQLite files that are not whole, and what is wrong with each: nothing in them can be judged."""
    shop = Path(database_url.removeprefix("sqlite:///")) if database_url.startswith("sqlite:///") else None
    for path in (shop, var_dir / "sandbox.db"):
        if path is None or not path.exists():
            continue
        try:
            with closing(SQLITE.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
                (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
        except SQLITE.DatabaseError as error:
            verdict = str(error)
        if verdict != "ok":
            yield path.name, verdict


def gather(var_dir: Path, database_url: str, redis_url: str, logs: Sequence[Path]) -> Evidence:
    """Read everything. The shop should be at rest, and its Redis must answer."""
    entries = [entry for log in logs for entry in read_log(log)]
    sessions = {entry.session for entry in entries}
    database, redis = Database(database_url), connect(redis_url)
    books = var_dir / "sandbox.db"
    sandbox = Sandbox(books) if books.exists() else None
    try:
        inbox, store = Inbox(redis, LIFETIME_SECONDS), Carts(redis, LIFETIME_SECONDS, MOST_LINES)
        audited, rows = _audited(inbox, database)
        with database.reading() as session:
            orders = {row[0]: Order(*row) for row in _rows(session, OrderRow, *Order.__slots__)}
            lines: dict[str, Counter[str]] = defaultdict(Counter)
            for order_id, product_id, quantity in _rows(session, OrderItemRow, "order_id", "product_id", "quantity"):
                lines[order_id][product_id] += quantity
            timelines: dict[str, list[Event]] = defaultdict(list)
            for order_id, *event in _rows(session, OrderEventRow, "order_id", *Event.__slots__):
                timelines[order_id].append(Event(*event))
            payments: dict[str, list[Payment]] = defaultdict(list)
            for order_id, *payment in _rows(session, PaymentRow, "order_id", *Payment.__slots__):
                payments[order_id].append(Payment(*payment))
        for events in timelines.values():
            events.sort(key=lambda event: event.seq)
        carts = {each: Counter({line.product_id: line.quantity for line in store.get(each).lines}) for each in sessions}
        accounts = {account.order_id: account for account in sandbox.books()} if sandbox else {}
        evidence = Evidence(orders, lines, timelines, payments, accounts, carts, entries, audited, rows)
        evidence.calls = _calls(sandbox, evidence) if sandbox else evidence.calls
        return evidence
    finally:
        database.close()
        redis.close()
        if sandbox:
            sandbox.close()


def _calls(sandbox: Sandbox, evidence: Evidence) -> Any:
    return lambda order_id: list(sandbox.calls(order_id)) if order_id in evidence.orders else []


def _rows(session: Session, table: Any, *names: str) -> Iterator[Any]:
    query = select(*(getattr(table, name) for name in names)).execution_options(yield_per=ROWS_AT_ONCE)
    yield from session.execute(query)


def _audited(inbox: Inbox, database: Database) -> tuple[list[audit.Violation], int]:
    """What the product's own audit finds, and how many rows it looked at."""
    found: list[audit.Violation] = []
    rows = 0
    counted = 0

    def take(findings: audit.Findings) -> None:
        nonlocal counted
        counted = 0
        for finding in findings:
            if isinstance(finding, audit.Violation):
                found.append(finding)
            else:
                counted = finding.rows

    take(audit.accepted(inbox, database, now_ms()))
    rows += counted
    for check in CHECKS.values():
        with database.reading() as session:
            take(check(session))
        rows += counted
    return found, rows


AWAY = ["a store is away"]


def unfinished(database_url: str, redis_url: str) -> list[str]:
    """What is still under way: accepted checkouts that wait, open orders, payments that are due. Empty: at rest.

    AWAY while a store cannot tell.
    """
    try:
        return _unfinished(database_url, redis_url)
    except Unavailable:
        return AWAY


def _unfinished(database_url: str, redis_url: str) -> list[str]:
    database = Database(database_url)
    try:
        with closing(connect(redis_url)) as redis:
            waiting = Inbox(redis, LIFETIME_SECONDS).size()
        found = [f"{waiting} accepted checkouts"] if waiting else []
        with database.reading() as session:
            open_orders = select(OrderRow.id).where(OrderRow.status.in_(sorted(OPEN)))
            found += [f"order {order_id}" for order_id in session.scalars(open_orders)]
            busy = or_(PaymentRow.next_at.is_not(None), PaymentRow.status.in_(sorted(WAITING)))
            columns = [getattr(PaymentRow, name) for name in Payment.__slots__]
            query = select(OrderRow.status, *columns).join_from(PaymentRow, OrderRow).where(busy)
            for order_status, *values in session.execute(query):
                payment = Payment(*values)
                if not payment.is_unheard_of(order_status):
                    found.append(f"payment {payment.key} is {payment.status}")
        return found
    finally:
        database.close()
