"""`shop.toml`: the shipped one is read, and each mistake is named on its line, in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.money import parse_amount
from shop.rules import Destination, PaymentMethod, RulesError, ShippingMethod, TaxRule, parse

SHIPPED = Path(__file__).parents[2] / "shop.toml"
SHOP_TOML = """\
# A small shop.
name = "Corner shop"
currency = "EUR"

[cart]
max_quantity = 20

[tax]
prices_include_tax = true
home = { country = "DE" }
classes = ["standard", "reduced"]

[[tax.rules]]
name = "MwSt."
country = "DE"
rates = { standard = "19", reduced = "7" }

[[tax.rules]]
name = "BTW"
country = "NL"
region = "NH"
rates = { standard = "21", reduced = "9" }

[[shipping.methods]]
id = "parcel"
name = "Parcel"
countries = [
    "DE",
    "NL",
]
base = "4.90"
days = [1, 3]

[[shipping.methods]]
id = "pickup"
name = "Pick-up"
countries = ["*"]
base = "0"
days = [0, 1]
pickup = true

[[payment.methods]]
id = "invoice"
name = "Invoice"
"""


def complaint(text: str) -> str:
    """What is said about a file that cannot be used."""
    with pytest.raises(RulesError) as refused:
        parse(text, "shop.toml")
    return str(refused.value)


def changed(was: str, now: str) -> str:
    """The small shop's file with one passage, that it has once, written otherwise."""
    assert SHOP_TOML.count(was) == 1
    return SHOP_TOML.replace(was, now)


# ---------------------------------------------------------------- read


def test_the_shipped_file_is_valid() -> None:
    shipped = parse(SHIPPED.read_text(encoding="utf-8"))

    assert (shipped.name, shipped.currency, shipped.digits) == ("Oncecart Goods", "USD", 2)
    assert (shipped.cart.lifetime_seconds, shipped.cart.max_quantity, shipped.cart.max_lines) == (2_592_000, 20, 100)
    assert shipped.tax.home == Destination(country="US", region="CA")
    assert [method.id for method in shipped.shipping.methods] == ["standard", "express", "international", "pickup"]
    assert [method.id for method in shipped.payment.methods] == ["card", "invoice", "cash_on_delivery"]
    assert shipped.shipping.methods[1] == ShippingMethod.model_construct(
        id="express", name="Express delivery", countries=["US", "CA"], base=1290, per_kg=250, per_item=50, days=[1, 2]
    )


def test_a_small_file_takes_defaults_for_the_rest() -> None:
    small = parse(SHOP_TOML)

    assert (small.cart.lifetime_days, small.cart.max_quantity, small.cart.max_lines) == (30, 20, 100)
    assert small.tax.shipping == "as_goods"
    assert small.tax.rules[1] == TaxRule.model_construct(
        name="BTW", country="NL", region="NH", rates={"standard": 210_000, "reduced": 90_000}
    )
    parcel, pickup = small.shipping.methods
    assert (parcel.base, parcel.per_kg, parcel.per_item, parcel.free_over) == (490, 0, 0, None)
    assert (parcel.pickup, pickup.pickup) == (False, True)


def test_a_cart_section_may_be_left_out() -> None:
    assert parse(changed("[cart]\nmax_quantity = 20\n", "")).cart.max_quantity == 20


def test_a_file_with_windows_line_ends_is_the_same() -> None:
    assert parse(SHOP_TOML.replace("\n", "\r\n")) == parse(SHOP_TOML)


@pytest.mark.parametrize(
    ("currency", "base", "minor"), [("JPY", "490", 490), ("KWD", "4.9", 4900), ("USD", "4.9", 490)]
)
def test_amounts_are_in_the_currencys_minor_units(currency: str, base: str, minor: int) -> None:
    rules = parse(SHOP_TOML.replace("EUR", currency).replace('"4.90"', f'"{base}"'))

    assert rules.shipping.methods[0].base == minor


@pytest.mark.parametrize(
    ("written", "ppm"),
    [("0", 0), ("7.25", 72_500), ("8.875", 88_750), ("0.0001", 1), ("100", 1_000_000), ("100.0", 1_000_000)],
)
def test_rates_are_exact(written: str, ppm: int) -> None:
    assert parse(changed('"19"', f'"{written}"')).tax.rules[0].rates["standard"] == ppm


def test_methods_are_found_by_their_id() -> None:
    rules = parse(SHOP_TOML)

    assert rules.shipping_method("pickup") is rules.shipping.methods[1]
    assert rules.shipping_method("drone") is None
    assert rules.payment_method("invoice") == PaymentMethod(id="invoice", name="Invoice")
    assert rules.payment_method("shells") is None


def test_a_method_serves_the_countries_it_names_or_all() -> None:
    parcel, pickup = parse(SHOP_TOML).shipping.methods

    assert [parcel.serves(country) for country in ("DE", "NL", "FR")] == [True, True, False]
    assert pickup.serves("FR")


# ---------------------------------------------------------------- mistakes

AMOUNT = 'write the amount as a string, such as "4.90"'
PERCENT = 'write the rate in percent as a string from "0" to "100", such as "7.25"'
COUNTRY = 'write the country as two capital letters, such as "DE"'
SERVED = 'write a country as two capital letters, such as "DE", or "*" for every one'
LIST = "write a list: values in [ ], or a table under [[ ]] for each"
TABLE = "write a table: keys and values in { }, or below a line in [ ]"
REGION = 'write the region as up to three capital letters or digits, such as "CA"'
ID = 'write a short name in small letters, such as "express_2"'


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        # Amounts and rates
        ('base = "4.90"', "base = 4.90", f":31: shipping.methods.base: {AMOUNT}"),
        ('base = "0"', "base = 0", f":38: shipping.methods.base: {AMOUNT}"),
        (
            '"4.90"',
            '"4.905"',
            ":31: shipping.methods.base: '4.905' is not an amount with at most 2 decimal digits",
        ),
        ('"4.90"', '"-1"', ":31: shipping.methods.base: '-1' is not an amount with at most 2 decimal digits"),
        ('"4.90"', '"1000000000.01"', ":31: shipping.methods.base: 1000000000.01 is more than we can count"),
        ('standard = "21"', 'standard = "100.01"', f":22: tax.rules.rates.standard: {PERCENT}"),
        ('reduced = "9"', "reduced = 9", f":22: tax.rules.rates.reduced: {PERCENT}"),
        ('reduced = "7"', 'reduced = "-7"', f":16: tax.rules.rates.reduced: {PERCENT}"),
        ('reduced = "7"', 'reduced = "7.12345"', f":16: tax.rules.rates.reduced: {PERCENT}"),
        # Keys
        ("max_quantity", "max_quantiy", ":6: cart.max_quantiy: there is no such key"),
        ("[cart]", "[kart]", ":5: kart: there is no such key"),
        ('currency = "EUR"', 'curency = "EUR"', ":3: curency: there is no such key"),
        ("pickup = true", "pick_up = true", ":40: shipping.methods.pick_up: there is no such key"),
        ("pickup = true", '"two\\nlines" = 1', ":40: shipping.methods.two lines: there is no such key"),
        ('country = "DE" }', 'country = "DE", town = "Ulm" }', ":10: tax.home.town: there is no such key"),
        ('name = "BTW"\n', "", ":18: tax.rules.name: this key is missing"),
        ('id = "pickup"\n', "", ":34: shipping.methods.id: this key is missing"),
        ('home = { country = "DE" }', "home = {}", ":10: tax.home.country: this key is missing"),
        ('home = { country = "DE" }\n', "", ":8: tax.home: this key is missing"),
        ('currency = "EUR"\n', "", ":1: currency: this key is missing"),
        ('[[payment.methods]]\nid = "invoice"\nname = "Invoice"\n', "", ":1: payment: this key is missing"),
        (
            '[[payment.methods]]\nid = "invoice"\nname = "Invoice"\n',
            "[payment]",
            ":42: payment.methods: this key is missing",
        ),
        # Kinds and sizes
        ("max_quantity = 20", 'max_quantity = "20"', ":6: cart.max_quantity: write a whole number, without quotes"),
        ("max_quantity = 20", "max_quantity = 2.5", ":6: cart.max_quantity: write a whole number, without quotes"),
        ("max_quantity = 20", "max_quantity = true", ":6: cart.max_quantity: write a whole number, without quotes"),
        ("max_quantity = 20", "max_quantity = 0", ":6: cart.max_quantity: write a number of at least 1"),
        ("max_quantity = 20", "max_quantity = 10_001", ":6: cart.max_quantity: write a number of at most 10000"),
        ("max_quantity = 20", "lifetime_days = 366", ":6: cart.lifetime_days: write a number of at most 365"),
        ("tax = true", 'tax = "yes"', ":9: tax.prices_include_tax: write true or false, without quotes"),
        ('name = "Corner shop"', "name = 7", ":2: name: write a text, in quotes"),
        ('name = "Corner shop"', 'name = ""', ":2: name: this must not be empty"),
        ('name = "Corner shop"', f'name = "{"x" * 201}"', ":2: name: write at most 200 characters"),
        ('home = { country = "DE" }', 'home = "DE"', f":10: tax.home: {TABLE}"),
        ('{ standard = "19", reduced = "7" }', '"19"', f":16: tax.rules.rates: {TABLE}"),
        ("[[payment.methods]]", "[payment.methods]", f":42: payment.methods: {LIST}"),
        ("days = [1, 3]", "days = 3", f":32: shipping.methods.days: {LIST}"),
        ("days = [1, 3]", "days = [3]", ":32: shipping.methods.days: list at least 2"),
        ("days = [1, 3]", "days = [1, 2, 3]", ":32: shipping.methods.days: list at most 2"),
        ("days = [1, 3]", "days = [-1, 3]", ":32: shipping.methods.days: write a number of at least 0"),
        ('countries = ["*"]', "countries = []", ":37: shipping.methods.countries: list at least 1"),
        # Places, currencies and names
        ('"EUR"', '"eur"', ":3: currency: write the currency as three capital letters, such as \"EUR\", not 'eur'"),
        ('"EUR"', '"€"', ":3: currency: write the currency as three capital letters, such as \"EUR\", not '€'"),
        ('"EUR"', "978", ":3: currency: write a text, in quotes"),
        ('{ country = "DE" }', '{ country = "Germany" }', f":10: tax.home.country: {COUNTRY}, not 'Germany'"),
        ('country = "NL"', 'country = "nl"', f":20: tax.rules.country: {COUNTRY}, not 'nl'"),
        ('    "NL",', '    "NLD",', f":27: shipping.methods.countries: {SERVED}, not 'NLD'"),
        ('["*"]', '["EU", "**"]', f":37: shipping.methods.countries: {SERVED}, not '**'"),
        (
            '"NH"',
            '"Noord"',
            f":21: tax.rules.region: {REGION}, not 'Noord'",
        ),
        ('id = "parcel"', 'id = "Parcel"', f":25: shipping.methods.id: {ID}, not 'Parcel'"),
        ('id = "invoice"', 'id = "bank transfer"', f":43: payment.methods.id: {ID}, not 'bank transfer'"),
        # Keys that are right by themselves
        ('id = "pickup"', 'id = "parcel"', ":35: shipping.methods.id: there is a method 'parcel' already"),
        (
            'name = "Invoice"\n',
            'name = "Invoice"\n[[payment.methods]]\nname = "Invoice"\nid = "invoice"\n',
            ":47: payment.methods.id: there is a method 'invoice' already",
        ),
        (
            '{ standard = "19", reduced = "7" }',
            '{ standard = "19" }',
            ":16: tax.rules.rates: MwSt. has no rate for reduced",
        ),
        ('{ standard = "21", reduced = "9" }', "{}", ":22: tax.rules.rates: BTW has no rate for standard, reduced"),
        (
            'reduced = "9"',
            'reduced = "9", books = "9"',
            ":22: tax.rules.rates.books: this is none of the classes (standard, reduced)",
        ),
        (
            '"standard", "reduced"',
            '"standard", "standard"',
            ":11: tax.classes: every class must be named once, not standard, standard",
        ),
        ('["standard", "reduced"]', "[]", ":11: tax.classes: list at least 1"),
        (
            '["standard", "reduced"]',
            '["standard", "reduced"]\nshipping = "free"',
            ":12: tax.shipping: write as_goods or one of the classes (standard, reduced), not 'free'",
        ),
        ('country = "NL"\nregion = "NH"', 'country = "DE"', ":20: tax.rules.country: there is a rule for DE already"),
        (
            'country = "DE"\nrates',
            'region = "NH"\ncountry = "NL"\nrates',
            ":22: tax.rules.region: there is a rule for NL, region NH already",
        ),
        (
            "days = [1, 3]",
            "days = [3, 1]",
            ":32: shipping.methods.days: write the smaller number of days first, not [3, 1]",
        ),
        # Not TOML at all
        (
            "[cart]",
            "[cart",
            ":5: this is not TOML: Expected ']' at the end of a table declaration (at line 5, column 6)",
        ),
        ('"Corner shop"', "Corner shop", ":2: this is not TOML: Invalid value (at line 2, column 8)"),
        ('"Corner shop"', '"Corner shop', ":2: this is not TOML: Illegal character '\\n' (at line 2, column 20)"),
        ('currency = "EUR"', 'name = "EUR"', ":3: this is not TOML: Cannot overwrite a value (at line 3, column 13)"),
        ('    "NL",\n]', '    "NL",\n', ":27: this is not TOML: Invalid value (at line 31, column 1)"),
        ('name = "Invoice"', 'name = """Invoice', ":44: this is not TOML: Unterminated string (at end of document)"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(was: str, now: str, said: str) -> None:
    assert complaint(changed(was, now)) == f"shop.toml{said}"


def test_an_empty_file_misses_its_first_key() -> None:
    assert complaint("") == "shop.toml:1: name: this key is missing"


def test_the_file_is_named_as_it_was_given() -> None:
    with pytest.raises(RulesError, match=r"^my-shop\.toml:3: currency: "):
        parse(changed("EUR", "eur"), "my-shop.toml")


def test_an_unknown_key_goes_before_what_is_missing_for_it() -> None:
    assert (
        complaint(changed('base = "4.90"', 'bse = "4.90"'))
        == "shop.toml:31: shipping.methods.bse: there is no such key"
    )


def test_a_key_in_a_comment_or_a_text_is_not_mistaken_for_the_key() -> None:
    text = changed("# A small shop.", "# [cart]\n# max_quantity = 1").replace("Corner shop", "max_quantity = 2")

    assert complaint(text.replace("= 20", "= 0")) == "shop.toml:7: cart.max_quantity: write a number of at least 1"


def test_windows_line_ends_do_not_move_the_line() -> None:
    text = changed('id = "pickup"', 'id = "parcel"').replace("\n", "\r\n")

    assert complaint(text).startswith("shop.toml:35: shipping.methods.id: ")


@pytest.mark.parametrize("line", range(1, 46))
def test_an_unknown_key_is_found_on_whatever_line_it_stands(line: int) -> None:
    lines = SHOP_TOML.splitlines()
    text = "\n".join([*lines[: line - 1], "oops = 1", *lines[line - 1 :]])

    said = complaint(text)

    if line in (28, 29, 30):
        assert said.startswith("shop.toml:27: this is not TOML: ")
    else:
        assert re.fullmatch(rf"shop\.toml:{line}: ([a-z.]+\.)?oops: there is no such key", said)


@given(st.data())
def test_any_damage_is_answered_in_one_line(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SHOP_TOML)))
    damage = data.draw(st.text(max_size=5) | st.sampled_from(["\n[tax]\n", "= 1", '"', "{}", "[[", "0"]))
    text = SHOP_TOML[:start] + damage + SHOP_TOML[start + data.draw(st.integers(0, 40)) :]

    try:
        parse(text)
    except RulesError as error:
        said = str(error)

        place = re.match(r"shop\.toml:([0-9]+): [^ ]", said)
        assert place
        assert 1 <= int(place[1]) <= len(text.split("\n"))
        assert len(said.splitlines()) == 1


@given(st.text(max_size=20))
def test_any_base_price_is_exact_or_refused_on_its_line(text: str) -> None:
    written = "".join(f"\\U{ord(letter):08x}" for letter in text)

    try:
        rules = parse(changed('"4.90"', f'"{written}"'))
    except RulesError as error:
        said = str(error)

        assert said.startswith("shop.toml:31: shipping.methods.base: ")
        assert len(said.splitlines()) == 1
    else:
        assert rules.shipping.methods[0].base == parse_amount(text, 2)
