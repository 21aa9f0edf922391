"""One closed list of codes, and an error for each way to say no."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shop import errors
from shop.errors import CODES, FAILURE_CODES, Fault, ShopError, refuse_lines


def family(error: type[ShopError]) -> Iterator[type[ShopError]]:
    yield error
    for child in error.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("error", sorted(set(family(ShopError)), key=lambda error: error.__name__))
def test_every_error_has_a_code_of_the_list(error: type[ShopError]) -> None:
    assert error.code in CODES


def test_every_leaf_of_the_tree_has_a_code_of_its_own() -> None:
    leaves = [error for error in family(ShopError) if not error.__subclasses__() and error.__module__ == "shop.errors"]

    codes = [error.code for error in leaves]
    assert len(codes) == len(set(codes)) >= 20


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_says_what_it_is_and_what_to_do(code: str) -> None:
    assert CODES[code].title
    assert CODES[code].advice.endswith(".")


def test_the_failures_of_an_order_are_codes_of_the_list() -> None:
    assert set(CODES) >= FAILURE_CODES


def test_the_failures_of_an_order_are_these() -> None:
    assert sorted(FAILURE_CODES) == [
        "already_checked_out",
        "cancelled",
        "insufficient_stock",
        "internal_error",
        "out_of_stock",
        "payment_action_timeout",
        "payment_declined",
        "payment_unavailable",
        "price_changed",
        "product_unavailable",
        "shipping_unavailable",
    ]


def test_only_what_may_pass_by_itself_is_worth_repeating() -> None:
    assert sorted(code for code, meaning in CODES.items() if meaning.retryable) == [
        "cart_changed",
        "internal_error",
        "overloaded",
        "payment_action_timeout",
        "payment_unavailable",
        "rate_limited",
        "service_unavailable",
    ]


def test_an_error_reads_as_its_detail_and_carries_its_faults() -> None:
    fault = Fault("out_of_stock", "Mug is sold out.")

    error = errors.AlreadyCheckedOut("Ordered a moment ago.", [fault], order_id="o1")

    assert str(error) == "Ordered a moment ago."
    assert error.faults == (fault,)
    assert error.extra == {"order_id": "o1"}


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("product_unavailable", errors.ProductUnavailable),
        ("out_of_stock", errors.OutOfStock),
        ("insufficient_stock", errors.InsufficientStock),
        ("quantity_limit_exceeded", errors.QuantityLimitExceeded),
    ],
)
def test_one_refused_line_is_its_own_error(code: str, error: type[errors.Conflict]) -> None:
    fault = Fault(code, "Not this one.")

    refusal = refuse_lines([fault])

    assert type(refusal) is error
    assert str(refusal) == "Not this one."
    assert refusal.faults == (fault,)


def test_many_refused_lines_are_the_first_ones_error_and_all_are_named() -> None:
    faults = [Fault("insufficient_stock", "Only 1."), Fault("out_of_stock", "None."), Fault("out_of_stock", "None.")]

    refusal = refuse_lines(faults)

    assert type(refusal) is errors.InsufficientStock
    assert str(refusal) == "3 items in the cart cannot be sold as they are."
    assert refusal.faults == tuple(faults)
