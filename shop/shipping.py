"""What it costs to send an order, part by part."""

from __future__ import annotations

from dataclasses import dataclass

from shop.money import round_half_up
from shop.rules import Destination, Rules, ShippingMethod


@dataclass(frozen=True, slots=True)
class ShippingCost:
    """A method's price for one order: `base + weight + items - free = total`, all in minor units."""

    method_id: str
    name: str
    base_minor: int
    weight_minor: int
    items_minor: int
    free_minor: int
    """What a `free_over` rule takes off: nothing or everything."""
    total_minor: int


def shipping_cost(method: ShippingMethod, subtotal_minor: int, weight_grams: int, units: int) -> ShippingCost:
    """Price a method: per kilogram pro rata to the gram, rounded half up once."""
    weight_minor = round_half_up(method.per_kg * weight_grams, 1000)
    items_minor = method.per_item * units
    full = method.base + weight_minor + items_minor
    free = full if method.free_over is not None and subtotal_minor >= method.free_over else 0
    return ShippingCost(method.id, method.name, method.base, weight_minor, items_minor, free, full - free)


def methods_for(rules: Rules, destination: Destination) -> list[ShippingMethod]:
    """The methods that serve a destination, in the merchant's order."""
    return [method for method in rules.shipping.methods if method.serves(destination.country)]


def tax_destination(rules: Rules, method: ShippingMethod, destination: Destination) -> Destination:
    """Where the goods change hands: at the shop for a pick-up, at the address otherwise."""
    return rules.tax.home if method.pickup else destination
