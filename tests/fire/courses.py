"""The ways to a fail point: what shopper and merchant do, when somebody dies, and what must be true after it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from carts import keys
from db.models import OrderRow
from tasks.checkout import MOST_TRIES
from tasks.queues import CHECKOUT, PAYMENTS
from tests.fire.client import LoggingShopper
from tests.fire.grounds import BATCH, PRODUCT, RECOVERY_SECONDS, Ground, eventually, patiently
from tests.fire.places import OUTCOMES, Case
from tests.processes import Answer

REFUND_MINOR = 100
UNHEARD_MS = 1200
"""So long nobody rings: what is accepted meanwhile waits, and is found together by the upkeep."""
LEFT_ALONE_MS = 4000
"""So long nobody rings for a payment that is half done."""


@dataclass
class Purchase:
    """One shopper's order on its way, and what must become of it."""

    ground: Ground
    token: str | None
    key: str
    expected: str
    shopper: LoggingShopper = field(init=False)
    order_id: str = ""
    refunded_minor: int = 0

    def __post_init__(self) -> None:
        self.shopper = self.ground.shopper()
        patiently(lambda: self.shopper.add(PRODUCT), 200)

    def accept(self) -> None:
        """Check out, as often as it takes, with the same key."""
        answer = patiently(self._check_out, 202)
        self.order_id = answer.body["id"]

    def _check_out(self) -> Answer:
        paid = {} if self.token is None else {"payment_method": "card", "payment_token": self.token}
        return self.shopper.check_out(paid, key=self.key)

    # ------------------------------------------------------------ what must be true in the end

    def verify(self) -> None:
        """Order, money, cart and replay; raises AssertionError with what is wrong."""
        self.ground.over(self.order_id)
        self.ground.rest()
        order = self.shopper.outcome(self.order_id, RECOVERY_SECONDS)
        assert order["status"] == self.expected, f"the order is {order['status']}, not {self.expected}"
        row = self.ground.row(self.order_id)
        self._verify_money(row)
        told = f"the merchant to be told that order {self.order_id} is {row.status}"
        eventually(lambda: self.ground.was_told(self.order_id, row.status), RECOVERY_SECONDS, told)
        given_back = row.status == "failed" or (row.status == "cancelled" and row.number is None)
        units = sum(item["quantity"] for item in order["items"])
        cart = patiently(self.shopper.cart, 200).body
        there = {item["product_id"]: item["quantity"] for item in cart["items"]}
        assert there == ({PRODUCT: units} if given_back else {}), f"the cart of a {row.status} order has {there}"
        replay = patiently(self._check_out, 202)
        assert replay.body["id"] == self.order_id, f"the replay made {replay.body['id']} of {self.order_id}"
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert self.shopper.orders(final=True) == [self.order_id]
        self.ground.stock -= units if row.status == "confirmed" else 0

    def _verify_money(self, row: OrderRow) -> None:
        account = self.ground.account(self.order_id)
        if self.token is None:
            assert account is None, f"an invoice, and the provider has {account}"
            return
        assert account is not None, "the provider was never asked"
        taken, given, held = account.captured_minor, account.refunded_minor, account.held_minor
        assert (account.misuses, account.open, held) == (0, 0, 0), account
        if row.status == "failed":
            assert account.charges == taken == 0, account
        elif row.status == "confirmed":
            assert (account.charges, taken, given) == (1, row.total_minor, self.refunded_minor), account
        else:
            assert account.charges <= 1, account
            assert taken == given, account


@dataclass
class Story:
    """One case from its first click to its books."""

    ground: Ground
    case: Case
    attempt: int = 1
    purchase: Purchase = field(init=False)
    others: list[Purchase] = field(default_factory=list)
    died_at: float = 0.0
    recovered_seconds: float = 0.0

    def __post_init__(self) -> None:
        expected = "failed" if self.case.outcome == "decline" else "confirmed"
        self.purchase = Purchase(self.ground, OUTCOMES[self.case.outcome], self._key("own"), expected)

    def _key(self, whose: str) -> str:
        return f"{self.case.name}/{self.attempt}/{whose}"

    def run(self) -> None:
        COURSES[self.case.course](self)

    def verify(self) -> None:
        for purchase in (self.purchase, *self.others):
            if purchase.order_id:
                purchase.verify()
                if purchase is self.purchase:
                    self.recovered_seconds = time.monotonic() - self.died_at
        on_hand = self.ground.on_hand()
        assert on_hand == self.ground.stock, f"{on_hand} are on hand, {self.ground.stock} should be"

    # ------------------------------------------------------------ what courses are made of

    def strike(self, act: Callable[[], None], last: Callable[[], None] | None = None) -> None:
        """Arm the point, act, and kill who comes to it, while the act goes on as best it can.

        `last` is done while somebody stands still at the point.
        """
        marker = self.ground.arm(self.case.point)
        with ThreadPoolExecutor(1) as pool:
            acting = pool.submit(act)
            pid = self.ground.reached(marker, self.case.point)
            if last:
                last()
            self.died_at = self.ground.kill(pid, self.case.victim)
            acting.result()

    def strike_before(self, first: Callable[[], None]) -> None:
        """Arm the point, and let the checkout come while somebody stands still at it."""
        marker = self.ground.arm(self.case.point)
        first()
        pid = self.ground.reached(marker, self.case.point)
        self.purchase.accept()
        self.died_at = self.ground.kill(pid, self.case.victim)

    def joined_by(self, count: int, expected: str = "confirmed") -> None:
        """More shoppers, who pay on invoice."""
        self.others = [Purchase(self.ground, None, self._key(f"other-{n}"), expected) for n in range(count)]

    def accept_unheard(self) -> None:
        """All check out, and the worker learns of it only when upkeep finds them."""
        self.quiet(CHECKOUT, UNHEARD_MS)
        for purchase in (self.purchase, *self.others):
            purchase.accept()

    def quiet(self, queue: str, ms: int) -> None:
        with self.ground.redis() as redis:
            redis.set(keys.doorbell(queue), "1", px=ms)

    def is_half_paid(self) -> bool:
        return self.case.outcome in ("timeout", "action")

    @contextmanager
    def settled(self) -> Iterator[None]:
        """The order is paid for; or it is half paid, and for the moment nobody goes on with it."""
        self.purchase.accept()
        if not self.is_half_paid():
            self.ground.rest()
            yield
            return
        state = {"timeout": ("processing", "unknown"), "action": ("requires_action", "pending")}[self.case.outcome]
        order_id = self.purchase.order_id
        eventually(lambda: self.ground.state(order_id) == state, RECOVERY_SECONDS, f"the order to be {state}")
        self.quiet(PAYMENTS, LEFT_ALONE_MS)
        yield
        with suppress(RedisError), self.ground.redis() as redis:
            redis.delete(keys.doorbell(PAYMENTS))


def checkout(story: Story) -> None:
    with story.ground.redis() as redis:  # Whoever is accepted must ring.
        redis.delete(keys.doorbell(CHECKOUT), keys.doorbell(PAYMENTS))
    story.strike(story.purchase.accept)


def crowd(story: Story) -> None:
    """More than a batch at once."""
    story.joined_by(BATCH)
    story.strike(story.accept_unheard)


def unheard(story: Story) -> None:
    """A ring that nobody heard."""
    story.strike(story.accept_unheard)


def poisoned(story: Story) -> None:
    """Another's checkout cannot be written for a while."""
    story.joined_by(1)
    with ExitStack() as stack:
        with story.ground.halted(CHECKOUT):
            story.accept_unheard()
            relent = stack.enter_context(story.ground.refuses_stock_of(story.others[0].order_id))
        story.strike(lambda: None, last=relent)


def hopeless(story: Story) -> None:
    """Another's checkout can never be written, and has been tried often enough."""
    story.joined_by(1, expected="failed")
    other = story.others[0]
    with ExitStack() as stack:
        with story.ground.halted(CHECKOUT):
            story.accept_unheard()
            with story.ground.redis() as redis:
                redis.hset(keys.accepted(other.order_id), "tries", MOST_TRIES - 1)
            stack.enter_context(story.ground.refuses_stock_of(other.order_id))
        story.strike(lambda: None)
        story.ground.over(other.order_id)


def upkeep(story: Story) -> None:
    story.strike_before(story.ground.write_something)


def leaving(story: Story) -> None:
    """A worker is asked to stop, and is killed while it does."""
    story.strike_before(lambda: os.kill(story.ground.worker(CHECKOUT), signal.SIGTERM))


def cancel(story: Story) -> None:
    order = story.purchase
    with story.settled():
        story.strike(lambda: _answered(patiently(lambda: order.shopper.cancel(order.order_id), 200)))
    order.expected = "cancelled"


def change(story: Story) -> None:
    """The merchant cancels; who was not answered and asks again may learn that it is done."""
    with story.settled():
        path = f"/orders/{story.purchase.order_id}/cancel"
        story.strike(lambda: _answered(patiently(lambda: story.ground.merchant("POST", path, {}), 200, 409)))
    story.purchase.expected = "cancelled"


def refund(story: Story) -> None:
    """The merchant gives some of the money back; what was paid by invoice, by hand."""
    story.purchase.accept()
    story.ground.rest()
    path, merchant = f"/orders/{story.purchase.order_id}", story.ground.merchant
    if story.case.outcome == "invoice":
        patiently(lambda: merchant("POST", f"{path}/payments", {}), 201)
    body: dict[str, Any] = {"amount": "1.00"}
    key = {"Idempotency-Key": story.case.name}
    story.strike(lambda: _answered(patiently(lambda: merchant("POST", f"{path}/refunds", body, **key), 201)))
    story.purchase.refunded_minor = REFUND_MINOR


def poke(story: Story) -> None:
    """The shopper comes back from the provider's page."""
    order = story.purchase
    with story.settled():
        path = f"/api/payments/return/{order.order_id}"
        story.strike(lambda: _answered(patiently(lambda: order.shopper.ask("GET", path), 200)))


def _answered(_: Answer) -> None:
    """Whatever it says: it was asked until it was answered."""


COURSES: dict[str, Callable[[Story], None]] = {
    "checkout": checkout,
    "crowd": crowd,
    "unheard": unheard,
    "poisoned": poisoned,
    "hopeless": hopeless,
    "upkeep": upkeep,
    "leaving": leaving,
    "cancel": cancel,
    "change": change,
    "refund": refund,
    "poke": poke,
}
"""By the names that tests.fire.places gives them."""
