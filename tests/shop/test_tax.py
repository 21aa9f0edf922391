"""Which rate applies where, and the tax on (or in) an amount."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.rules import Destination
from shop.tax import UNTAXED, Rate, rate_for, tax_on
from tests.shop.given import CALIFORNIA, GERMANY, NOWHERE, US, rules, tax_rule

TAX = rules(
    taxes=[
        tax_rule("US", name="Federal", standard="1", reduced="0.5"),
        tax_rule("US", "CA", name="CA sales tax", standard="7.25", reduced="0"),
        tax_rule("CA", "ON", name="HST", standard="13", reduced="5"),
        tax_rule("DE", name="MwSt.", standard="19", reduced="7"),
    ]
).tax


def test_the_region_goes_before_its_country() -> None:
    assert rate_for(TAX, CALIFORNIA, "standard") == Rate("CA sales tax", 72_500)


def test_another_region_pays_the_country_rate() -> None:
    assert rate_for(TAX, Destination(country="US", region="NV"), "reduced") == Rate("Federal", 5_000)


def test_no_region_pays_the_country_rate() -> None:
    assert rate_for(TAX, US, "standard") == Rate("Federal", 10_000)


def test_a_region_of_the_same_name_elsewhere_is_another_region() -> None:
    assert rate_for(TAX, Destination(country="DE", region="CA"), "standard") == Rate("MwSt.", 190_000)


def test_a_country_with_rules_for_other_regions_only_is_untaxed() -> None:
    assert rate_for(TAX, Destination(country="CA", region="BC"), "standard") is UNTAXED
    assert rate_for(TAX, Destination(country="CA"), "standard") is UNTAXED


def test_a_country_without_rules_is_untaxed() -> None:
    assert rate_for(TAX, NOWHERE, "standard") == Rate("No tax", 0)


def test_an_unknown_class_pays_the_rate_of_the_first() -> None:
    assert rate_for(TAX, GERMANY, "books") == Rate("MwSt.", 190_000)


def test_the_first_class_is_the_first_the_merchant_names() -> None:
    reversed_classes = rules(classes=["reduced", "standard"], taxes=[tax_rule("DE", standard="19", reduced="7")])

    assert rate_for(reversed_classes.tax, GERMANY, "books") == Rate("VAT", 70_000)


@pytest.mark.parametrize(
    ("amount", "ppm", "tax"),
    [
        (10_000, 190_000, 1900),
        (3998, 72_500, 290),
        (1350, 50_000, 68),
        (1349, 50_000, 67),
        (999, 0, 0),
        (0, 190_000, 0),
        (7, 1_000_000, 7),
    ],
)
def test_tax_is_added_to_prices_without_it(amount: int, ppm: int, tax: int) -> None:
    assert tax_on(amount, ppm, included=False) == tax


@pytest.mark.parametrize(
    ("amount", "ppm", "tax"),
    [
        (11_900, 190_000, 1900),
        (1070, 70_000, 70),
        (490, 190_000, 78),
        (1999, 200_000, 333),
        (999, 0, 0),
        (7, 1_000_000, 4),
    ],
)
def test_tax_is_found_in_prices_that_include_it(amount: int, ppm: int, tax: int) -> None:
    assert tax_on(amount, ppm, included=True) == tax


@given(st.integers(0, 10**15), st.integers(0, 1_000_000), st.booleans())
def test_tax_is_the_nearest_unit_to_the_exact_tax_halves_up(amount: int, ppm: int, included: bool) -> None:
    exact = Fraction(amount * ppm, (1_000_000 + ppm) if included else 1_000_000)

    tax = tax_on(amount, ppm, included)

    assert tax - Fraction(1, 2) <= exact < tax + Fraction(1, 2)
    assert 0 <= tax <= amount


@given(st.integers(0, 10**12), st.integers(0, 1_000_000))
def test_a_net_price_and_its_gross_price_carry_the_same_tax(net: int, ppm: int) -> None:
    tax = tax_on(net, ppm, included=False)

    assert abs(tax_on(net + tax, ppm, included=True) - tax) <= 1
