"""What a method costs, whom it serves, and where its goods are taxed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.rules import Rules, ShippingMethod
from shop.shipping import ShippingCost, methods_for, shipping_cost, tax_destination
from tests.shop.given import CALIFORNIA, GERMANY, NOWHERE, US, any_rules, method, rules


def the_method(**more: Any) -> ShippingMethod:
    return rules(methods=[method(**more)]).shipping.methods[0]


def test_a_cost_is_base_and_weight_and_items() -> None:
    express = the_method(base="12.90", per_kg="2.50", per_item="0.50")

    cost = shipping_cost(express, subtotal_minor=9999, weight_grams=1300, units=3)

    assert cost == ShippingCost(
        "standard", "Standard", base_minor=1290, weight_minor=325, items_minor=150, free_minor=0, total_minor=1765
    )


@pytest.mark.parametrize(("grams", "weight_minor"), [(0, 0), (6, 0), (7, 1), (18, 1), (19, 2), (1000, 80), (1075, 86)])
def test_weight_is_priced_to_the_gram_and_rounded_once(grams: int, weight_minor: int) -> None:
    assert shipping_cost(the_method(per_kg="0.80"), 0, grams, 1).weight_minor == weight_minor


@pytest.mark.parametrize(("grams", "weight_minor"), [(499, 0), (500, 1), (1499, 1), (1500, 2)])
def test_half_a_cent_of_weight_costs_a_cent(grams: int, weight_minor: int) -> None:
    assert shipping_cost(the_method(per_kg="0.01"), 0, grams, 1).weight_minor == weight_minor


@pytest.mark.parametrize(("subtotal", "free", "total"), [(0, 0, 620), (7499, 0, 620), (7500, 620, 0), (7501, 620, 0)])
def test_it_is_free_from_the_amount_on(subtotal: int, free: int, total: int) -> None:
    standard = the_method(base="4.90", per_kg="0.80", per_item="0.50", free_over="75.00")

    cost = shipping_cost(standard, subtotal, weight_grams=1000, units=1)

    assert (cost.free_minor, cost.total_minor) == (free, total)


def test_free_over_zero_is_always_free() -> None:
    cost = shipping_cost(the_method(base="4.90", free_over="0"), 0, 0, 1)

    assert (cost.free_minor, cost.total_minor) == (490, 0)


@given(any_rules(), st.integers(0, 10**12), st.integers(0, 10**7), st.integers(0, 10**5))
def test_the_parts_of_any_cost_add_up(any_rules: Rules, subtotal: int, grams: int, units: int) -> None:
    for any_method in any_rules.shipping.methods:
        cost = shipping_cost(any_method, subtotal, grams, units)

        full = cost.base_minor + cost.weight_minor + cost.items_minor
        assert cost.total_minor == full - cost.free_minor
        assert cost.free_minor in (0, full)
        assert cost.items_minor == any_method.per_item * units
        assert abs(cost.weight_minor - Fraction(any_method.per_kg * grams, 1000)) <= Fraction(1, 2)


def test_methods_are_offered_where_they_serve_in_the_merchants_order() -> None:
    methods = [method("world", ["*"]), method("local", ["US"]), method("west", ["DE", "US"])]
    offered = rules(methods=methods)

    assert [m.id for m in methods_for(offered, US)] == ["world", "local", "west"]
    assert [m.id for m in methods_for(offered, GERMANY)] == ["world", "west"]
    assert [m.id for m in methods_for(offered, NOWHERE)] == ["world"]


def test_a_country_nobody_serves_is_offered_nothing() -> None:
    assert methods_for(rules(methods=[method(countries=["US"])]), GERMANY) == []


def test_a_parcel_is_taxed_where_it_goes_and_a_pick_up_at_the_shop() -> None:
    shop = rules(methods=[method("parcel"), method("pickup", pickup=True)])
    parcel, pickup = shop.shipping.methods

    assert tax_destination(shop, parcel, GERMANY) == GERMANY
    assert tax_destination(shop, pickup, GERMANY) == CALIFORNIA
