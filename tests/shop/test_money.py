"""Amounts: read, written, rounded and split without losing a unit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.money import MAX_MINOR, exponent, format_amount, parse_amount, round_half_up, split

digits_of_currencies = st.sampled_from([0, 2, 3])


@pytest.mark.parametrize(
    ("currency", "digits"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("ISK", 0), ("XPF", 0), ("KWD", 3), ("TND", 3)]
)
def test_a_currency_has_as_many_digits_as_iso_4217_gives_it(currency: str, digits: int) -> None:
    assert exponent(currency) == digits


@pytest.mark.parametrize(
    ("text", "digits", "minor"),
    [
        ("0", 2, 0),
        ("0.00", 2, 0),
        ("0.5", 2, 50),
        ("0.05", 2, 5),
        ("19.99", 2, 1999),
        ("20", 2, 2000),
        ("1999", 0, 1999),
        ("1.25", 3, 1250),
        ("0.001", 3, 1),
        ("1000000000.00", 2, 100_000_000_000),
        ("100000000000", 0, 100_000_000_000),
        ("100000000.000", 3, 100_000_000_000),
    ],
)
def test_an_amount_is_read_into_minor_units(text: str, digits: int, minor: int) -> None:
    assert parse_amount(text, digits) == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "1.",
        ".5",
        "-1",
        "+1",
        "-0",
        "1e3",
        "1E3",
        " 1",
        "1 ",
        "1\n",
        "1 000",
        "1,000",
        "1,50",
        "1_000",
        "01",
        "00",
        "00.50",
        "1.234",
        "1.2.3",
        "0x10",
        "NaN",
        "inf",
        "$1",
        "１",
        "٣",
        "1\x00",
    ],
)
def test_what_is_not_a_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount with at most 2 decimal digits"):
        parse_amount(text, 2)


@pytest.mark.parametrize(("text", "digits"), [("1.0", 0), ("1.00", 0), ("1.001", 2), ("1.0001", 3)])
def test_more_decimals_than_the_currency_has_are_refused_even_as_zeros(text: str, digits: int) -> None:
    with pytest.raises(ValueError, match=f"at most {digits} decimal digits"):
        parse_amount(text, digits)


@pytest.mark.parametrize(
    ("text", "digits"),
    [("1000000000.01", 2), ("100000000001", 0), ("100000000.001", 3), ("9999999999999", 0), ("9999999999999.999", 3)],
)
def test_an_amount_beyond_the_limit_is_refused(text: str, digits: int) -> None:
    with pytest.raises(ValueError, match="is more than we can count"):
        parse_amount(text, digits)


def test_a_refusal_quotes_no_more_than_the_start_of_a_huge_number() -> None:
    with pytest.raises(ValueError, match="is not an amount") as refused:
        parse_amount("9" * 100_000, 2)

    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(
    ("minor", "digits", "text"),
    [
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (1999, 2, "19.99"),
        (1999, 0, "1999"),
        (0, 0, "0"),
        (1, 3, "0.001"),
        (1250, 3, "1.250"),
        (-5, 2, "-0.05"),
        (-1999, 2, "-19.99"),
        (-7, 0, "-7"),
        (-1, 3, "-0.001"),
    ],
)
def test_an_amount_is_written_with_all_its_decimals(minor: int, digits: int, text: str) -> None:
    assert format_amount(minor, digits) == text


@given(st.integers(0, MAX_MINOR), digits_of_currencies)
def test_what_is_written_reads_back_the_same(minor: int, digits: int) -> None:
    assert parse_amount(format_amount(minor, digits), digits) == minor


@given(st.text(), digits_of_currencies)
def test_any_text_is_read_exactly_or_refused(text: str, digits: int) -> None:
    try:
        minor = parse_amount(text, digits)
    except ValueError:
        return

    assert Fraction(text) * 10**digits == minor
    assert 0 <= minor <= MAX_MINOR


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [
        (0, 1, 0),
        (1, 2, 1),
        (3, 2, 2),
        (5, 2, 3),
        (49, 100, 0),
        (50, 100, 1),
        (51, 100, 1),
        (149, 100, 1),
        (1, 3, 0),
        (2, 3, 1),
    ],
)
def test_halves_rise(numerator: int, denominator: int, rounded: int) -> None:
    assert round_half_up(numerator, denominator) == rounded


@given(st.integers(0, 10**24), st.integers(1, 10**12))
def test_rounding_lands_on_the_nearest_unit_and_on_the_upper_of_two(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)

    rounded = round_half_up(numerator, denominator)

    assert rounded - Fraction(1, 2) <= exact < rounded + Fraction(1, 2)


@pytest.mark.parametrize(
    ("total", "weights", "shares"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (101, [1, 1, 1], [34, 34, 33]),
        (10, [1, 2], [3, 7]),
        (576, [3998, 1350], [431, 145]),
        (10, [0, 5, 0], [0, 10, 0]),
        (1, [1, 1, 2], [0, 0, 1]),
        (0, [3, 4], [0, 0]),
        (5, [0, 0], [3, 2]),
        (7, [0], [7]),
    ],
)
def test_a_split_gives_the_odd_units_to_the_largest_remainders(
    total: int, weights: list[int], shares: list[int]
) -> None:
    assert split(total, weights) == shares


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_shares_add_up_and_stay_within_a_unit_of_the_exact_ones(total: int, weights: list[int]) -> None:
    fair = weights if any(weights) else [1] * len(weights)

    shares = split(total, weights)

    assert sum(shares) == total
    assert len(shares) == len(weights)
    for share, weight in zip(shares, fair, strict=True):
        assert abs(share - Fraction(total * weight, sum(fair))) < 1


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=2, max_size=10))
def test_a_heavier_weight_never_gets_less(total: int, weights: list[int]) -> None:
    shares = split(total, weights)

    pairs = list(zip(weights, shares, strict=True))
    assert all(more >= less for heavy, more in pairs for light, less in pairs if heavy > light)


@pytest.mark.parametrize(("total", "weights"), [(-1, [1]), (1, []), (1, [2, -1]), (0, [])])
def test_a_split_without_sense_is_refused(total: int, weights: list[int]) -> None:
    with pytest.raises(ValueError, match="split needs a total and weights that are not negative"):
        split(total, weights)
