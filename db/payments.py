"""Payments in SQL: what providers are to be told, who tells them now, and what their answers made of the orders."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, false, func, or_, select, tuple_, update
from sqlalchemy.orm import Session, load_only

from db import notices, payment_rows, stock
from db.models import OrderEventRow, OrderItemRow, OrderRow, PaymentRow
from db.orders import insert_events, next_numbers
from db.payment_rows import new_row
from shop.fulfilment import payment_when_cancelled
from shop.notices import News
from shop.orders import OPEN
from shop.paying import WAITING, Answer, Effect, Next, Operation, Owed, after, to_undo, when_cancelled

KEY_MS = 24 * 3600_000
"""The memory we assume of a provider that is not set up any more."""
ASIDE_MS = 60_000
LEASE_MS = 3_000
"""Renewed while a call lasts. A worker that died is followed by another after so long, with the same key."""
_SETTLED_REFUND = ("succeeded", "refused", "dropped")
_ORDER = load_only(
    OrderRow.id,
    OrderRow.number,
    OrderRow.session_id,
    OrderRow.status,
    OrderRow.payment_status,
    OrderRow.total_minor,
    OrderRow.email,
    OrderRow.updated_at,
    raiseload=True,
)


@dataclass(frozen=True, slots=True)
class Work:
    """An operation that this worker holds for LEASE_MS."""

    key: str
    order_id: str
    provider: str
    token: str
    captures: bool
    email: str
    lease: int
    """Which try this is: a late answer of an earlier one is no news."""
    operation: Operation
    order: Owed


@dataclass(frozen=True, slots=True)
class Ended:
    """An order that came by its payment to its end, or to where its shopper must act: for the carts' store to be told.

    An end is told until that is known to have happened; of an action who waits is told once, and everybody can look.
    """

    key: str
    order_id: str
    session_id: str
    status: str
    product_ids: tuple[str, ...] = ()
    """Products whose stock was given back."""
    sold: bool = False
    """It was confirmed once."""


def due(session: Session, now: int) -> int | None:
    """How long the oldest due operation has waited, in ms; None when there is none."""
    # The condition is for the index, which has only these.
    oldest = session.scalar(select(func.min(PaymentRow.next_at)).where(PaymentRow.next_at.is_not(None)))
    return None if oldest is None or oldest > now else now - oldest


def stuck(session: Session) -> int:
    """How many operations stand for a person."""
    return session.scalar(select(func.count()).where(PaymentRow.status == "stuck")) or 0


def lease(
    session: Session, worker: str, most: int, now: int, most_old: int | None = None
) -> tuple[list[Work], list[Ended]]:
    """Take up to `most` operations that are due, and the ends that are still to be told, for LEASE_MS.

    The longest due come first; where more are due than can be taken, `most_old` at most that were tried before
    (None: any number), so that a flood of look-ups keeps no new payment waiting.
    """
    query = select(PaymentRow).where(PaymentRow.next_at <= now).order_by(PaymentRow.next_at, PaymentRow.key)
    query = query.limit(most).with_for_update(skip_locked=True)
    rows = list(session.scalars(query))
    if most_old is not None and len(rows) == most:
        old = [row for row in rows if row.tries]
        new = list(session.scalars(query.where(PaymentRow.tries == 0))) if len(old) > most_old else []
        rows = [*old[:most_old], *new, *old[most_old:]][:most] if new else rows
    orders = _orders(session, {row.order_id for row in rows})
    refunded = _refunded(session, orders)
    works, ends = [], []
    for row in rows:
        order = orders[row.order_id]
        if row.tells and order.status not in OPEN:
            sold = order.number is not None
            ends.append(Ended(row.key, order.id, order.session_id, order.status, sold=sold))
        if row.status in WAITING:
            works.append(_work(row, order, _owed(order, row, refunded)))
            row.tries += 1
            row.asked_at = row.asked_at or now
            row.leased_by = worker
        row.next_at = now + LEASE_MS
        row.updated_at = now
    session.flush()
    return works, ends


def _work(row: PaymentRow, order: OrderRow, owed: Owed) -> Work:
    return Work(
        key=row.key,
        order_id=row.order_id,
        provider=row.provider,
        token=row.token or "",
        captures=row.captures,
        email=order.email,
        lease=row.tries + 1,
        operation=replace(_operation(row), tries=row.tries + 1),
        order=owed,
    )


def _operation(row: PaymentRow) -> Operation:
    return Operation(
        kind=row.kind,
        status=row.status,
        amount_minor=row.amount_minor,
        currency=row.currency,
        created_at=row.created_at,
        asked_at=row.asked_at,
        provider_id=row.provider_id,
        action_until=row.action_until,
        tries=row.tries,
        leased=row.leased_by is not None,
    )


def _owed(order: OrderRow, row: PaymentRow, refunded: Mapping[str, tuple[int, int]]) -> Owed:
    """What matters of an order to one of its operations."""
    given, asked = refunded.get(order.id, (0, 0))
    own = row.amount_minor if row.kind == "refund" and row.status not in _SETTLED_REFUND else 0
    return Owed(order.status, order.payment_status, order.total_minor, given, asked - own)


def _orders(session: Session, order_ids: Iterable[str]) -> dict[str, OrderRow]:
    query = select(OrderRow).options(_ORDER).where(OrderRow.id.in_(sorted(order_ids)))
    return {row.id: row for row in session.scalars(query.execution_options(populate_existing=True))}


def _refunded(session: Session, order_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
    """What was given back of each order so far, and what was asked for and is not."""
    given, asked = PaymentRow.status == "succeeded", PaymentRow.status.not_in(_SETTLED_REFUND)
    amounts = [func.coalesce(func.sum(PaymentRow.amount_minor).filter(which), 0) for which in (given, asked)]
    query = select(PaymentRow.order_id, *amounts).where(
        PaymentRow.order_id.in_(list(order_ids)), PaymentRow.kind == "refund"
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in session.execute(query.group_by(PaymentRow.order_id))}


def renew(session: Session, works: Sequence[Work], now: int) -> None:
    """Hold works that are still being asked.

    Never waits: this transaction may hold products that whoever holds such a row wants. A row that is passed
    over keeps its lease until the next time.
    """
    mine = tuple_(PaymentRow.key, PaymentRow.tries).in_([(work.key, work.lease) for work in works])
    free = select(PaymentRow.key).where(mine, PaymentRow.status.in_(WAITING)).with_for_update(skip_locked=True)
    keys = session.scalars(free).all()
    session.execute(update(PaymentRow).where(PaymentRow.key.in_(keys)).values(next_at=now + LEASE_MS))


def set_aside(session: Session, work: Work, now: int) -> None:
    """Leave an operation alone for a minute whose answer could not be written down, so that it holds up no other."""
    mine = (PaymentRow.key == work.key, PaymentRow.tries == work.lease, PaymentRow.status.in_(WAITING))
    session.execute(update(PaymentRow).where(*mine).values(next_at=now + ASIDE_MS, leased_by=None))


# ---------------------------------------------------------------- answers


def answered(
    session: Session,
    answers: Sequence[tuple[Work, Answer | None]],
    told: Sequence[Ended],
    now: int,
    key_ms: Mapping[str, int],
    action_ms: int,
) -> list[Ended]:
    """Write down what answers mean, and which ends the carts' store was told. Answers the orders that ended now.

    An answer counts only while nobody has asked again since, and is judged by what the order is now: it may
    have been cancelled while we asked.
    """
    orders = _lock_orders(session, {work.order_id for work, _ in answers} | {end.order_id for end in told})
    rows = _lock_rows(session, {work.key for work, _ in answers} | {end.key for end in told})
    for end in told:
        if orders[end.order_id].status == end.status:
            _note_told(rows[end.key])
    refunded = _refunded(session, orders)
    changes = _Changes(session, orders, now)
    for work, answer in answers:
        row, order = rows[work.key], orders[work.order_id]
        if row.tries != work.lease or row.status not in WAITING:
            continue
        operation = replace(work.operation, status=row.status, provider_id=row.provider_id)
        owed = _owed(order, row, refunded)
        effect = after(operation, owed, answer, now, key_ms.get(work.provider, KEY_MS), action_ms)
        changes.add(row, order, effect)
        if row.kind == "refund" and effect.status == "succeeded":
            given, asked = refunded[order.id]
            refunded[order.id] = given + row.amount_minor, asked - row.amount_minor
    return changes.write()


def _lock_orders(session: Session, order_ids: Iterable[str]) -> dict[str, OrderRow]:
    # In id order, and before anything else, as everybody who decides on orders does.
    ids = sorted(order_ids)
    session.execute(select(OrderRow.id).where(OrderRow.id.in_(ids)).order_by(OrderRow.id).with_for_update()).all()
    return _orders(session, ids)


def _lock_rows(session: Session, keys: Iterable[str]) -> dict[str, PaymentRow]:
    query = select(PaymentRow).where(PaymentRow.key.in_(list(keys))).order_by(PaymentRow.key).with_for_update()
    return {row.key: row for row in session.scalars(query.execution_options(populate_existing=True))}


def _note_told(row: PaymentRow) -> None:
    row.tells = False
    if row.status not in WAITING:
        row.next_at = None


class _Changes:
    """The effects of a batch of answers, written with as few statements as can be."""

    def __init__(self, session: Session, orders: Mapping[str, OrderRow], now: int) -> None:
        self._session = session
        self._orders = orders
        self._now = now
        self._events: list[tuple[str, tuple[str, str, str | None], int]] = []
        self._confirmed: list[OrderRow] = []
        self._released: list[str] = []
        self._news: list[News] = []
        self._follows: list[tuple[PaymentRow, Next]] = []
        self._ended: list[tuple[PaymentRow, OrderRow]] = []

    def add(self, row: PaymentRow, order: OrderRow, effect: Effect) -> None:
        row.status = effect.status
        row.leased_by = None
        row.updated_at = self._now
        if row.kind == "refund":
            row.result_id = effect.provider_id or row.result_id
            if effect.status == "succeeded":
                self._news.append(News(order.id, "order.refunded", payment_rows.number_of(row.key)))
        else:
            row.provider_id = effect.provider_id or row.provider_id
        if row.kind == "authorize" and effect.status == "succeeded":
            # What was approved, whatever was asked for: somebody may have taken it at the provider meanwhile.
            row.captures = order.payment_status == "captured" or effect.payment_status == "captured"
            row.amount_minor, row.currency = effect.approved or (row.amount_minor, row.currency)
        row.action_url = effect.action_url or row.action_url
        row.action_until = effect.action_until or row.action_until
        if not effect.asked:
            row.asked_at = None
        row.detail = next((detail for _, _, detail in reversed(effect.events) if detail), row.detail)
        if effect.again_in_ms is not None:
            row.next_at = self._now + _jittered(effect.again_in_ms)
        else:  # Its order may have been cancelled while it was asked: that is still to be told.
            row.next_at = self._now if row.tells else None
        self._events += [(order.id, event, row.tries) for event in effect.events]
        if effect.follows:
            self._follows.append((row, effect.follows))
        self._move(row, order, effect)

    def _move(self, row: PaymentRow, order: OrderRow, effect: Effect) -> None:
        if effect.payment_status:
            order.payment_status = effect.payment_status
        if effect.failure:
            order.failure = {
                "code": effect.failure.code,
                "message": effect.failure.message,
                "retryable": effect.failure.retryable,
                "stage": effect.failure.stage,
                "items": [],
            }
            order.failure_code = effect.failure.code
        if effect.order_status:
            left = order.status == "requires_action"
            order.status = effect.order_status
            self._news.append(News(order.id, f"order.{order.status}", away=left))
            if order.status == "confirmed":
                self._confirmed.append(order)
            if order.status not in OPEN:
                row.tells = True
                row.next_at = self._now + LEASE_MS
            if order.status not in OPEN or order.status == "requires_action":
                self._ended.append((row, order))
        if effect.releases:
            self._released.append(order.id)
        order.updated_at = max(self._now, order.updated_at + 1)

    def write(self) -> list[Ended]:
        """In the order in which settlements lock: products, then the counter of numbers."""
        released = release(self._session, self._released, self._now)
        numbers = next_numbers(self._session, len(self._confirmed))
        for order, number in zip(self._confirmed, numbers, strict=True):
            order.number = number
        self._session.flush()
        self._follow()
        add_events(self._session, self._events, self._now)
        notices.announce(self._session, self._news, self._now)
        return [
            Ended(row.key, order.id, order.session_id, order.status, released.get(order.id, ()))
            for row, order in self._ended
        ]

    def _follow(self) -> None:
        if not self._follows:
            return
        order_ids = {row.order_id for row, _ in self._follows}
        query = select(PaymentRow.key, PaymentRow.kind, PaymentRow.order_id).where(PaymentRow.order_id.in_(order_ids))
        known = self._session.execute(query).all()
        keys, refunds = {key for key, _, _ in known}, Counter(order for _, kind, order in known if kind == "refund")
        new = []
        for row, follow in self._follows:
            refunds[row.order_id] += follow.kind == "refund"
            number = refunds[row.order_id] if follow.kind == "refund" else 0
            currency = follow.currency or row.currency
            what = (row.order_id, follow.kind, row.provider, follow.amount_minor, currency, self._now)
            values = new_row(*what, number=number, provider_id=row.provider_id)
            if values["key"] not in keys:
                new.append(values)
                keys.add(values["key"])
        payment_rows.insert(self._session, new)


def add_operation(
    session: Session,
    payment: PaymentRow,
    kind: str,
    amount_minor: int,
    now: int,
    *,
    reason: str | None = None,
    actor: str | None = None,
) -> PaymentRow | None:
    """Something more to tell the provider about a payment; None when it is being told already."""
    number = 0
    if kind == "refund":
        same = select(func.count()).where(PaymentRow.order_id == payment.order_id, PaymentRow.kind == kind)
        number = (session.scalar(same) or 0) + 1
    currency = payment.currency
    values = new_row(
        payment.order_id,
        kind,
        payment.provider,
        amount_minor,
        currency,
        now,
        number=number,
        provider_id=payment.provider_id,
        reason=reason,
        actor=actor,
    )
    if session.get(PaymentRow, values["key"]) is not None:
        return None
    row = PaymentRow(**values)
    session.add(row)
    session.flush()
    return row


def release(
    session: Session, order_ids: Sequence[str], now: int, actor: str | None = None
) -> dict[str, tuple[str, ...]]:
    """Give back what orders took, once each: the ledger's unique key forbids a second time.

    Answers the products of each order.
    """
    if not order_ids:
        return {}
    query = select(OrderItemRow.order_id, OrderItemRow.product_id, func.sum(OrderItemRow.quantity))
    query = query.where(OrderItemRow.order_id.in_(order_ids))
    lines = session.execute(query.group_by(OrderItemRow.order_id, OrderItemRow.product_id)).all()
    movements = [(product_id, "released", int(units), order_id, None, now) for order_id, product_id, units in lines]
    stock.give_back(session, movements, actor)
    products: dict[str, tuple[str, ...]] = {}
    for order_id, product_id, _ in lines:
        products[order_id] = (*products.get(order_id, ()), product_id)
    return products


def add_events(session: Session, events: Sequence[tuple[str, tuple[str, str, str | None], int]], now: int) -> None:
    """The next entries of timelines: order, (stage, outcome, detail), attempt. The orders are locked."""
    if not events:
        return
    ids = sorted({order_id for order_id, _, _ in events})
    last = select(OrderEventRow.order_id, func.max(OrderEventRow.seq)).where(OrderEventRow.order_id.in_(ids))
    seq = {row[0]: int(row[1]) for row in session.execute(last.group_by(OrderEventRow.order_id))}
    rows = []
    for order_id, (stage, outcome, detail), attempt in events:
        seq[order_id] = seq.get(order_id, 0) + 1
        rows.append((order_id, seq[order_id], stage, now, max(attempt, 1), outcome, detail))
    insert_events(session, rows)


def _jittered(ms: int) -> int:
    """Up to a fifth more, so that what failed together does not come back together."""
    return ms + random.randrange(ms // 5 + 1)  # noqa: S311 - nobody gains by guessing it


# ---------------------------------------------------------------- what else may happen


def can_be_poked(session: Session, provider: str, provider_id: str | None, order_id: str | None, now: int) -> bool:
    """Whether `poke` would concern any payment."""
    query = select(PaymentRow.key).where(*_poked(provider, provider_id, order_id, now)).limit(1)
    return session.scalar(query) is not None


def poke(session: Session, provider: str, provider_id: str | None, order_id: str | None, now: int) -> int:
    """Somebody says that something happened to a payment: look soon. Answers how many that concerns.

    Nothing they say is believed. A payment that is just being asked is left alone: its answer is on the way.
    """
    query = update(PaymentRow).where(*_poked(provider, provider_id, order_id, now)).values(next_at=now)
    return len(session.execute(query.returning(PaymentRow.key)).all())


def _poked(provider: str, provider_id: str | None, order_id: str | None, now: int) -> Sequence[ColumnElement[bool]]:
    """The payments of this provider that go by either name and wait; by ours alone while theirs was lost."""
    names = [PaymentRow.provider_id == provider_id] if provider_id else []
    names += [PaymentRow.order_id == order_id] if order_id else []
    return (
        or_(false(), *names),
        PaymentRow.provider == provider,
        PaymentRow.status.in_(WAITING),
        PaymentRow.leased_by.is_(None),
        PaymentRow.next_at > now,
    )


def rows_of(session: Session, order_ids: Sequence[str], *, lock: bool = False) -> dict[str, list[PaymentRow]]:
    """What providers were told of these orders, oldest first; locked, and as they are then, for who decides on them."""
    found: dict[str, list[PaymentRow]] = {order_id: [] for order_id in order_ids}
    query = select(PaymentRow).where(PaymentRow.order_id.in_(order_ids))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    for row in session.scalars(query.order_by(PaymentRow.order_id, PaymentRow.created_at, PaymentRow.key)):
        found[row.order_id].append(row)
    return found


def undo(session: Session, order: OrderRow, now: int, actor: str | None = None) -> str:
    """What becomes of the money of an order that was just cancelled, on a locked row. Answers its payment status.

    Nothing is guessed: what was asked and not answered is worked on until it is known, and then voided or
    given back.
    """
    # Locked: who takes them up locks them alone, and what is being asked just now must not be dropped.
    rows = rows_of(session, [order.id], lock=True)[order.id]
    first = next((row for row in rows if row.kind == "authorize"), None)
    if first is None:
        return payment_when_cancelled(order.payment_status)
    for row in rows:
        _cancel(row, now)
    first.tells = True
    first.next_at = now if first.leased_by is None else first.next_at
    session.flush()
    if order.payment_status == "pending" and first.status == "dropped":
        return "voided"
    if follow := to_undo([_operation(row) for row in rows], order.payment_status):
        reason = "cancelled" if follow.kind == "refund" else None
        add_operation(session, first, follow.kind, follow.amount_minor, now, actor=actor, reason=reason)
    return order.payment_status


def _cancel(row: PaymentRow, now: int) -> None:
    status = when_cancelled(_operation(row))
    if status == "dropped":
        row.next_at = None
    elif status in WAITING and row.leased_by is None:
        row.next_at = now
    row.status = status


def operation(row: PaymentRow) -> Operation:
    """A row as the rules see it."""
    return _operation(row)


def resolve(
    session: Session, row: PaymentRow, order: OrderRow, answer: Answer, now: int, key_ms: int, action_ms: int
) -> list[Ended]:
    """Apply what a person saw at the provider as if the provider had said it; both rows are locked.

    Answers the order if it ended by that. Raises ImpossibleTransition for what cannot have been.
    """
    owed = _owed(order, row, _refunded(session, [order.id]))
    effect = after(_operation(row), owed, answer, now, key_ms, action_ms)
    changes = _Changes(session, {order.id: order}, now)
    changes.add(row, order, effect)
    return changes.write()
