"""Quotes: worked out by hand for known carts, and balanced for any."""

from __future__ import annotations

from dataclasses import astuple, fields, is_dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.catalogue import Product
from shop.pricing import Quote, QuotedLine, Step, TaxLine, explain, percent, price
from shop.rules import Destination, Rules
from shop.shipping import ShippingCost
from shop.tax import rate_for
from tests.shop.given import (
    CALIFORNIA,
    DIGITS,
    GERMANY,
    NOWHERE,
    any_destination,
    any_items,
    any_rules,
    method,
    product,
    rules,
    tax_rule,
)

MUG = product("MUG", price=1999, grams=350)
TEA = product("TEA", price=450, grams=125, tax_class="reduced")
PARCEL = method(base="4.90", per_kg="0.80")


def first_quote(shop: Rules, items: list[tuple[Product, int]], destination: Destination = CALIFORNIA) -> Quote:
    return price(items, shop.shipping.methods[0], destination, shop)


# ---------------------------------------------------------------- by hand


def mugs_and_tea() -> Quote:
    shop = rules(taxes=[tax_rule("US", "CA", standard="7.25", reduced="5")], methods=[PARCEL])
    return first_quote(shop, [(MUG, 2), (TEA, 3)])


def test_tax_is_added_to_lines_and_to_shipping_split_over_their_rates() -> None:
    quote = mugs_and_tea()

    assert quote == Quote(
        currency="USD",
        prices_include_tax=False,
        lines=(
            QuotedLine("MUG", "SKU-MUG", "Mug", 2, 1999, 3998, "VAT", 72_500, 290),  # 289.855
            QuotedLine("TEA", "SKU-TEA", "Tea", 3, 450, 1350, "VAT", 50_000, 68),  # 67.5
        ),
        shipping=ShippingCost("standard", "Standard", 490, 86, 0, 0, 576),  # 1,075 g
        shipping_taxes=(TaxLine("VAT", 72_500, 431, 31), TaxLine("VAT", 50_000, 145, 7)),  # 430.6 and 145.4
        tax_lines=(TaxLine("VAT", 72_500, 4429, 321), TaxLine("VAT", 50_000, 1495, 75)),
        subtotal_minor=5348,
        shipping_minor=576,
        tax_minor=396,
        total_minor=6320,
    )


def test_tax_is_found_in_prices_that_include_it() -> None:
    shop = rules(
        "USD",
        included=True,
        shipping_class="standard",
        taxes=[tax_rule("DE", name="MwSt.", standard="19", reduced="7")],
        methods=[method(base="4.90")],
    )

    quote = first_quote(shop, [(product(price=1190), 1), (product("TEA", 535, tax_class="reduced"), 2)], GERMANY)

    assert [line.tax_minor for line in quote.lines] == [190, 70]
    assert quote.shipping_taxes == (TaxLine("MwSt.", 190_000, 490, 78),)
    assert quote.tax_lines == (TaxLine("MwSt.", 190_000, 1680, 268), TaxLine("MwSt.", 70_000, 1070, 70))
    assert (quote.subtotal_minor, quote.shipping_minor, quote.tax_minor) == (2260, 490, 338)
    assert quote.total_minor == 2750


def test_yen_have_no_decimals() -> None:
    shop = rules("JPY", taxes=[tax_rule("US", standard="10", reduced="8")], methods=[method(base="500")])

    quote = first_quote(shop, [(product(price=1005), 3)])

    assert (quote.subtotal_minor, quote.shipping_minor, quote.tax_minor) == (3015, 500, 352)  # 301.5 and 50
    assert quote.total_minor == 3867


def test_dinars_have_three_decimals() -> None:
    shop = rules("KWD", taxes=[tax_rule("US", standard="5", reduced="0")], methods=[method(base="0.250")])

    quote = first_quote(shop, [(product(price=1250), 1)])

    assert (quote.subtotal_minor, quote.shipping_minor, quote.tax_minor) == (1250, 250, 76)  # 62.5 and 12.5
    assert quote.total_minor == 1576


def test_tax_is_rounded_once_a_line_not_once_a_unit() -> None:
    shop = rules(taxes=[tax_rule("US", standard="7.25", reduced="0")], methods=[method()])

    quote = first_quote(shop, [(product(price=10), 20)])

    assert quote.tax_minor == 15  # 14.5, where twenty times 0.725 rounded would be 20


def test_shipping_at_a_class_of_its_own_ignores_what_it_carries() -> None:
    shop = rules(
        shipping_class="reduced", taxes=[tax_rule("US", standard="20", reduced="10")], methods=[method(base="5.00")]
    )

    quote = first_quote(shop, [(product(price=1000), 1)])

    assert quote.shipping_taxes == (TaxLine("VAT", 100_000, 500, 50),)
    assert quote.tax_minor == 250


def test_free_shipping_carries_no_tax() -> None:
    shop = rules(taxes=[tax_rule("US", standard="20", reduced="10")], methods=[method(base="5.00", free_over="10.00")])

    quote = first_quote(shop, [(product(price=1000), 1)])

    assert quote.shipping_taxes == ()
    assert (quote.shipping_minor, quote.tax_minor, quote.total_minor) == (0, 200, 1200)


def test_shipping_of_gifts_is_split_evenly_over_their_rates() -> None:
    shop = rules(taxes=[tax_rule("US", standard="20", reduced="10")], methods=[method(base="5.01")])

    quote = first_quote(shop, [(product(price=0), 1), (product("TEA", 0, tax_class="reduced"), 1)])

    assert quote.shipping_taxes == (TaxLine("VAT", 200_000, 251, 50), TaxLine("VAT", 100_000, 250, 25))
    assert quote.total_minor == 576


def test_a_pick_up_is_taxed_at_the_shops_home_wherever_the_shopper_lives() -> None:
    taxes = [
        tax_rule("US", "CA", name="CA sales tax", standard="7.25", reduced="0"),
        tax_rule("DE", standard="19", reduced="7"),
    ]
    shop = rules(taxes=taxes, methods=[method("pickup", pickup=True), method("parcel")])
    pickup, parcel = shop.shipping.methods
    items = [(product(price=10_000), 1)]

    assert price(items, pickup, GERMANY, shop).tax_lines == (TaxLine("CA sales tax", 72_500, 10_000, 725),)
    assert price(items, parcel, GERMANY, shop).tax_lines == (TaxLine("VAT", 190_000, 10_000, 1900),)


def test_shipping_pays_for_every_unit_of_every_line() -> None:
    shop = rules(methods=[method(base="5.00", per_kg="2.00", per_item="0.50")])

    quote = first_quote(shop, [(product(price=1000, grams=300), 4), (product("TEA", 450, grams=100), 3)])

    assert quote.shipping == ShippingCost(
        "standard", "Standard", base_minor=500, weight_minor=300, items_minor=350, free_minor=0, total_minor=1150
    )


def test_where_no_rule_fits_nothing_is_taxed_and_the_quote_says_so() -> None:
    shop = rules(taxes=[tax_rule("DE", standard="19", reduced="7")], methods=[method(base="5.00")])

    quote = first_quote(shop, [(product(price=1000), 1)], NOWHERE)

    assert quote.tax_lines == (TaxLine("No tax", 0, 1500, 0),)
    assert quote.total_minor == 1500


# ---------------------------------------------------------------- any cart, any rules


@st.composite
def any_quote(draw: st.DrawFn) -> tuple[Quote, tuple[tuple[Product, int], ...], Destination, Rules]:
    shop, items, destination = draw(any_rules()), draw(any_items), draw(any_destination)
    return price(items, draw(st.sampled_from(shop.shipping.methods)), destination, shop), items, destination, shop


def numbers(value: Any) -> list[Any]:
    """Every number anywhere inside a value."""
    if is_dataclass(value):
        return [n for f in fields(value) for n in numbers(getattr(value, f.name))]
    if isinstance(value, tuple | list):
        return [n for part in value for n in numbers(part)]
    return [] if isinstance(value, str | bool) else [value]


@given(any_quote())
def test_the_sums_of_any_quote_balance(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    quote, _, _, shop = given_quote

    assert quote.subtotal_minor == sum(line.subtotal_minor for line in quote.lines)
    assert quote.tax_minor == sum(i.tax_minor for i in quote.lines) + sum(t.tax_minor for t in quote.shipping_taxes)
    assert quote.tax_minor == sum(line.tax_minor for line in quote.tax_lines)
    assert quote.shipping_minor == quote.shipping.total_minor
    assert sum(line.base_minor for line in quote.tax_lines) == quote.subtotal_minor + quote.shipping_minor
    assert sum(t.base_minor for t in quote.shipping_taxes) == quote.shipping_minor
    if shop.tax.prices_include_tax:
        assert quote.total_minor == quote.subtotal_minor + quote.shipping_minor
        assert quote.tax_minor <= quote.total_minor
    else:
        assert quote.total_minor == quote.subtotal_minor + quote.shipping_minor + quote.tax_minor


@given(any_quote())
def test_every_line_of_any_quote_is_its_product_at_its_rate(
    given_quote: tuple[Quote, tuple[tuple[Product, int], ...], Destination, Rules],
) -> None:
    quote, items, destination, shop = given_quote
    picked_up = next(m for m in shop.shipping.methods if m.id == quote.shipping.method_id).pickup
    place = Destination(country="US", region="CA") if picked_up else destination

    assert len(quote.lines) == len(items)
    for line, (sold, quantity) in zip(quote.lines, items, strict=True):
        rate = rate_for(shop.tax, place, sold.tax_class)
        assert (line.product_id, line.quantity, line.unit_price_minor) == (sold.id, quantity, sold.price_minor)
        assert line.subtotal_minor == sold.price_minor * quantity
        assert (line.tax_name, line.tax_rate_ppm) == (rate.name, rate.ppm)


@given(any_quote())
def test_every_tax_of_any_quote_is_rounded_half_up(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    quote, _, _, shop = given_quote

    taxed = [(i.subtotal_minor, i.tax_rate_ppm, i.tax_minor) for i in quote.lines]
    taxed += [(t.base_minor, t.rate_ppm, t.tax_minor) for t in quote.shipping_taxes]
    for base, ppm, tax in taxed:
        exact = Fraction(base * ppm, 1_000_000 + ppm if shop.tax.prices_include_tax else 1_000_000)
        assert tax - Fraction(1, 2) <= exact < tax + Fraction(1, 2)


@given(any_quote())
def test_any_quote_is_whole_numbers_that_are_not_negative(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    found = numbers(given_quote[0])

    assert len(found) >= 14
    assert all(type(number) is int and number >= 0 for number in found)


@given(any_quote())
def test_tax_lines_are_one_for_each_name_and_rate(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    quote = given_quote[0]

    keys = [(line.name, line.rate_ppm) for line in quote.tax_lines]
    assert len(keys) == len(set(keys))
    assert {(line.tax_name, line.tax_rate_ppm) for line in quote.lines} <= set(keys)


@given(any_quote())
def test_shipping_taxed_as_goods_follows_their_value(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    quote, _, _, shop = given_quote
    if shop.tax.shipping != "as_goods" or not quote.subtotal_minor:
        return

    for share in quote.shipping_taxes:
        key = (share.name, share.rate_ppm)
        value = sum(i.subtotal_minor for i in quote.lines if (i.tax_name, i.tax_rate_ppm) == key)
        assert abs(share.base_minor - Fraction(quote.shipping_minor * value, quote.subtotal_minor)) < 1


# ---------------------------------------------------------------- explained


def test_a_quote_explains_itself_step_by_step() -> None:
    assert explain(mugs_and_tea(), digits=2) == [
        Step("Mug", "2 x 19.99", "39.98", 3998),
        Step("Tea", "3 x 4.50", "13.50", 1350),
        Step("Subtotal", "sum of the items", "53.48", 5348),
        Step("Shipping: Standard", "4.90 base + 0.86 by weight + 0.00 by item", "5.76", 576),
        Step("VAT on Mug", "39.98 x 7.25 %", "2.89855", 290),
        Step("VAT on Tea", "13.50 x 5 %", "0.675", 68),
        Step("VAT on shipping", "4.31 x 7.25 %", "0.312475", 31),
        Step("VAT on shipping", "1.45 x 5 %", "0.0725", 7),
        Step("VAT 7.25 %", "sum of its taxes, on 44.29", "3.21", 321),
        Step("VAT 5 %", "sum of its taxes, on 14.95", "0.75", 75),
        Step("Tax", "sum of the taxes, each rounded half up", "3.96", 396),
        Step("Total", "subtotal + shipping + tax", "63.20", 6320),
    ]


def test_included_tax_is_explained_as_a_part_of_the_price() -> None:
    shop = rules(
        included=True,
        taxes=[tax_rule("DE", name="MwSt.", standard="19", reduced="7")],
        methods=[method(base="4.90", free_over="10.00")],
    )

    steps = explain(first_quote(shop, [(product(price=1000), 1)], GERMANY), digits=2)

    assert steps[2:] == [
        Step("Shipping: Standard", "4.90 base + 0.00 by weight + 0.00 by item - 4.90 free at this subtotal", "0.00", 0),
        Step("MwSt. on Mug", "10.00 x 19 / (100 + 19)", "1.59663865…", 160),
        Step("MwSt. 19 %", "sum of its taxes, on 10.00", "1.60", 160),
        Step("Tax", "sum of the taxes, each rounded half up", "1.60", 160),
        Step("Total", "subtotal + shipping, tax included", "10.00", 1000),
    ]


@given(any_quote())
def test_any_quote_is_explained_number_by_number(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    quote, _, _, shop = given_quote

    steps = explain(quote, DIGITS[shop.currency])

    assert [step.amount_minor for step in steps] == [
        *(line.subtotal_minor for line in quote.lines),
        quote.subtotal_minor,
        quote.shipping_minor,
        *(line.tax_minor for line in quote.lines),
        *(share.tax_minor for share in quote.shipping_taxes),
        *(line.tax_minor for line in quote.tax_lines),
        quote.tax_minor,
        quote.total_minor,
    ]
    assert all(step.what and step.formula for step in steps)
    assert all(type(part) in (str, int) for step in steps for part in astuple(step))


@given(any_quote())
def test_what_is_explained_rounds_to_what_is_charged(given_quote: tuple[Quote, Any, Destination, Rules]) -> None:
    quote, _, _, shop = given_quote
    digits = DIGITS[shop.currency]

    for step in explain(quote, digits):
        shown = Fraction(step.exact.rstrip("…")) * 10**digits
        cut = Fraction(10**digits, 10**8) if step.exact.endswith("…") else 0
        assert step.amount_minor - Fraction(1, 2) <= shown + cut
        assert shown < step.amount_minor + Fraction(1, 2)


@pytest.mark.parametrize(
    ("ppm", "written"),
    [(0, "0"), (72_500, "7.25"), (190_000, "19"), (1_000_000, "100"), (88_750, "8.875"), (100, "0.01"), (1, "0.0001")],
)
def test_a_rate_is_written_as_people_write_it(ppm: int, written: str) -> None:
    assert percent(ppm) == written
