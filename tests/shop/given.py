"""Products, rules and checkouts for the tests of the rules: a short way to write them, and any of them at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from shop.catalogue import Product
from shop.checkout import Address, Checkout
from shop.pricing import Quote
from shop.rules import Destination, Rules

DIGITS = {"USD": 2, "JPY": 0, "KWD": 3}

CALIFORNIA = Destination(country="US", region="CA")
US = Destination(country="US")
GERMANY = Destination(country="DE")
NOWHERE = Destination(country="AQ")


def product(
    id: str = "MUG",  # noqa: A002
    price: int = 1000,
    stock: int = 10,
    tax_class: str = "standard",
    grams: int = 0,
    active: bool = True,
) -> Product:
    return Product(id, f"SKU-{id}", id.title(), price, stock, tax_class, grams, is_active=active)


def tax_rule(country: str, region: str | None = None, name: str = "VAT", **rates: str) -> dict[str, Any]:
    place = {"country": country, "region": region} if region else {"country": country}
    return {"name": name, **place, "rates": rates}


def method(id: str = "standard", countries: Sequence[str] = ("*",), base: str = "0", **more: Any) -> dict[str, Any]:  # noqa: A002
    return {"id": id, "name": id.title(), "countries": list(countries), "base": base, "days": [1, 2], **more}


def rules(
    currency: str = "USD",
    *,
    included: bool = False,
    shipping_class: str = "as_goods",
    classes: Sequence[str] = ("standard", "reduced"),
    taxes: Sequence[Mapping[str, Any]] = (),
    methods: Sequence[Mapping[str, Any]] = (method(base="5"),),
    home: Mapping[str, str] | None = None,
) -> Rules:
    data = {
        "name": "Test goods",
        "currency": currency,
        "tax": {
            "prices_include_tax": included,
            "home": home or {"country": "US", "region": "CA"},
            "classes": list(classes),
            "shipping": shipping_class,
            "rules": list(taxes),
        },
        "shipping": {"methods": list(methods)},
        "payment": {"methods": [{"id": "invoice", "name": "Invoice"}]},
    }
    return Rules.model_validate(data, context={"digits": DIGITS[currency]})


def checkout(order_id: str, quote: Quote, destination: Destination | None = CALIFORNIA) -> Checkout:
    """An accepted checkout of a quote; without a destination, a pick-up without an address."""
    where = destination or CALIFORNIA
    address = Address("Ada Lovelace", "1 Main Street", "Oakland", "94601", where.country, where.region)
    return Checkout(
        order_id=order_id,
        session_id=f"session-{order_id}",
        cart_id=f"cart-{order_id}",
        cart_version=1,
        email="ada@example.com",
        shipping_info=address if destination else None,
        billing_info=address,
        shipping_method=quote.shipping.method_id,
        payment_method="invoice",
        quote=quote,
    )


# ---------------------------------------------------------------- any

CLASSES = ["standard", "reduced", "zero"]
PLACES: list[tuple[str, str | None]] = [("US", None), ("US", "CA"), ("US", "NY"), ("DE", None)]

any_destination = st.sampled_from(
    [*(Destination(country=country, region=region) for country, region in PLACES), NOWHERE]
)
any_rates = st.lists(
    st.sampled_from(["0", "0.0001", "5", "7.25", "8.875", "19", "33.3333", "100"]), min_size=3, max_size=3
).map(lambda rates: dict(zip(CLASSES, rates, strict=True)))


def any_amount(digits: int, most: int = 100_000) -> st.SearchStrategy[str]:
    """Amounts as a merchant writes them in a currency with this many digits."""
    if not digits:
        return st.integers(0, most).map(str)
    return st.integers(0, most).map(lambda minor: f"{minor // 10**digits}.{minor % 10**digits:0{digits}d}")


def any_method(id: str, digits: int) -> st.SearchStrategy[dict[str, Any]]:  # noqa: A002
    amount = any_amount(digits)
    return st.builds(
        method,
        st.just(id),
        st.sampled_from([["*"], ["US"], ["DE", "US"]]),
        amount,
        per_kg=amount,
        per_item=amount,
        free_over=st.sampled_from(["0", "50", "50000"]) | st.none(),
        pickup=st.booleans(),
    )


@st.composite
def any_rules(draw: st.DrawFn, currency: str | None = None) -> Rules:
    """Any rules over the classes and places above, with one to three shipping methods."""
    currency = currency or draw(st.sampled_from(sorted(DIGITS)))
    places = draw(st.lists(st.sampled_from(PLACES), unique=True))
    names = st.sampled_from(["VAT", "GST"])
    return rules(
        currency,
        included=draw(st.booleans()),
        shipping_class=draw(st.sampled_from(["as_goods", *CLASSES])),
        classes=CLASSES,
        taxes=[tax_rule(*place, draw(names), **draw(any_rates)) for place in places],
        methods=[draw(any_method(name, DIGITS[currency])) for name in "abc"[: draw(st.integers(1, 3))]],
    )


def any_product(id: str, most_stock: int = 1000) -> st.SearchStrategy[Product]:  # noqa: A002
    return st.builds(
        product,
        st.just(id),
        price=st.one_of(st.integers(0, 300), st.integers(0, 10**9)),
        stock=st.integers(0, most_stock),
        tax_class=st.sampled_from([*CLASSES, "unheard_of"]),
        grams=st.integers(0, 50_000),
    )


any_items = st.lists(st.integers(1, 50), min_size=1, max_size=6).flatmap(
    lambda quantities: st.tuples(
        *(st.tuples(any_product(f"P{i}"), st.just(quantity)) for i, quantity in enumerate(quantities))
    )
)
