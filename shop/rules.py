"""The merchant's rules, as `shop.toml` states them.

`parse` turns the file's text into values or raises RulesError, which names the line and the key.
Amounts become minor units, percentages become parts per million (7.25 % is 72,500), so that no
float is ever read: amounts and rates are written as strings.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic import ValidationInfo as Info
from pydantic_core import ErrorDetails, PydanticCustomError

from shop.errors import BadSettings
from shop.money import exponent, parse_amount

MILLION = 1_000_000
_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,4})?")


class RulesError(BadSettings):
    """`shop.toml` cannot be used; the message is one line that names the place and what to change."""


def _amount(value: Any, info: Info) -> int:
    if not isinstance(value, str):
        raise ValueError('write the amount as a string, such as "4.90"')
    return parse_amount(value, (info.context or {})["digits"])


def _percent(value: Any) -> int:
    if not isinstance(value, str) or not _PERCENT.fullmatch(value) or Decimal(value) > 100:
        raise ValueError('write the rate in percent as a string from "0" to "100", such as "7.25"')
    return int(Decimal(value) * 10_000)


def _written(pattern: str, how: str) -> AfterValidator:
    """A text of this form; `how` tells the merchant how to write it."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"write {how}, not {value!r}")
        return value

    return AfterValidator(check)


def _misplaced(message: str, *path: str | int) -> PydanticCustomError:
    """A mistake between keys that are right by themselves; `path` leads from the section to the one to change."""
    return PydanticCustomError("misplaced", "{message}", {"message": message, "path": path})


Amount = Annotated[int, BeforeValidator(_amount)]
RatePpm = Annotated[int, BeforeValidator(_percent)]
Currency = Annotated[str, _written("[A-Z]{3}", 'the currency as three capital letters, such as "EUR"')]
Country = Annotated[str, _written("[A-Z]{2}", 'the country as two capital letters, such as "DE"')]
Served = Annotated[
    str, _written(r"[A-Z]{2}|\*", 'a country as two capital letters, such as "DE", or "*" for every one')
]
Region = Annotated[str, _written("[A-Z0-9]{1,3}", 'the region as up to three capital letters or digits, such as "CA"')]
Id = Annotated[str, _written("[a-z][a-z0-9_]{0,31}", 'a short name in small letters, such as "express_2"')]
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
        known = ", ".join(self.classes)
        if len(set(self.classes)) < len(self.classes):
            raise _misplaced(f"every class must be named once, not {known}", "classes")
        if self.shipping != "as_goods" and self.shipping not in self.classes:
            raise _misplaced(f"write as_goods or one of the classes ({known}), not {self.shipping!r}", "shipping")
        seen = set()
        for i, rule in enumerate(self.rules):
            if unknown := [name for name in rule.rates if name not in self.classes]:
                raise _misplaced(f"this is none of the classes ({known})", "rules", i, "rates", unknown[0])
            if missing := [name for name in self.classes if name not in rule.rates]:
                raise _misplaced(f"{rule.name} has no rate for {', '.join(missing)}", "rules", i, "rates")
            if (place := (rule.country, rule.region)) in seen:
                where = f"{rule.country}, region {rule.region}" if rule.region else rule.country
                raise _misplaced(
                    f"there is a rule for {where} already", "rules", i, "region" if rule.region else "country"
                )
            seen.add(place)
        return self


class ShippingMethod(Section):
    """One way to send an order, or to hand it over (`pickup`)."""

    id: Id
    name: Text
    countries: Annotated[list[Served], Field(min_length=1)]
    base: Amount
    per_kg: Amount = 0
    per_item: Amount = 0
    free_over: Amount | None = None
    """Free from this subtotal on."""
    days: Annotated[list[Annotated[int, Field(ge=0, le=365)]], Field(min_length=2, max_length=2)]
    """Estimated working days, from and to."""
    pickup: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.days[0] > self.days[1]:
            raise _misplaced(f"write the smaller number of days first, not {self.days}", "days")
        return self

    def serves(self, country: str) -> bool:
        return country in self.countries or "*" in self.countries


class ShippingRules(Section):
    methods: Annotated[list[ShippingMethod], Field(min_length=1)]


class PaymentMethod(Section):
    """One way to pay. Methods without a provider are settled outside the shop and confirmed at once."""

    id: Id
    name: Text
    description: str = ""
    provider: Id | None = None
    """Who is asked before an order is confirmed: `sandbox` or `stripe`."""
    capture: Literal["manual", "automatic"] = "manual"
    """manual: the money is reserved, and taken once the order is confirmed. automatic: it is taken at once."""


class PaymentRules(Section):
    methods: Annotated[list[PaymentMethod], Field(min_length=1)]
    action_minutes: Annotated[int, Field(ge=1, le=1440)] = 15
    """How long a shopper has to confirm a payment at the provider."""


class Rules(Section):
    name: Text
    currency: Currency
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
            seen = set()
            for i, method in enumerate(methods):
                if method.id in seen:
                    raise _misplaced(f"there is a method {method.id!r} already", section, "methods", i, "id")
                seen.add(method.id)
        return self

    @property
    def digits(self) -> int:
        """Digits behind the decimal point of the shop's currency."""
        return exponent(self.currency)

    def fingerprint(self) -> str:
        """Equal for rules that say the same. Takes a tenth of a millisecond: keep it where it is asked often."""
        return sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def shipping_method(self, method_id: str) -> ShippingMethod | None:
        return next((method for method in self.shipping.methods if method.id == method_id), None)

    def payment_method(self, method_id: str) -> PaymentMethod | None:
        return next((method for method in self.payment.methods if method.id == method_id), None)


def parse(text: str, source: str = "shop.toml") -> Rules:
    """The rules in a TOML text. Raises RulesError with the line, the key and what is wrong with it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        *_, (line, _) = _statements(text)
        raise RulesError(f"{source}:{line}: this is not TOML: {error}") from error
    digits = exponent(str(data.get("currency", "")))
    try:
        return Rules.model_validate(data, context={"digits": digits})
    except ValidationError as error:
        # An unknown key first: it is often the misspelling of one that another error misses.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        path = [*first["loc"], *first.get("ctx", {}).get("path", ())]
        key = ".".join(part for part in path if isinstance(part, str))
        message = " ".join(f"{key}: {_message(first)}".split())
        raise RulesError(f"{source}:{_line_of(text, path)}: {message}") from error


_MESSAGES = {
    "missing": "this key is missing",
    "extra_forbidden": "there is no such key",
    "string_type": "write a text, in quotes",
    "string_too_short": "this must not be empty",
    "string_too_long": "write at most {max_length} characters",
    "int_type": "write a whole number, without quotes",
    "greater_than_equal": "write a number of at least {ge}",
    "less_than_equal": "write a number of at most {le}",
    "bool_type": "write true or false, without quotes",
    "list_type": "write a list: values in [ ], or a table under [[ ]] for each",
    "too_short": "list at least {min_length}",
    "too_long": "list at most {max_length}",
    "model_type": "write a table: keys and values in {{ }}, or below a line in [ ]",
    "dict_type": "write a table: keys and values in {{ }}, or below a line in [ ]",
}
"""What pydantic's errors are to a merchant."""


def _message(error: ErrorDetails) -> str:
    if known := _MESSAGES.get(error["type"]):
        return known.format(**error.get("ctx", {}))
    return error["msg"].removeprefix("Value error, ")


def _line_of(text: str, path: Sequence[str | int]) -> int:
    """The line that brings a key, or the last of its enclosing tables that the text has (1 if none)."""
    at, reached = 1, 0
    for line, data in _statements(text):
        depth = _depth(data, path)
        if depth > reached:
            at, reached = line, depth
    return at


def _statements(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each statement's first line and all that the text has said by its end; a broken one comes last, with nothing.

    TOML has no other way to be asked for its lines: a text that ends inside a statement cannot be read.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    first = 1
    for end in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
        yield first, data
        first = end + 1
    yield first, {}


def _depth(data: Any, path: Sequence[str | int]) -> int:
    """How many steps of a path exist in the data."""
    for depth, part in enumerate(path):
        try:
            data = data[part]
        except (KeyError, IndexError):
            return depth
    return len(path)
