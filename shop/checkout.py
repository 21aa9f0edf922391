"""An accepted checkout: what the shopper was promised, frozen when they were."""

from __future__ import annotations

from dataclasses import dataclass

from shop.pricing import Quote
from shop.rules import Destination


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. `country` is ISO 3166-1 alpha-2, `region` its state or province where it matters."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    region: str | None = None
    line2: str | None = None
    company: str | None = None
    phone: str | None = None

    @property
    def destination(self) -> Destination:
        return Destination.model_construct(country=self.country, region=self.region)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout as it was accepted. `quote` is what the shopper saw; the order may not cost more."""

    order_id: str
    session_id: str
    cart_id: str
    cart_version: int
    email: str
    shipping_info: Address | None
    """None for a pick-up without an address."""
    billing_info: Address
    shipping_method: str
    payment_method: str
    quote: Quote
    payment_token: str | None = None
    """Stands for the means of payment, for a method with a provider; never a card number."""
    idempotency_key: str | None = None
    fingerprint: str = ""
    basis: str = ""
    """shop.pricing.basis of the quote; empty: price again."""
    again: bool = False
    """It was settled before, by a database that was lost since: its payment may have been asked for."""
    accepted_at: int = 0
    """Milliseconds since the epoch, by the clock of the store that accepted it."""

    @property
    def country(self) -> str | None:
        return self.shipping_info.country if self.shipping_info else None

    def destination(self, home: Destination) -> Destination:
        return self.shipping_info.destination if self.shipping_info else home
