"""What may be shipped, what status follows, and how it is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.errors import Conflict, ValidationFailed
from shop.fulfilment import (
    Line,
    MoreThanLeft,
    Portion,
    after_delivery,
    after_return,
    after_shipment,
    after_withdrawal,
    cancel,
    delivery_text,
    fulfillable,
    may_ship,
    payment_when_cancelled,
    shipment_text,
    to_deliver,
    to_ship,
    withdrawn,
)
from shop.orders import TRANSITIONS, ImpossibleTransition

LINES = [Line(1, "MUG", "Mug", 2, 0), Line(2, "PEN", "Pen", 3, 1), Line(3, "PAN", "Pan", 1, 1)]
STATUSES = sorted(TRANSITIONS["status"])
FULFILLMENTS = sorted(TRANSITIONS["fulfillment_status"])


def test_all_that_is_left_goes_when_nothing_is_named() -> None:
    assert to_ship(LINES, None) == [Portion(1, 2), Portion(2, 2)]


def test_what_is_named_goes_in_the_order_of_the_lines() -> None:
    assert to_ship(LINES, [Portion(2, 1), Portion(1, 1)]) == [Portion(1, 1), Portion(2, 1)]


def test_a_line_of_which_nothing_is_left_cannot_go() -> None:
    with pytest.raises(MoreThanLeft) as refused:
        to_ship(LINES, [Portion(3, 1)])

    (fault,) = refused.value.faults
    assert (fault.pointer, fault.requested, fault.available) == ("/items/0/quantity", 1, 0)
    assert str(refused.value) == "1 of Pan are to be shipped, 0 are left of 1"


def test_every_line_that_is_not_there_is_named() -> None:
    with pytest.raises(ValidationFailed) as refused:
        to_ship(LINES, [Portion(9, 1), Portion(1, 99), Portion(1, 1)])

    assert [fault.pointer for fault in refused.value.faults] == ["/items/0/position", "/items/2/position"]


def test_what_was_given_back_before_it_was_sent_is_not_shipped() -> None:
    lines = [Line(1, "MUG", "Mug", 3, 1, withdrawn=1), Line(2, "PEN", "Pen", 2, 0, withdrawn=2)]

    assert to_ship(lines, None) == [Portion(1, 1)]
    with pytest.raises(MoreThanLeft):
        to_ship(lines, [Portion(1, 2)])


def test_an_order_of_which_nothing_is_left_is_not_shipped() -> None:
    with pytest.raises(MoreThanLeft, match="Nothing is left to ship"):
        to_ship([Line(1, "MUG", "Mug", 2, 0, withdrawn=2)], None)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ({}, []),
        ({"MUG": 1}, [Portion(1, 1)]),
        ({"PEN": 3, "PAN": 1}, [Portion(2, 2)]),
    ],
)
def test_what_was_not_sent_is_given_back_first(units: dict[str, int], expected: list[Portion]) -> None:
    assert withdrawn(LINES, units) == expected


@pytest.mark.parametrize("fulfillment", FULFILLMENTS)
@pytest.mark.parametrize("undelivered", [[], [1]])
def test_an_order_of_which_the_rest_is_given_back_is_as_good_as_shipped(
    fulfillment: str, undelivered: list[int]
) -> None:
    lines = [Line(1, "MUG", "Mug", 3, 1, withdrawn=1)]

    moves = after_withdrawal(fulfillment, lines, [Portion(1, 1)], undelivered)

    expected = ["shipped"] if undelivered else ["shipped", "delivered"]
    assert moves == (expected if fulfillment == "partially_shipped" else [])
    assert after_withdrawal(fulfillment, lines, [], undelivered) == []


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("fulfillment", FULFILLMENTS)
def test_what_is_still_to_be_shipped_can_be(status: str, fulfillment: str) -> None:
    try:
        may_ship(status, fulfillment)
        expected = [2, 2, 0]
    except ImpossibleTransition:
        expected = [0, 0, 0]

    assert [fulfillable(status, fulfillment, line) for line in LINES] == expected


@st.composite
def orders(draw: st.DrawFn) -> list[Line]:
    quantities = draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
    return [
        Line(position, f"P{position}", f"Thing {position}", quantity, draw(st.integers(0, quantity)))
        for position, quantity in enumerate(quantities, 1)
    ]


@given(orders(), st.data())
def test_shipments_never_exceed_the_order_and_end_with_all_of_it(lines: list[Line], data: st.DataObject) -> None:
    fulfillment = "partially_shipped"
    while any(line.left for line in lines):
        wanted = data.draw(
            st.none()
            | st.lists(
                st.builds(Portion, st.sampled_from([line.position for line in lines]), st.integers(1, 6)),
                min_size=1,
                unique_by=lambda portion: portion.position,
            )
        )
        try:
            parcel = to_ship(lines, wanted)
        except MoreThanLeft:
            parcel = to_ship(lines, None)
        fulfillment = after_shipment(fulfillment, lines, parcel)
        shipped = {portion.position: portion.quantity for portion in parcel}
        lines = [
            Line(i.position, i.product_id, i.name, i.quantity, i.shipped + shipped.get(i.position, 0)) for i in lines
        ]
        assert all(0 <= line.shipped <= line.quantity for line in lines)
        assert (fulfillment == "shipped") is not any(line.left for line in lines)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("fulfillment", FULFILLMENTS)
def test_only_confirmed_orders_with_something_left_are_shipped(status: str, fulfillment: str) -> None:
    possible = status == "confirmed" and fulfillment in ("unfulfilled", "partially_shipped")

    if possible:
        may_ship(status, fulfillment)
    else:
        with pytest.raises(ImpossibleTransition):
            may_ship(status, fulfillment)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("fulfillment", FULFILLMENTS)
def test_only_confirmed_orders_that_were_shipped_come_back(status: str, fulfillment: str) -> None:
    if status == "confirmed" and fulfillment in ("shipped", "delivered"):
        assert after_return(status, fulfillment) == "returned"
    else:
        with pytest.raises(Conflict):
            after_return(status, fulfillment)


def test_the_order_is_delivered_with_its_last_shipment() -> None:
    assert after_delivery("partially_shipped", [1], [1]) == "partially_shipped"
    assert after_delivery("shipped", [1, 2], [1]) == "shipped"
    assert after_delivery("shipped", [2], [2]) == "delivered"
    assert after_delivery("shipped", [1, 2], [1, 2]) == "delivered"


def test_one_shipment_arrives_or_all_that_are_on_their_way() -> None:
    assert to_deliver("confirmed", "shipped", [2, 3], 3, None) == [2, 3]
    assert to_deliver("confirmed", "shipped", [2, 3], 3, 3) == [3]


@pytest.mark.parametrize(
    ("status", "fulfillment", "undelivered", "shipments", "wanted", "says"),
    [
        ("confirmed", "unfulfilled", [], 0, None, "Nothing was shipped yet"),
        ("confirmed", "shipped", [], 1, 1, "Shipment 1 was delivered already"),
        ("confirmed", "delivered", [], 1, None, "Everything shipped was delivered already"),
        ("confirmed", "returned", [1], 1, 1, "came back"),
        ("confirmed", "returned", [1], 1, None, "came back"),
        ("cancelled", "unfulfilled", [], 0, None, "Only a confirmed order can be delivered"),
    ],
)
def test_what_is_not_on_its_way_cannot_arrive(
    status: str, fulfillment: str, undelivered: list[int], shipments: int, wanted: int | None, says: str
) -> None:
    with pytest.raises(ImpossibleTransition, match=says):
        to_deliver(status, fulfillment, undelivered, shipments, wanted)


@pytest.mark.parametrize("wanted", [0, 3])
def test_a_shipment_that_is_not_there_is_invalid(wanted: int) -> None:
    with pytest.raises(ValidationFailed):
        to_deliver("confirmed", "shipped", [1, 2], 2, wanted)


def test_a_cancelled_order_says_why() -> None:
    told, untold = (cancel("confirmed", "unfulfilled", reason) for reason in ("Cracked.", None))

    assert (told.status, told.failure.message) == ("cancelled", "Cracked.")
    assert (untold.failure.code, untold.failure.retryable) == ("cancelled", False)
    assert untold.failure.message == "The order was cancelled."


@pytest.mark.parametrize("fulfillment", [now for now in FULFILLMENTS if now != "unfulfilled"])
def test_an_order_on_its_way_is_not_cancelled_and_says_what_is_possible(fulfillment: str) -> None:
    with pytest.raises(ImpossibleTransition) as refused:
        cancel("confirmed", fulfillment, None)

    assert refused.value.extra["possible"] == sorted(TRANSITIONS["fulfillment_status"][fulfillment])


@pytest.mark.parametrize(
    ("payment", "after"), [("none", "none"), ("pending", "voided"), ("authorized", "voided"), ("voided", "voided")]
)
def test_what_was_owed_is_owed_no_more(payment: str, after: str) -> None:
    assert payment_when_cancelled(payment) == after


def test_money_that_was_taken_is_not_voided() -> None:
    with pytest.raises(ImpossibleTransition) as refused:
        payment_when_cancelled("captured")

    assert refused.value.extra["possible"] == ["partially_refunded", "refunded"]


def test_a_shipment_is_told_in_one_line() -> None:
    parcel = [Portion(1, 2), Portion(2, 1)]

    assert shipment_text(1, LINES, parcel, None, None) == "Shipment 1: 2 × Mug, 1 × Pen"
    assert shipment_text(2, LINES, parcel, "DHL", None) == "Shipment 2: 2 × Mug, 1 × Pen (DHL)"
    assert shipment_text(3, LINES, parcel, "DHL", "JD1") == "Shipment 3: 2 × Mug, 1 × Pen (DHL, JD1)"


def test_a_large_shipment_is_still_told_in_one_line() -> None:
    lines = [Line(i, f"P{i}", f"Thing {i}", 1, 0) for i in range(1, 9)]

    text = shipment_text(1, lines, to_ship(lines, None), None, None)

    assert text.endswith("1 × Thing 5, 3 more")


def test_arrivals_are_told_by_number() -> None:
    assert delivery_text([2]) == "Shipment 2"
    assert delivery_text([1, 3]) == "Shipments 1, 3"
