"""From lines to a quote: subtotal, shipping, tax and total, and why each is what it is.

Rounding happens in three places and nowhere else, half up each time: the tax of a line, the
tax of a share of the shipping price, the weight part of the shipping price. Everything else
is addition, so these hold for any input:

    subtotal = sum of the lines' subtotals
    tax      = sum of the lines' taxes + sum of the shipping taxes = sum of the tax lines
    total    = subtotal + shipping (+ tax, where prices do not include it)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from shop.catalogue import Product
from shop.money import format_amount, split
from shop.rules import MILLION, Destination, Rules, ShippingMethod
from shop.shipping import ShippingCost, shipping_cost, tax_destination
from shop.tax import Rate, rate_for, tax_on


@dataclass(frozen=True, slots=True)
class QuotedLine:
    product_id: str
    sku: str
    name: str
    quantity: int
    unit_price_minor: int
    subtotal_minor: int
    tax_name: str
    tax_rate_ppm: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class TaxLine:
    """All that is taxed under one name at one rate: the amounts and the tax on (or in) them."""

    name: str
    rate_ppm: int
    base_minor: int
    tax_minor: int


@dataclass(frozen=True, slots=True)
class Quote:
    currency: str
    prices_include_tax: bool
    lines: tuple[QuotedLine, ...]
    shipping: ShippingCost
    shipping_taxes: tuple[TaxLine, ...]
    """Shipping's own tax: a share for each rate it is taxed at."""
    tax_lines: tuple[TaxLine, ...]
    subtotal_minor: int
    shipping_minor: int
    tax_minor: int
    total_minor: int


def price(
    items: Sequence[tuple[Product, int]], method: ShippingMethod, destination: Destination, rules: Rules
) -> Quote:
    """Quote products and quantities, sent by a method to a destination. Quantities are at least 1."""
    place = tax_destination(rules, method, destination)
    included = rules.tax.prices_include_tax
    rates: dict[str, Rate] = {}
    lines = []
    subtotal = weight = units = 0
    for product, quantity in items:
        rate = rates.get(product.tax_class)
        if rate is None:
            rate = rates[product.tax_class] = rate_for(rules.tax, place, product.tax_class)
        amount = product.price_minor * quantity
        tax = tax_on(amount, rate.ppm, included)
        lines.append(
            QuotedLine(
                product.id, product.sku, product.name, quantity, product.price_minor, amount, rate.name, rate.ppm, tax
            )
        )
        subtotal += amount
        weight += product.weight_grams * quantity
        units += quantity
    shipping = shipping_cost(method, subtotal, weight, units)
    shipping_taxes = _shipping_taxes(shipping.total_minor, lines, place, rules)
    tax_lines = _by_rate(
        [*(TaxLine(i.tax_name, i.tax_rate_ppm, i.subtotal_minor, i.tax_minor) for i in lines), *shipping_taxes]
    )
    tax_minor = sum(line.tax_minor for line in tax_lines)
    return Quote(
        currency=rules.currency,
        prices_include_tax=included,
        lines=tuple(lines),
        shipping=shipping,
        shipping_taxes=shipping_taxes,
        tax_lines=tax_lines,
        subtotal_minor=subtotal,
        shipping_minor=shipping.total_minor,
        tax_minor=tax_minor,
        total_minor=subtotal + shipping.total_minor + (0 if included else tax_minor),
    )


def shipping_of(items: Sequence[tuple[Product, int]], method: ShippingMethod) -> ShippingCost:
    """What it costs to send these products and quantities, without the rest of the quote."""
    subtotal = sum(product.price_minor * quantity for product, quantity in items)
    weight = sum(product.weight_grams * quantity for product, quantity in items)
    return shipping_cost(method, subtotal, weight, sum(quantity for _, quantity in items))


def facts(product: Product) -> str:
    """All of a product that a quote depends on."""
    i = product
    return f"{i.id}\t{i.sku}\t{i.name}\t{i.price_minor}\t{i.tax_class}\t{i.weight_grams}"


def basis(products: Iterable[str], rules_fingerprint: str) -> str:
    """All that a quote depends on, beside the quantities, the method and the destination.

    `products` are their `facts`, in the order of the lines. Equal bases make equal quotes, so a
    settlement that finds nothing changed need not work it out again.
    """
    return "\n".join([rules_fingerprint, *products])


def _shipping_taxes(
    shipping_minor: int, lines: Sequence[QuotedLine], place: Destination, rules: Rules
) -> tuple[TaxLine, ...]:
    """Shipping's tax at its own class's rate, or, `as_goods`, split over the goods' rates by value."""
    if not shipping_minor:
        return ()
    if rules.tax.shipping != "as_goods":
        rate = rate_for(rules.tax, place, rules.tax.shipping)
        shares = {(rate.name, rate.ppm): shipping_minor}
    else:
        value: dict[tuple[str, int], int] = {}
        for line in lines:
            key = (line.tax_name, line.tax_rate_ppm)
            value[key] = value.get(key, 0) + line.subtotal_minor
        shares = dict(zip(value, split(shipping_minor, list(value.values())), strict=True))
    included = rules.tax.prices_include_tax
    return tuple(TaxLine(name, ppm, share, tax_on(share, ppm, included)) for (name, ppm), share in shares.items())


def _by_rate(parts: Sequence[TaxLine]) -> tuple[TaxLine, ...]:
    sums: dict[tuple[str, int], tuple[int, int]] = {}
    for part in parts:
        base, tax = sums.get((part.name, part.rate_ppm), (0, 0))
        sums[part.name, part.rate_ppm] = (base + part.base_minor, tax + part.tax_minor)
    return tuple(TaxLine(name, ppm, base, tax) for (name, ppm), (base, tax) in sums.items())


@dataclass(frozen=True, slots=True)
class Step:
    """One number of a quote: what it is, how it comes about, its exact value and what it was rounded to."""

    what: str
    formula: str
    exact: str
    amount_minor: int


def explain(quote: Quote, digits: int) -> list[Step]:
    """Every number of a quote in the order in which they are worked out; `digits` is the currency's exponent."""

    def money(minor: int) -> str:
        return format_amount(minor, digits)

    steps = [
        Step(f"{i.name}", f"{i.quantity} x {money(i.unit_price_minor)}", money(i.subtotal_minor), i.subtotal_minor)
        for i in quote.lines
    ]
    steps.append(Step("Subtotal", "sum of the items", money(quote.subtotal_minor), quote.subtotal_minor))
    cost = quote.shipping
    parts = f"{money(cost.base_minor)} base + {money(cost.weight_minor)} by weight + {money(cost.items_minor)} by item"
    if cost.free_minor:
        parts += f" - {money(cost.free_minor)} free at this subtotal"
    steps.append(Step(f"Shipping: {cost.name}", parts, money(cost.total_minor), cost.total_minor))
    taxed = [(i.name, i.tax_name, i.tax_rate_ppm, i.subtotal_minor, i.tax_minor) for i in quote.lines]
    taxed += [("shipping", s.name, s.rate_ppm, s.base_minor, s.tax_minor) for s in quote.shipping_taxes]
    for what, name, ppm, base, tax in taxed:
        divisor = MILLION + ppm if quote.prices_include_tax else MILLION
        formula = f"{money(base)} x {percent(ppm)} %"
        if quote.prices_include_tax:
            formula = f"{money(base)} x {percent(ppm)} / (100 + {percent(ppm)})"
        steps.append(Step(f"{name} on {what}", formula, _decimal(Fraction(base * ppm, divisor * 10**digits)), tax))
    for t in quote.tax_lines:
        formula = f"sum of its taxes, on {money(t.base_minor)}"
        steps.append(Step(f"{t.name} {percent(t.rate_ppm)} %", formula, money(t.tax_minor), t.tax_minor))
    steps.append(Step("Tax", "sum of the taxes, each rounded half up", money(quote.tax_minor), quote.tax_minor))
    formula = "subtotal + shipping, tax included" if quote.prices_include_tax else "subtotal + shipping + tax"
    steps.append(Step("Total", formula, money(quote.total_minor), quote.total_minor))
    return steps


def percent(ppm: int) -> str:
    """A rate as people write it: 72500 -> "7.25"."""
    whole, part = divmod(ppm, 10_000)
    return f"{whole}.{part:04d}".rstrip("0").rstrip(".")


def _decimal(value: Fraction) -> str:
    """A fraction as a decimal: exact where it ends within eight digits, else cut there with an ellipsis."""
    scaled = value * 10**8
    whole, part = divmod(int(scaled), 10**8)
    text = f"{whole}.{part:08d}".rstrip("0").rstrip(".")
    return text if scaled.denominator == 1 else f"{whole}.{part:08d}…"
