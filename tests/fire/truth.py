"""What is true of a shop: the rules that hold for its shelves, carts and orders, and nothing of how it keeps them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SHOPPERS = ("Ada", "Bob", "Cyd")
PRODUCTS = {"MUG": (1000, 3), "CUP": (2500, 6), "JAR": (7400, 1)}
"""Price and units of each at the beginning. JAR is just below free delivery."""
PRICES = (300, 1000, 1001, 2500, 7400)
MOST_UNITS, WEIGHT_GRAMS = 20, 100
DELIVERY_MINOR, DELIVERY_PER_KG_MINOR, FREE_OVER_MINOR, TAX_PPM = 490, 80, 7500, 72_500
MINUTE, DAY = 60, 24 * 3600


def money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


@dataclass
class Shelf:
    price: int
    units: int
    active: bool = True
    sold: bool = False
    """An order ever took units of it."""

    def why_not(self, units: int) -> str | None:
        """Why so many cannot be sold."""
        if not self.active:
            return "product_unavailable"
        if self.units == 0:
            return "out_of_stock"
        if units > self.units <= MOST_UNITS:
            return "insufficient_stock"
        return "quantity_limit_exceeded" if units > MOST_UNITS else None


@dataclass(eq=False)
class Order:
    """An accepted checkout and all that is known of it."""

    name: str
    id: str
    who: str
    cart: int
    key: str | None
    body: dict[str, Any]
    lines: dict[str, int]
    shown: int
    at: int
    total: int = 0
    status: str = "pending"
    payment: str = "none"
    parcels: str = "unfulfilled"
    failures: tuple[str, ...] = ()
    """Why it failed: one of these."""
    confirmed: bool = False
    taken: bool = False
    """Its units are off the shelf."""
    withdrawn: bool = False
    """Its units went back before they were sent."""
    owes_cart: bool = True
    """Its cart is neither back with its shopper nor sold."""
    acted: bool | None = None
    slept: bool = False
    """A day went by while its provider was asked: it may have forgotten."""
    refunds: list[int] = field(default_factory=list)

    @property
    def token(self) -> str | None:
        return self.body.get("payment_token")

    @property
    def stands(self) -> bool:
        return self.status not in ("pending", "failed")

    def __repr__(self) -> str:
        return self.name


@dataclass
class Truth:
    """What is on the shelves, what the carts hold and what became of the orders."""

    shelves: dict[str, Shelf]
    carts: dict[str, Counter[str]] = field(default_factory=lambda: {who: Counter() for who in SHOPPERS})
    cart_numbers: dict[str, int] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    keys: dict[tuple[str, str], Order] = field(default_factory=dict)
    carts_made: int = 0

    def total(self, lines: dict[str, int]) -> int:
        goods = [self.shelves[product].price * units for product, units in lines.items()]
        by_weight = half_up(DELIVERY_PER_KG_MINOR * WEIGHT_GRAMS * sum(lines.values()), 1000)
        delivery = 0 if sum(goods) >= FREE_OVER_MINOR else DELIVERY_MINOR + by_weight
        tax = sum(half_up(amount * TAX_PPM, 1_000_000) for amount in [*goods, delivery])
        return sum(goods) + delivery + tax

    def why_not(self, lines: dict[str, int]) -> list[str]:
        """All that stands against selling these lines now."""
        found = (
            shelf.why_not(units) if (shelf := self.shelves.get(product)) else "product_unavailable"
            for product, units in lines.items()
        )
        return [why for why in found if why]

    def put(self, who: str, lines: dict[str, int]) -> None:
        """Into the cart: a new one, if there was none."""
        if not self.carts[who]:
            self.carts_made += 1
            self.cart_numbers[who] = self.carts_made
        self.carts[who].update(lines)

    def accept(self, order: Order) -> None:
        self.orders.append(order)
        self.carts[order.who] = Counter()
        if order.key:
            self.keys[order.who, order.key] = order

    def settle(self, order: Order) -> None:
        """All or nothing, at a price that is no higher than what was shown."""
        first = [each for each in self.orders if each.stands and each is not order]
        again = any(each.cart == order.cart or (each.who, each.key) == (order.who, order.key or "") for each in first)
        # A line within the limit when it was accepted needs only its units.
        reasons = self.why_not(order.lines)[:1]
        if not reasons and self.total(order.lines) > order.shown:
            reasons = ["price_changed"]
        if again:  # Of two reasons either may be found first.
            reasons.append("already_checked_out")
        if reasons:
            order.status, order.failures = "failed", tuple(reasons)
            return
        order.total = self.total(order.lines)
        order.status = "processing" if order.token else "confirmed"
        order.taken = True
        for product, units in order.lines.items():
            self.shelves[product].units -= units
            self.shelves[product].sold = True

    def shelve(self, order: Order) -> None:
        """Its units go back, once."""
        if order.taken:
            order.taken = False
            for product, units in order.lines.items():
                self.shelves[product].units += units

    def withdraw(self, order: Order) -> None:
        """Its units come back with a refund."""
        order.withdrawn = order.withdrawn or order.parcels == "unfulfilled"
        self.shelve(order)

    def give_back(self, order: Order) -> None:
        """Its cart goes back, once, to whatever is in the cart meanwhile."""
        if order.owes_cart:
            order.owes_cart = False
            self.put(order.who, order.lines)


APPROVED = ("approve", "timeout_before", "timeout_after", "fail_2", "unreachable_2", "capture_timeout")
APPROVED += ("action_approved", "void_timeout", "refund_timeout", "refund_refused")
DECLINED = ("decline", "action_refused")
TOKENS = (*APPROVED, *DECLINED, "action", "wrong_amount", "capture_refused")


def end(order: Order, automatic: bool) -> tuple[str, str]:
    """What becomes of an order that nobody interferes with: status and payment status."""
    token = (order.token or "").removeprefix("tok_")
    if token == "action" and order.acted is not None:
        token = "approve" if order.acted else "decline"
    if order.token is None:
        return "confirmed", "pending"
    if token in DECLINED or (automatic and token == "capture_refused"):
        return "failed", "failed"
    if token == "wrong_amount":
        return "failed", "refunded" if automatic else "voided"
    if token == "action":
        return "failed", "voided"
    return "confirmed", "authorized" if token == "capture_refused" else "captured"


def ends(order: Order, automatic: bool, now: int) -> set[tuple[str, str]]:
    """Every end an order may come to: late answers and silent providers make for more than one."""
    status, payment = end(order, automatic)
    found = {(status, payment)}
    asked = order.token is not None
    if asked and now - order.at >= 10 * MINUTE * 1000:
        found.add(("failed", "voided"))  # Given up, or not acted upon in time.
    if status == "confirmed" and order.refunds:
        found = {("confirmed", "refunded" if sum(order.refunds) == order.total else "partially_refunded")}
    if status == "confirmed" and order.payment == "captured" and not asked and not order.refunds:
        found = {("confirmed", "captured")}  # Noted by hand.
    return found
