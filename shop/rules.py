"""The merchant's rules, as `shop.toml` states them.

`parse` turns the file's text into values or raises RulesError, which names the line and the key.
Amounts become minor units, percentages become parts per million (7.25 % is 72,500), so that no
float is ever read: amounts and rates are written as strings.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic import ValidationInfo as Info

from shop.money import exponent, parse_amount

MILLION = 1_000_000
_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,4})?")


class RulesError(ValueError):
    """`shop.toml` cannot be used; the message is one line that names the place and what to change."""


def _amount(value: Any, info: Info) -> int:
    if not isinstance(value, str):
        raise ValueError('write the amount as a string, such as "4.90"')
    return parse_amount(value, (info.context or {})["digits"])


def _percent(value: Any) -> int:
    if not isinstance(value, str) or not _PERCENT.fullmatch(value) or Decimal(value) > 100:
        raise ValueError('write the rate in percent as a string from "0" to "100", such as "7.25"')
    return int(Decimal(value) * 10_000)


Amount = Annotated[int, BeforeValidator(_amount)]
RatePpm = Annotated[int, BeforeValidator(_percent)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Region = Annotated[str, Field(pattern=r"^[A-Z0-9]{1,3}$")]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CartRules(Section):
    lifetime_days: Annotated[int, Field(ge=1, le=365)] = 30
    max_quantity: Annotated[int, Field(ge=1, le=10_000)] = 20
    """Units of one product in one order."""
    max_lines: Annotated[int, Field(ge=1, le=500)] = 100

    @property
    def lifetime_seconds(self) -> int:
        return self.lifetime_days * 24 * 3600


class Destination(Section):
    """Where an order goes: an ISO 3166-1 country and, where tax or shipping depends on it, its region."""

    country: Country
    region: Region | None = None


class TaxRule(Section):
    """The rates of one country or of one region in it, a rate for each tax class."""

    name: Text
    country: Country
    region: Region | None = None
    rates: dict[str, RatePpm]


class TaxRules(Section):
    prices_include_tax: bool
    home: Destination
    """Where the shop is: for pick-up, and for estimates before an address is known."""
    classes: Annotated[list[Id], Field(min_length=1)]
    shipping: str = "as_goods"
    """The tax class of shipping, or `as_goods`: split over the goods' rates in proportion to their value."""
    rules: list[TaxRule] = []

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.shipping != "as_goods" and self.shipping not in self.classes:
            raise ValueError(f"shipping: {self.shipping!r} is none of the classes {self.classes}")
        seen = set()
        for i, rule in enumerate(self.rules):
            if set(rule.rates) != set(self.classes):
                raise ValueError(f"rules[{i}] ({rule.name}): give a rate for each of the classes {self.classes}")
            if (place := (rule.country, rule.region)) in seen:
                raise ValueError(f"rules[{i}] ({rule.name}): there is a rule for {rule.country} {rule.region} already")
            seen.add(place)
        return self


class ShippingMethod(Section):
    """One way to send an order, or to hand it over (`pickup`)."""

    id: Id
    name: Text
    countries: Annotated[list[Country | Literal["*"]], Field(min_length=1)]
    base: Amount
    per_kg: Amount = 0
    per_item: Amount = 0
    free_over: Amount | None = None
    """Free from this subtotal on."""
    days: Annotated[list[Annotated[int, Field(ge=0, le=365)]], Field(min_length=2, max_length=2)]
    """Estimated working days, from and to."""
    pickup: bool = False

    def serves(self, country: str) -> bool:
        return country in self.countries or "*" in self.countries


class ShippingRules(Section):
    methods: Annotated[list[ShippingMethod], Field(min_length=1)]


class PaymentMethod(Section):
    """One way to pay. Methods without a provider are settled outside the shop and confirmed at once."""

    id: Id
    name: Text
    description: str = ""


class PaymentRules(Section):
    methods: Annotated[list[PaymentMethod], Field(min_length=1)]


class Rules(Section):
    name: Text
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    cart: CartRules = CartRules()
    tax: TaxRules
    shipping: ShippingRules
    payment: PaymentRules

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        sections: dict[str, Sequence[ShippingMethod | PaymentMethod]] = {
            "shipping": self.shipping.methods,
            "payment": self.payment.methods,
        }
        for section, methods in sections.items():
            ids = [method.id for method in methods]
            if len(set(ids)) < len(ids):
                raise ValueError(f"{section}.methods: every id must be unique, not {ids}")
        return self

    @property
    def digits(self) -> int:
        """Digits behind the decimal point of the shop's currency."""
        return exponent(self.currency)

    def shipping_method(self, method_id: str) -> ShippingMethod | None:
        return next((method for method in self.shipping.methods if method.id == method_id), None)

    def payment_method(self, method_id: str) -> PaymentMethod | None:
        return next((method for method in self.payment.methods if method.id == method_id), None)


def parse(text: str, source: str = "shop.toml") -> Rules:
    """The rules in a TOML text. Raises RulesError with the line, the key and what is wrong with it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{source}: {error}") from error
    digits = exponent(str(data.get("currency", "")))
    try:
        return Rules.model_validate(data, context={"digits": digits})
    except ValidationError as error:
        first = error.errors()[0]
        path = [part for part in first["loc"] if part in data or not isinstance(part, str) or part.islower()]
        key = ".".join(str(part) for part in path) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise RulesError(f"{source}:{_line_of(text, path)}: {key}: {message}") from error


def _line_of(text: str, path: Sequence[str | int]) -> int:
    """The line where a key stands, or the last of its enclosing tables that the text has (1 if none)."""
    lines = text.splitlines()
    at, table = 0, ""
    for part in path:
        if isinstance(part, int):
            heads = [i for i, line in enumerate(lines) if line.strip().startswith(f"[[{table}]]")]
            at = heads[part] if part < len(heads) else at
            continue
        table = f"{table}.{part}" if table else part
        head = re.compile(rf"\s*\[\[?\s*{re.escape(table)}\s*\]")
        key = re.compile(rf'\s*"?{re.escape(part)}"?\s*=')
        found = next((i for i in range(len(lines)) if head.match(lines[i])), None)
        if found is None:
            found = next((i for i in range(at, len(lines)) if key.match(lines[i])), at)
        at = found
    return at + 1
