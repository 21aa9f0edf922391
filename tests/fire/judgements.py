"""The promises as checks over the evidence: each names what breaks it, and asks none of the code that is judged."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from payments.sandbox_store import Account
from shop.money import exponent, parse_amount
from shop.orders import OPEN, TRANSITIONS
from tests.fire.evidence import Event, Evidence, Order, Payment, Request

CLOCK_SLACK_MS = 2000
"""Between what a client and a store call now."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise: which, of what, how, and all that is known of it."""

    promise: str
    subject: str
    message: str
    history: tuple[str, ...] = ()


Findings = Iterator[Finding]


def _of_order(evidence: Evidence, promise: str, order_id: str, message: str) -> Finding:
    return Finding(promise, f"order {order_id}", message, evidence.history(order_id))


def audited(evidence: Evidence) -> Findings:
    """The product's own audit finds nothing: stock, ledger and lines agree, and all the rest it proves."""
    for violation in evidence.audited:
        order_id = next((word for word in violation.subject.split() if word in evidence.orders), None)
        history = evidence.history(order_id) if order_id else ()
        yield Finding(violation.promise, violation.subject, violation.message, history)


def accepted(evidence: Evidence) -> Findings:
    """P1, P6, P8: what was accepted is an order, is over, and is what the shopper was shown, for no more money."""
    for order_id, requests in evidence.accepted.items():
        order = evidence.orders.get(order_id)
        if order is None:
            yield _of_order(evidence, "P1", order_id, "was accepted, and there is no such order")
            continue
        for message in _other_than_shown(evidence, order, requests):
            yield _of_order(evidence, "P6", order_id, message)
    for order in evidence.orders.values():
        if order.status in OPEN:
            yield _of_order(evidence, "P1", order.id, f"is still {order.status}")
        busy = [p for p in evidence.payments.get(order.id, ()) if p.next_at is not None or p.status in _BUSY]
        for payment in busy:
            if payment.is_unheard_of(order.status):
                continue
            yield _of_order(evidence, "P5", order.id, f"its {payment.kind} is still {payment.status}")


_BUSY = ("due", "unknown", "action")


def _other_than_shown(evidence: Evidence, order: Order, requests: list[Request]) -> Iterator[str]:
    for told in (request.told for request in requests if request.told):
        if told.lines is not None and told.lines != evidence.lines[order.id]:
            yield f"was accepted with {told.lines}, and has {dict(evidence.lines[order.id])}"
        if told.total is not None:
            shown = parse_amount(told.total, exponent(order.currency))
            if order.total_minor > shown:
                yield f"costs {order.total_minor}, the shopper was shown {shown}"


def found(evidence: Evidence) -> Findings:
    """P1: from the moment it was accepted an order is there for its shopper."""
    since = {
        (request.asked.session, order_id): min(each.told.at for each in requests if each.told)
        for order_id, requests in evidence.accepted.items()
        for request in requests
    }
    for request in evidence.requests:
        asked = request.asked
        accepted_at = since.get((asked.session, asked.order_id or ""))
        if request.status == 404 and asked.order_id and accepted_at is not None and accepted_at < asked.at:
            yield _of_order(evidence, "P1", asked.order_id, f"was accepted, and {asked.action} was answered 404")


def wanted(evidence: Evidence) -> Findings:
    """P2: every order was asked for, and no request made two."""
    told = set(evidence.accepted)
    unclear: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for request in evidence.requests:
        if request.asked.action == "checkout" and request.unclear:
            unclear[request.asked.session, request.asked.key].append(request.asked.at)
    sessions = {entry.session for entry in evidence.entries}
    for order in sorted(evidence.orders.values(), key=lambda order: order.accepted_at):
        if order.id in told:
            continue
        begun = unclear[order.session_id, order.idempotency_key]
        if order.session_id not in sessions:
            yield _of_order(evidence, "P2", order.id, "nobody in the logs asked for it: its session is unknown")
        elif not begun or begun[0] > order.accepted_at + CLOCK_SLACK_MS:
            yield _of_order(evidence, "P2", order.id, "nobody asked for it: no checkout is left that may have made it")
        else:
            begun.pop(0)


def replayed(evidence: Evidence) -> Findings:
    """P2: an idempotency key is answered with the same order however often it is used."""
    first: dict[tuple[str, str], str] = {}
    for request in evidence.requests:
        told = request.told
        if told is None or told.key is None or told.status not in (200, 202) or told.order_id is None:
            continue
        before = first.setdefault((told.session, told.key), told.order_id)
        if before != told.order_id:
            message = f"key {told.key} was answered with order {before} and with {told.order_id}"
            yield _of_order(evidence, "P2", before, message)


def own(evidence: Evidence) -> Findings:
    """What a session was told of is its own."""
    seen: set[tuple[str, str]] = set()
    for entry in evidence.entries:
        if entry.what != "told" or entry.status is None:
            continue
        for order_id in [*([entry.order_id] if entry.order_id else []), *(entry.ids or ())]:
            if (entry.session, order_id) in seen:
                continue
            seen.add((entry.session, order_id))
            order = evidence.orders.get(order_id)
            if order is None and order_id not in evidence.accepted:
                yield _of_order(evidence, "P1", order_id, f"was told to {entry.session}, and there is no such order")
            elif order is not None and order.session_id != entry.session:
                message = f"was told to session {entry.session}, and is of {order.session_id}"
                yield _of_order(evidence, "own", order_id, message)


def histories(evidence: Evidence) -> Findings:
    """A history lists every order that was over before it was asked for; one read at rest lists exactly all.

    With Redis away an order that is not in SQL yet may be left out.
    """
    over: dict[str, dict[str, int]] = defaultdict(dict)
    for entry in evidence.entries:
        if entry.order_id and entry.order_status and entry.order_status not in OPEN:
            known = over[entry.session]
            known[entry.order_id] = min(entry.at, known.get(entry.order_id, entry.at))
    for request in evidence.requests:
        if request.asked.action != "orders" or request.told is None or request.told.ids is None:
            continue
        session, ids = request.asked.session, request.told.ids
        expected = {order_id for order_id, at in over[session].items() if at < request.asked.at}
        if request.asked.final:
            expected = {order.id for order in evidence.by_session[session]}
        for order_id in sorted(expected - set(ids)):
            yield _of_order(evidence, "history", order_id, f"is not in the history of its session {session}")
        for order_id, times in Counter(ids).items():
            if times > 1:
                yield _of_order(evidence, "history", order_id, f"is {times} times in the history of {session}")


def units(evidence: Evidence) -> Findings:
    """P7: what a session put in its cart, and did not take out, is still there or in exactly one standing order."""
    for (session, product_id), chosen in chosen_units(evidence).items():
        standing = [order for order in evidence.by_session[session] if not order.given_back]
        ordered = sum(evidence.lines[order.id][product_id] for order in standing)
        in_cart = evidence.carts[session][product_id]
        if not chosen.least <= ordered + in_cart <= chosen.most:
            wanted = f"{chosen.least}" if chosen.exact else f"{chosen.least} to {chosen.most}"
            message = f"{wanted} were put in the cart; {in_cart} are there and {ordered} in orders"
            with_it = [order for order in evidence.by_session[session] if evidence.lines[order.id][product_id]]
            history = tuple(line for order in with_it for line in evidence.history(order.id))
            yield Finding("P7", f"{product_id} of session {session}", message, history)


@dataclass
class Chosen:
    """How many units of a product a session put into its cart less what it took out again."""

    sure: int = 0
    added: int = 0
    perhaps: int = 0
    loose: bool = False
    """Some were taken out, and nobody knows how many."""

    @property
    def least(self) -> int:
        return 0 if self.loose else self.sure

    @property
    def most(self) -> int:
        return (self.added if self.loose else self.sure) + self.perhaps

    @property
    def exact(self) -> bool:
        return self.least == self.most

    def change(self, by: int) -> None:
        self.sure += by
        self.added += max(by, 0)


def chosen_units(evidence: Evidence) -> dict[tuple[str, str], Chosen]:
    """For every session and product what the log says was chosen."""
    found: dict[tuple[str, str], Chosen] = defaultdict(Chosen)
    for request in evidence.requests:
        judge = {"add": _added, "set": _set}.get(request.asked.action)
        if judge and request.asked.product_id:
            judge(found[request.asked.session, request.asked.product_id], request)
    for session, product_id in _holdings(evidence):
        found[session, product_id].change(0)
    cleared = {request.asked.session for request in evidence.requests if request.asked.action == "clear"}
    for (session, _), chosen in found.items():
        chosen.loose |= session in cleared
    return found


def _holdings(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """Every session and product of a cart, and of an order of a session that the logs know."""
    for session, cart in evidence.carts.items():
        yield from ((session, product_id) for product_id in cart)
        for order in evidence.by_session[session]:
            yield from ((session, product_id) for product_id in evidence.lines[order.id])


def _added(chosen: Chosen, request: Request) -> None:
    quantity = request.asked.quantity or 0
    if request.status == 200:
        chosen.change(quantity)
    elif request.unclear:
        chosen.perhaps += quantity


def _set(chosen: Chosen, request: Request) -> None:
    asked, told = request.asked, request.told
    quantity, before, after = asked.quantity or 0, asked.before, told.cart if told else None
    if request.status in (400, 409, 422):
        return
    # Only who was told the version just before knows how many there were: give-backs add to a cart at any time.
    if before and after and before.id is not None and (before.id, before.version + 1) == (after.id, after.version):
        chosen.change(quantity - before.lines.get(asked.product_id or "", 0))
    else:
        chosen.loose = True
        chosen.perhaps += quantity


def charges(evidence: Evidence) -> Findings:
    """P5: by the provider's own books each order cost its shopper what it should, once."""
    for order_id, account in evidence.accounts.items():
        if account.misuses:
            yield _of_order(
                evidence, "P5", order_id or "(none)", f"{account.misuses} calls to the provider were mistakes"
            )
        if order_id and order_id not in evidence.orders:
            yield _of_order(evidence, "P5", order_id, f"cost {account.captured_minor}, and there is no such order")
    for order in evidence.orders.values():
        rows = evidence.payments.get(order.id, [])
        account = evidence.accounts.get(order.id) or Account(order.id, 0, 0, 0, 0, 0, 0, 0)
        for message in _wrong_charge(order, rows, account):
            yield _of_order(evidence, "P5", order.id, message)


WITHOUT_PROVIDER = frozenset({"invoice", "cash_on_delivery"})
"""The methods of shop.toml that are paid outside the shop."""


def _wrong_charge(order: Order, rows: list[Payment], account: Account) -> Iterator[str]:
    if account.charges > 1:
        yield f"was charged {account.charges} times"
    if any(row.status == "stuck" for row in rows):
        yield "stands for a person, which nothing in so short a run explains"
        return
    by_provider = order.payment_method not in WITHOUT_PROVIDER
    if by_provider and order.status == "confirmed" and not rows:
        yield "is confirmed, and no provider was asked"
    kept = account.captured_minor - account.refunded_minor
    if order.status == "confirmed" and by_provider:
        yield from _wrong_confirmed(order, account, kept)
        return
    if kept and not any(row.kind == "refund" and row.status == "refused" for row in rows):
        yield f"is {order.status}, and {kept} are taken"
    if account.held_minor:
        yield f"is {order.status}, and {account.held_minor} are held"
    if account.open:
        yield f"is {order.status}, and {account.open} payments wait for the shopper"


def _wrong_confirmed(order: Order, account: Account, kept: int) -> Iterator[str]:
    if not account.charges:
        yield "is confirmed, and the provider approved nothing"
    match order.payment_status:
        case "captured":
            good = (kept, account.refunded_minor, account.held_minor) == (order.total_minor, 0, 0)
        case "authorized":
            good = (account.captured_minor, account.held_minor) == (0, order.total_minor)
        case "refunded":
            good = (kept, account.held_minor) == (0, 0)
        case "partially_refunded":
            good = 0 < kept < order.total_minor and not account.held_minor
        case _:
            good = False
    if not good:
        yield f"is confirmed and {order.payment_status} for {order.total_minor}, the provider's books say {account}"


MOVES: dict[str, tuple[tuple[str, str], ...]] = {
    "accepted": (),
    "stock_taken": (),
    "requires_action": (("status", "requires_action"),),
    "confirmed": (("status", "confirmed"),),
    "failed": (("status", "failed"),),
    "cancelled": (("status", "cancelled"),),
    "payment_authorized": (("payment_status", "authorized"),),
    "payment_captured": (("payment_status", "captured"),),
    "payment_voided": (("payment_status", "voided"),),
    "payment_declined": (("payment_status", "failed"),),
    "partially_shipped": (("fulfillment_status", "partially_shipped"),),
    "shipped": (("fulfillment_status", "shipped"),),
    "delivered": (("fulfillment_status", "delivered"),),
    "returned": (("fulfillment_status", "returned"),),
}
"""What a stage of the timeline says that an order became."""
AGAIN = {"payment_voided", "partially_shipped"}
"""Stages that may be told once more of an order that is that already."""


def transitions(evidence: Evidence) -> Findings:
    """The timeline tells only moves that are possible, in their order, and ends where the order is."""
    for order in evidence.orders.values():
        for message in _forbidden(order, evidence.timelines.get(order.id, [])):
            yield _of_order(evidence, "timeline", order.id, message)
    for message, order_id in _told_otherwise(evidence):
        yield _of_order(evidence, "timeline", order_id, message)


def _forbidden(order: Order, events: list[Event]) -> Iterator[str]:
    stages = [event.stage for event in events]
    now = {"status": "pending", "payment_status": "none", "fulfillment_status": "unfulfilled"}
    for place, event in enumerate(events):
        if (event.stage == "accepted") != (place == 0):
            yield f"its timeline has {event.stage} as entry {place + 1}: {stages}"
        if event.stage == "stock_taken" and place != 1:
            yield f"took stock as entry {place + 1} of its timeline: {stages}"
        if event.stage == "confirmed" and "stock_taken" not in stages[:place]:
            yield f"was confirmed without stock: {stages}"
        for kind, to in MOVES.get(event.stage, ()):
            if to != now[kind] and not _reachable(kind, now[kind], to):
                yield f"{kind} went from {now[kind]} to {to}: {stages}"
            elif to == now[kind] and event.stage not in AGAIN:
                yield f"{kind} became {to} twice: {stages}"
            now[kind] = to
    for kind, told in now.items():
        is_now = getattr(order, kind)
        silent = kind == "payment_status" or (kind == "status" and is_now in OPEN)
        if is_now != told and not (silent and _reachable(kind, told, is_now)):
            yield f"{kind} is {is_now}, its timeline ends at {told}: {stages}"


def _reachable(kind: str, now: str, to: str) -> bool:
    """Whether one may become the other, perhaps through states that the timeline does not name."""
    silent = {"status": OPEN, "payment_status": {"pending", "unknown", "partially_refunded", "refunded", "voided"}}
    table, seen, ahead = TRANSITIONS[kind], {now}, [now]
    while ahead:
        state = ahead.pop()
        if to in table[state]:
            return True
        ahead += [each for each in table[state] & set(silent.get(kind, ())) if each not in seen]
        seen.update(ahead)
    return False


def _told_otherwise(evidence: Evidence) -> Iterator[tuple[str, str]]:
    """What a shopper was told of an order can have become what they were told later, and what it is."""
    told: dict[str, list[Request]] = defaultdict(list)
    for request in evidence.requests:
        if request.told and request.told.order_id and request.told.order_status:
            told[request.told.order_id].append(request)
    for order_id, requests in sorted(told.items()):
        for earlier, later in _backwards(requests):
            yield f"was told to be {earlier}, and later {later}", order_id
        order = evidence.orders.get(order_id)
        for status in sorted({request.told.order_status or "" for request in requests if request.told}):
            if order and status != order.status and not _becomes(status, order.status):
                yield f"is {order.status}, and the shopper was told {status}", order_id


def _backwards(requests: Sequence[Request]) -> Iterator[tuple[str, str]]:
    """Pairs of states that were told in this order, the first before the second was asked for, and cannot follow.

    Without checkouts: a replay repeats what the first one was told.
    """
    requests = [request for request in requests if request.asked.action != "checkout"]
    told = sorted((request.told for request in requests if request.told), key=lambda entry: entry.at)
    known, position = "", 0
    for request in sorted(requests, key=lambda request: request.asked.at):
        while position < len(told) and told[position].at < request.asked.at:
            known, position = told[position].order_status or "", position + 1
        now = request.told.order_status if request.told else None
        if known and now and known != now and not _becomes(known, now):
            yield known, now


def _becomes(now: str, to: str) -> bool:
    return _reachable("status", now, to)


def honest(evidence: Evidence) -> Findings:
    """P8: no answer is a server's error but 503, and that says when to come back."""
    for entry in evidence.entries:
        if entry.what != "told" or (entry.status or 0) < 500:
            continue
        if entry.status != 503 or not entry.retry_after:
            yield Finding(
                "P8", f"{entry.action} of session {entry.session}", f"was answered {entry.status} {entry.code}"
            )


JUDGEMENTS: dict[str, Callable[[Evidence], Findings]] = {
    "the audit": audited,
    "accepted checkouts": accepted,
    "orders that are found": found,
    "orders that were wanted": wanted,
    "replays": replayed,
    "orders of one's own": own,
    "histories": histories,
    "units": units,
    "charges": charges,
    "transitions": transitions,
    "honest answers": honest,
}


def counts(evidence: Evidence) -> dict[str, int]:
    """How much was looked at."""
    statuses = Counter(order.status for order in evidence.orders.values())
    chosen = chosen_units(evidence)
    requests = evidence.requests
    answered = Counter(request.status for request in requests)
    return {
        "requests": len(requests),
        "requests without an answer": answered[None],
        "answers of 503": answered[503],
        "sessions": len(evidence.carts),
        "checkouts asked for": sum(request.asked.action == "checkout" for request in requests),
        "orders accepted": len(evidence.accepted),
        "orders in SQL": len(evidence.orders),
        **{f"orders {status}": count for status, count in sorted(statuses.items())},
        "replays": sum(bool(request.told and request.told.replayed) for request in requests),
        "payments": sum(map(len, evidence.payments.values())),
        "charges": sum(account.charges for account in evidence.accounts.values()),
        "captured_minor": sum(account.captured_minor for account in evidence.accounts.values()),
        "histories read": sum(request.asked.action == "orders" and request.status == 200 for request in requests),
        "units chosen": sum(each.sure for each in chosen.values()),
        "products in carts and orders": len(chosen),
        "of these known exactly": sum(each.exact for each in chosen.values()),
        "rows audited": evidence.audited_rows,
    }
