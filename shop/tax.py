"""Tax by country, region and tax class, on prices with or without tax."""

from __future__ import annotations

from dataclasses import dataclass

from shop.money import round_half_up
from shop.rules import MILLION, Destination, TaxRules


@dataclass(frozen=True, slots=True)
class Rate:
    """A tax rate and its name on the invoice; `ppm` is in parts per million (19 % is 190,000)."""

    name: str
    ppm: int


UNTAXED = Rate("No tax", 0)


def rate_for(rules: TaxRules, destination: Destination, tax_class: str) -> Rate:
    """The rate of the region, else of the country, else none. An unknown class pays the first class's rate."""
    in_country = [rule for rule in rules.rules if rule.country == destination.country]
    for region in (destination.region, None):
        for rule in in_country:
            if rule.region == region:
                rates = rule.rates
                return Rate(rule.name, rates.get(tax_class, rates[rules.classes[0]]))
    return UNTAXED


def tax_on(amount_minor: int, rate_ppm: int, included: bool) -> int:
    """The tax on an amount, or the tax inside it when `included`, rounded half up once."""
    return round_half_up(amount_minor * rate_ppm, MILLION + rate_ppm if included else MILLION)
