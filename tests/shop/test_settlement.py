"""What becomes of accepted checkouts: by hand for the known cases, and the promises P3, P4 and P6 for any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shop.catalogue import Product
from shop.checkout import Checkout
from shop.errors import FAILURE_CODES
from shop.orders import Failure
from shop.pricing import Quote, price
from shop.rules import Destination, Rules
from shop.settlement import Decision, decide, give_up
from tests.shop.given import (
    CALIFORNIA,
    GERMANY,
    any_destination,
    checkout,
    method,
    product,
    rules,
    tax_rule,
)

MUG = product("MUG", price=1000, stock=3)
TEA = product("TEA", price=450, stock=5)
SHOP = rules(methods=[method(base="5.00")])


def shelf(*products: Product) -> dict[str, Product]:
    return {each.id: each for each in products}


def quoted(*items: tuple[Product, int], shop: Rules = SHOP, destination: Destination = CALIFORNIA) -> Quote:
    return price(items, shop.shipping.methods[0], destination, shop)


def the_only(decisions: list[Decision]) -> Decision:
    (decision,) = decisions
    return decision


def failure_of(decision: Decision) -> Failure:
    assert decision.failure is not None
    return decision.failure


# ---------------------------------------------------------------- by hand


def test_what_is_on_the_shelf_is_sold_at_what_was_shown() -> None:
    accepted = checkout("o1", quoted((MUG, 2), (TEA, 1)))

    decision = the_only(decide([accepted], shelf(MUG, TEA), SHOP))

    assert decision == Decision(accepted, accepted.quote, failure=None)
    assert decision.quote.total_minor == 2950


def test_nothing_accepted_is_nothing_decided() -> None:
    assert decide([], shelf(MUG), SHOP) == []


def test_the_shelf_that_was_handed_in_stays_as_it_was() -> None:
    products = shelf(MUG)

    decide([checkout("o1", quoted((MUG, 2)))], products, SHOP)

    assert products == {"MUG": MUG}


def test_first_come_first_served() -> None:
    orders = [checkout(f"o{i}", quoted((MUG, quantity))) for i, quantity in enumerate([2, 2, 1, 1])]

    decisions = decide(orders, shelf(MUG), SHOP)

    assert [decision.checkout.order_id for decision in decisions] == ["o0", "o1", "o2", "o3"]
    assert [decision.failure.code if decision.failure else "confirmed" for decision in decisions] == [
        "confirmed",
        "insufficient_stock",
        "confirmed",
        "out_of_stock",
    ]
    assert failure_of(decisions[1]).message == "Only 1 of 2 Mug are available."


def test_a_failed_checkout_takes_none_of_its_lines() -> None:
    greedy = checkout("greedy", quoted((TEA, 5), (MUG, 4)))
    modest = checkout("modest", quoted((TEA, 5)))

    decisions = decide([greedy, modest], shelf(MUG, TEA), SHOP)

    assert failure_of(decisions[0]).code == "insufficient_stock"
    assert decisions[1].failure is None


def test_every_failing_line_is_named_and_the_first_gives_the_code() -> None:
    gone, sold_out, jam = product("GONE"), product("SOLD_OUT"), product("JAM", stock=1)
    accepted = checkout("o1", quoted((gone, 1), (MUG, 1), (sold_out, 2), (jam, 3)))

    decision = the_only(decide([accepted], shelf(MUG, replace(sold_out, stock_quantity=0), jam), SHOP))

    assert decision.quote == accepted.quote
    assert decision.failure == Failure(
        code="product_unavailable",
        message="3 things stand against this order.",
        retryable=False,
        stage="settling",
        items=(
            {
                "code": "product_unavailable",
                "message": "GONE is no longer sold.",
                "pointer": "/items/0",
                "product_id": "GONE",
                "requested": 1,
                "available": 0,
            },
            {
                "code": "out_of_stock",
                "message": "Sold_Out is sold out.",
                "pointer": "/items/2",
                "product_id": "SOLD_OUT",
                "requested": 2,
                "available": 0,
            },
            {
                "code": "insufficient_stock",
                "message": "Only 1 of 3 Jam are available.",
                "pointer": "/items/3",
                "product_id": "JAM",
                "requested": 3,
                "available": 1,
            },
        ),
    )


def test_a_product_taken_off_sale_is_not_sold_any_more() -> None:
    decision = the_only(decide([checkout("o1", quoted((MUG, 1)))], shelf(replace(MUG, is_active=False)), SHOP))

    assert failure_of(decision).code == "product_unavailable"
    assert failure_of(decision).message == "Mug is no longer sold."


def test_a_limit_lowered_since_does_not_break_what_was_accepted() -> None:
    plenty = product(stock=5000)

    decision = the_only(decide([checkout("o1", quoted((plenty, 4000)))], shelf(plenty), SHOP))

    assert decision.failure is None


def test_a_fall_in_price_is_passed_on() -> None:
    accepted = checkout("o1", quoted((MUG, 2)))

    decision = the_only(decide([accepted], shelf(replace(MUG, price_minor=900)), SHOP))

    assert decision.failure is None
    assert (accepted.quote.total_minor, decision.quote.total_minor) == (2500, 2300)
    assert decision.quote.lines[0].unit_price_minor == 900


def test_a_rise_is_refused_with_both_totals() -> None:
    accepted = checkout("o1", quoted((MUG, 2)))

    decision = the_only(decide([accepted], shelf(replace(MUG, price_minor=1001)), SHOP))

    assert decision.quote == accepted.quote
    assert decision.failure == Failure(
        "price_changed",
        "The total is 25.02 USD now; 25.00 USD was shown.",
        retryable=False,
        stage="settling",
        items=(
            {
                "code": "price_changed",
                "message": "The total is 25.02 USD now; 25.00 USD was shown.",
                "pointer": None,
                "product_id": None,
                "requested": None,
                "available": None,
            },
        ),
    )


def test_a_refused_rise_leaves_the_shelf_to_the_next() -> None:
    cheap = checkout("cheap", quoted((MUG, 3)))
    dear = replace(MUG, price_minor=1500)

    decisions = decide([cheap, checkout("dear", quoted((dear, 3)))], shelf(dear), SHOP)

    assert [decision.failure is None for decision in decisions] == [False, True]


def test_one_price_may_rise_while_the_total_does_not() -> None:
    accepted = checkout("o1", quoted((MUG, 1), (TEA, 1)))

    decision = the_only(decide([accepted], shelf(replace(MUG, price_minor=1100), replace(TEA, price_minor=350)), SHOP))

    assert decision.failure is None
    assert decision.quote.total_minor == accepted.quote.total_minor == 1950


def test_a_tax_that_rose_is_a_rise() -> None:
    taxed = rules(taxes=[tax_rule("US", standard="10", reduced="0")], methods=[method(base="5.00")])

    decision = the_only(decide([checkout("o1", quoted((MUG, 1)))], shelf(MUG), taxed))

    assert failure_of(decision).message == "The total is 16.50 USD now; 15.00 USD was shown."


def test_another_currency_is_another_price_each_told_in_its_own_digits() -> None:
    yen = rules("JPY", methods=[method(base="5")])

    decision = the_only(decide([checkout("o1", quoted((MUG, 1)))], shelf(MUG), yen))

    assert failure_of(decision).code == "price_changed"
    assert failure_of(decision).message == "The total is 1005 JPY now; 15.00 USD was shown."


@pytest.mark.parametrize(
    "now", [rules(methods=[method("express", base="5.00")]), rules(methods=[method(countries=["DE"], base="5.00")])]
)
def test_a_method_that_no_longer_serves_the_address_is_refused(now: Rules) -> None:
    decision = the_only(decide([checkout("o1", quoted((MUG, 1)))], shelf(MUG), now))

    assert decision.failure == Failure(
        "shipping_unavailable",
        "Standard no longer serves this address.",
        retryable=False,
        stage="settling",
        items=(
            {
                "code": "shipping_unavailable",
                "message": "Standard no longer serves this address.",
                "pointer": "/shipping_method",
                "product_id": None,
                "requested": None,
                "available": None,
            },
        ),
    )


def test_a_missing_method_is_named_beside_the_lines_that_fail() -> None:
    accepted = checkout("o1", quoted((MUG, 4)))

    decision = the_only(decide([accepted], shelf(MUG), rules(methods=[method("express")])))

    assert failure_of(decision).code == "insufficient_stock"
    assert [item["code"] for item in failure_of(decision).items] == ["insufficient_stock", "shipping_unavailable"]


def test_a_pick_up_without_an_address_is_served_and_taxed_at_home() -> None:
    shop = rules(
        taxes=[tax_rule("US", "CA", standard="7.25", reduced="0")], methods=[method(countries=["US"], pickup=True)]
    )
    accepted = checkout("o1", quoted((MUG, 1), shop=shop), destination=None)

    decision = the_only(decide([accepted], shelf(MUG), shop))

    assert decision.failure is None
    assert decision.quote.total_minor == 1073


def test_a_parcel_is_taxed_where_its_address_is() -> None:
    shop = rules(taxes=[tax_rule("DE", standard="19", reduced="7")], methods=[method()])
    accepted = checkout("o1", quoted((MUG, 1), shop=shop, destination=GERMANY), GERMANY)

    assert the_only(decide([accepted], shelf(MUG), shop)).quote.total_minor == 1190


def test_a_cart_that_has_an_order_makes_no_second() -> None:
    first, second = (checkout(order_id, quoted((MUG, 3))) for order_id in ("again", "other"))

    decisions = decide([first, second], shelf(MUG), SHOP, taken_by={"again": "o7"})

    assert decisions[0] == Decision(
        first,
        first.quote,
        Failure(
            "already_checked_out", "This cart was already checked out as order o7.", retryable=False, stage="settling"
        ),
    )
    assert decisions[1].failure is None


def test_giving_up_is_our_fault_and_worth_another_try() -> None:
    accepted = checkout("o1", quoted((MUG, 1)))

    assert give_up(accepted, attempts=5) == Decision(
        accepted,
        accepted.quote,
        Failure(
            "internal_error",
            "We could not complete this order after 5 attempts. Nothing was taken or charged.",
            retryable=True,
            stage="settling",
        ),
    )


# ---------------------------------------------------------------- any batch


@dataclass(frozen=True)
class Batch:
    """Checkouts accepted under one catalogue and rules, settled under another."""

    checkouts: list[Checkout]
    products: dict[str, Product]
    rules: Rules
    taken_by: dict[str, str]


SHELVES = ["P0", "P1", "P2"]
RULES = [
    rules(
        currency,
        included=included,
        shipping_class=shipping_class,
        taxes=[tax_rule("US", standard=rate, reduced="5"), tax_rule("US", "CA", standard="7.25", reduced=rate)],
        methods=methods,
    )
    for currency in ("USD", "JPY")
    for included in (False, True)
    for shipping_class in ("as_goods", "reduced")
    for rate in ("0", "19")
    for methods in (
        [method("a", base="5", per_kg="2"), method("b", ["US"], base="9", free_over="20")],
        [method("a", ["DE", "US"], base="4", per_item="1"), method("c", pickup=True)],
    )
]
"""Enough to differ in every way a merchant's change may; `any_rules` would only be slower here."""


@st.composite
def any_batch(draw: st.DrawFn) -> Batch:
    then = draw(st.sampled_from(RULES))
    shown = {name: product(name, draw(st.integers(0, 2000)), draw(st.integers(0, 8)), grams=300) for name in SHELVES}
    checkouts = []
    for i in range(draw(st.integers(1, 6))):
        wanted = draw(st.dictionaries(st.sampled_from(SHELVES), st.integers(1, 4), min_size=1))
        items = [(shown[name], quantity) for name, quantity in wanted.items()]
        way, where = draw(st.sampled_from(then.shipping.methods)), draw(any_destination)
        checkouts.append(checkout(f"o{i}", price(items, way, where, then), where))
    changes = st.sampled_from(["nothing", "nothing", "gone", "off sale", "cheaper", "dearer", "tax class"])
    now = {}
    for name, was in shown.items():
        match draw(changes):
            case "nothing":
                now[name] = was
            case "off sale":
                now[name] = replace(was, is_active=False)
            case "cheaper":
                now[name] = replace(was, price_minor=was.price_minor // 2)
            case "dearer":
                now[name] = replace(was, price_minor=was.price_minor + 50)
            case "tax class":
                now[name] = replace(was, tax_class="reduced")
    settled_by = draw(st.just(then) | st.sampled_from(RULES))
    taken_by = draw(st.dictionaries(st.sampled_from([c.order_id for c in checkouts]), st.just("earlier"), max_size=2))
    return Batch(checkouts, now, settled_by, taken_by)


def decided(batch: Batch) -> list[Decision]:
    return decide(batch.checkouts, batch.products, batch.rules, batch.taken_by)


def after(products: Mapping[str, Product], decision: Decision) -> dict[str, Product]:
    """The shelves once a decision's confirmed quote has left them."""
    left = dict(products)
    if decision.failure is None:
        for line in decision.quote.lines:
            was = left[line.product_id]
            left[line.product_id] = replace(was, stock_quantity=was.stock_quantity - line.quantity)
    return left


@given(any_batch())
def test_no_product_is_ever_sold_below_zero(batch: Batch) -> None:
    products = batch.products

    for decision in decided(batch):
        products = after(products, decision)

    assert all(each.stock_quantity >= 0 for each in products.values())


@given(any_batch())
def test_what_leaves_the_shelves_is_what_confirmed_quotes_say(batch: Batch) -> None:
    products, one_by_one = batch.products, []

    for accepted in batch.checkouts:
        decision = the_only(decide([accepted], products, batch.rules, batch.taken_by))
        one_by_one.append(decision)
        products = after(products, decision)

    assert decided(batch) == one_by_one


@given(any_batch())
def test_every_checkout_ends_once_in_the_order_given(batch: Batch) -> None:
    assert [decision.checkout for decision in decided(batch)] == batch.checkouts


@given(any_batch())
def test_a_confirmed_total_is_its_parts_and_no_more_than_was_shown(batch: Batch) -> None:
    for decision in decided(batch):
        shown, quote = decision.checkout.quote, decision.quote
        if decision.failure is not None:
            assert quote == shown
            continue

        added = 0 if batch.rules.tax.prices_include_tax else quote.tax_minor
        assert quote.total_minor == sum(i.subtotal_minor for i in quote.lines) + quote.shipping_minor + added
        assert 0 <= quote.total_minor <= shown.total_minor
        assert quote.currency == shown.currency
        assert [(i.product_id, i.quantity) for i in quote.lines] == [(i.product_id, i.quantity) for i in shown.lines]
        assert [i.unit_price_minor for i in quote.lines] == [
            batch.products[i.product_id].price_minor for i in quote.lines
        ]


def expected_codes(accepted: Checkout, products: Mapping[str, Product], shop: Rules) -> list[tuple[str, object]]:
    """What must be said against a checkout, told a second way: codes and the products they are about."""
    found: list[tuple[str, object]] = []
    for line in accepted.quote.lines:
        there = products.get(line.product_id)
        if there is None or not there.is_active:
            found.append(("product_unavailable", line.product_id))
        elif there.stock_quantity == 0:
            found.append(("out_of_stock", line.product_id))
        elif there.stock_quantity < line.quantity:
            found.append(("insufficient_stock", line.product_id))
    assert accepted.shipping_info
    served = [m.id for m in shop.shipping.methods if {"*", accepted.shipping_info.country} & set(m.countries)]
    if accepted.shipping_method not in served:
        found.append(("shipping_unavailable", None))
    return found


@given(any_batch())
def test_a_checkout_fails_exactly_for_all_that_stands_against_it(batch: Batch) -> None:
    products = batch.products
    for decision in decided(batch):
        accepted, failure = decision.checkout, decision.failure
        expected = expected_codes(accepted, products, batch.rules)
        products = after(products, decision)

        if accepted.order_id in batch.taken_by:
            assert failure is not None
            assert (failure.code, failure.items) == ("already_checked_out", ())
        elif expected:
            assert failure is not None
            assert [(item["code"], item["product_id"]) for item in failure.items] == expected
            assert failure.code == expected[0][0]
        else:
            assert failure is None or failure.code == "price_changed"


@given(any_batch())
def test_a_total_is_refused_only_when_it_rose_or_changed_its_currency(batch: Batch) -> None:
    for decision in decided(batch):
        if decision.failure and decision.failure.code == "price_changed":
            accepted = decision.checkout
            assert accepted.shipping_info
            items = [(batch.products[line.product_id], line.quantity) for line in accepted.quote.lines]
            way = batch.rules.shipping_method(accepted.shipping_method)
            assert way
            now = price(items, way, accepted.shipping_info.destination, batch.rules)
            assert now.total_minor > accepted.quote.total_minor or now.currency != accepted.quote.currency


@given(st.sampled_from(RULES), any_destination, st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 4))
def test_a_line_is_refused_exactly_when_its_total_rose(
    shop: Rules, where: Destination, was: int, is_now: int, quantity: int
) -> None:
    way, then, now = shop.shipping.methods[0], product("P0", was, 8, grams=300), product("P0", is_now, 8, grams=300)
    assume(way.serves(where.country))
    shown, total = (price([(each, quantity)], way, where, shop) for each in (then, now))

    decision = the_only(decide([checkout("o1", shown, where)], shelf(now), shop))

    assert (decision.failure is not None) == (total.total_minor > shown.total_minor)


@given(any_batch())
def test_every_failure_is_of_the_closed_list_and_nothing_changes_by_repeating_it(batch: Batch) -> None:
    for decision in decided(batch):
        if decision.failure:
            assert decision.failure.code in FAILURE_CODES
            assert {item["code"] for item in decision.failure.items} <= FAILURE_CODES
            assert decision.failure.stage == "settling"
            assert decision.failure.retryable is False
            assert decision.failure.message
