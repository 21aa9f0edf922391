"""The storefront's pages: server-rendered shells, and a catalogue that is browsed without JavaScript.

What they show is read by the API's own routes, so a page and a client of the API cannot disagree. Cart,
checkout and orders belong to a session; their shells are the same for everybody, and static/shop fills them.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, send_from_directory
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from shop.errors import CODES, InvalidParameter, ShopError
from web.problems import STATUS, problem
from web.requests import PAGE_POLICY, request_id
from web.schemas import CategoriesOut, Money, OrderPath, ProductOut, ProductPath, ProductsOut, ProductsQuery
from web.services import services

PER_PAGE = 24
PROUD_OF = {"sort": "-price", "per_page": 3, "total": False}
"""What stands beside the words at the top."""
SORTS = {"-created_at": "Newest", "price": "Price, low to high", "-price": "Price, high to low", "name": "Name"}
FILTERS = ("q", "category", "min_price", "max_price", "available")
IN_THE_URL = (*FILTERS, "sort", "page")
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "BRL": "R$"}
"""As the browser's Intl.NumberFormat writes them, narrow; any other currency by its code."""
A_YEAR = "public, max-age=31536000, immutable"
ALWAYS_ASK = "no-cache"
POLICY = PAGE_POLICY.replace("img-src 'self'", "img-src 'self' https:")
"""A merchant's pictures may be kept elsewhere: an import from another shop names them where they are."""

pages = Blueprint("storefront", __name__)


@dataclass(frozen=True, slots=True)
class Reads:
    """The API's own routes for the catalogue."""

    products: Callable[[ProductsQuery], ProductsOut]
    product: Callable[[ProductPath], ProductOut]
    categories: Callable[[], CategoriesOut]


def register_pages(app: Flask, reads: Reads) -> None:
    app.extensions["storefront"] = reads
    app.extensions["assets"] = assets_version(Path(str(app.static_folder)))
    app.add_template_filter(money)
    app.register_blueprint(pages)


def assets_version(folder: Path) -> str:
    """A name for the scripts and styles as they are: another one when any of them changes."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".js", ".css") or path.name == "icon.svg")
    return hashlib.sha256(b"".join(path.read_bytes() for path in found)).hexdigest()[:12]


def money(amount: Money, currency: str) -> str:
    """An exact amount as people write it: `1234.50` in USD is `$1,234.50`."""
    whole, _, cents = amount.partition(".")
    written = f"{int(whole):,}" + (f".{cents}" if cents else "")
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{written}" if symbol else f"{currency}\u00a0{written}"


@pages.app_context_processor
def _everywhere() -> dict[str, Any]:
    version = current_app.extensions["assets"]
    return {"shop": services().rules.name, "asset": lambda name: f"/assets/{version}/{name}", "currency": _currency()}


def _currency() -> str:
    return services().rules.currency


def _reads() -> Reads:
    found: Reads = current_app.extensions["storefront"]
    return found


def _page(template: str, **values: Any) -> Response:
    """A page that the browser keeps, and asks about before it shows it again."""
    response = Response(render_template(template, **values), mimetype="text/html")
    response.headers["Cache-Control"] = ALWAYS_ASK
    response.headers["Content-Security-Policy"] = POLICY
    response.add_etag()
    response.make_conditional(request)
    return response


# ---------------------------------------------------------------- the catalogue


@pages.get("/")
def front() -> WerkzeugResponse:
    """The shop for people; the API's description for whoever does not ask for a page."""
    response: WerkzeugResponse = _catalogue() if _wants_page() else redirect("/api/docs")
    response.vary.add("Accept")
    return response


def _wants_page() -> bool:
    return "text/html" in request.headers.get("Accept", "")


def _catalogue() -> Response:
    reads, (given, refused) = _reads(), _understood(request.args.to_dict())
    found, given, refused = _found(reads, given, refused)
    categories = [category for category in reads.categories().items if category.product_count]
    plain = not any(name in given for name in FILTERS) and found.page.page in (None, 1)
    featured = reads.products(ProductsQuery.model_validate(PROUD_OF)).items if plain else []
    return _page(
        "shop/catalogue.html",
        found=found,
        given=given,
        refused=refused,
        categories=categories,
        category=next((c for c in categories if _is(c.id, c.name, given.get("category"))), None),
        featured=featured,
        plain=plain,
        sorts=SORTS,
        link=lambda **changes: address(given, **changes),
        filters=chosen(given),
    )


def _understood(arguments: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """What of an address a list can be asked with, and the names of what it cannot. A blank field says nothing."""
    given = {name: value.strip() for name, value in arguments.items() if name in IN_THE_URL and value.strip()}
    try:
        ProductsQuery.model_validate(given)
    except ValidationError as error:
        wrong = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_input=False)}
        return {name: value for name, value in given.items() if name not in wrong}, sorted(wrong)
    return given, []


def _found(reads: Reads, given: dict[str, str], refused: list[str]) -> tuple[ProductsOut, dict[str, str], list[str]]:
    """The list, without the parameter that the shop refuses: a typing error in an address is no dead end."""
    query = {"facets": "category,price,availability", "per_page": PER_PAGE, **given}
    try:
        return reads.products(ProductsQuery.model_validate(query)), given, refused
    except InvalidParameter as error:
        wrong = {fault.parameter for fault in error.faults if fault.parameter in given}
        if not wrong:
            raise
        kept = {name: value for name, value in given.items() if name not in wrong}
        return _found(reads, kept, [*refused, *sorted(name for name in wrong if name)])


def _is(category_id: int, name: str, wanted: str | None) -> bool:
    return wanted is not None and wanted.lower() in (str(category_id), name.lower())


def address(given: dict[str, str], **changes: Any) -> str:
    """This list's address with something changed; None takes it away. Anything but a page begins at the first."""
    kept = {name: value for name, value in given.items() if name != "page"} | changes
    query = urlencode({name: value for name, value in kept.items() if value is not None})
    return f"/?{query}" if query else "/"


def chosen(given: dict[str, str]) -> list[tuple[str, str]]:
    """What the list is narrowed to: for each thing its text, and the address without it."""
    found: list[tuple[str, str]] = []
    if text := given.get("q"):
        found.append((f"“{text}”", address(given, q=None)))
    low, high = given.get("min_price"), given.get("max_price")
    if low or high:
        currency = _currency()
        words = f"{money(low, currency)} to {money(high, currency)}" if low and high else ""
        words = words or (f"from {money(low, currency)}" if low else f"up to {money(str(high), currency)}")
        found.append((words, address(given, min_price=None, max_price=None)))
    if "available" in given:
        found.append(("in stock", address(given, available=None)))
    return found


@pages.get("/products/<product_id>")
def product_page(product_id: str) -> Response:
    """A product with its drawings, specifications and variants; its stock is kept live by the page."""
    try:
        path = ProductPath(product_id=product_id)
    except ValidationError as error:
        raise NotFound("There is no such product.") from error
    product = _reads().product(path)
    category = next((c for c in _reads().categories().items if c.id == product.category_id), None)
    return _page("shop/product.html", product=product, category=category, choices=choices(product))


def choices(product: ProductOut) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    """For each option of a product's variants: its values with the variant each leads to, and whether it is chosen.

    A value leads to the variant that differs in nothing else, where there is one.
    """
    found = []
    for option in product.options:
        values: dict[str, str] = {}
        for variant in sorted(product.variants, key=lambda other: -_alike(product.options, other.options)):
            if option in variant.options:
                values.setdefault(variant.options[option], variant.id)
        mine = product.options[option]
        shown = sorted(values.items(), key=lambda entry: entry[1])
        found.append((option, [(value, product_id, value == mine) for value, product_id in shown]))
    return [(option, values) for option, values in found if len(values) > 1]


def _alike(ours: dict[str, str], theirs: dict[str, str]) -> int:
    return sum(theirs.get(option) == value for option, value in ours.items())


# ---------------------------------------------------------------- the session's pages


@pages.get("/cart")
def cart_page() -> Response:
    return _page("shop/cart.html")


@pages.get("/checkout")
def checkout_page() -> Response:
    return _page("shop/checkout.html", home=services().rules.tax.home)


@pages.get("/orders")
def orders_page() -> Response:
    return _page("shop/orders.html")


@pages.get("/orders/<order_id>")
def order_page(order_id: str) -> Response:
    """An order as it happens. Whose it is, the API decides: the page itself is the same for everybody."""
    try:
        OrderPath(order_id=order_id)
    except ValidationError as error:
        raise NotFound("There is no such order.") from error
    page = _page("shop/order.html", order_id=order_id)
    if "token" in request.args:  # Whoever has the address can read the order: it stays out of caches and of referrers.
        page.headers["Cache-Control"] = "no-store"
        page.headers["Referrer-Policy"] = "no-referrer"
    return page


# ---------------------------------------------------------------- files


@pages.get("/assets/<version>/<path:name>")
def asset(version: str, name: str) -> Response:
    """A script or style under an address that changes with it, so that browsers keep it for good.

    Modules import one another by relative addresses, so all of a page are of one version.
    """
    response = send_from_directory(str(current_app.static_folder), name)
    # A page from before an update asks for files that are gone: it gets the new ones, and does not keep them.
    current = version == current_app.extensions["assets"]
    response.headers["Cache-Control"] = A_YEAR if current else ALWAYS_ASK
    return response


@pages.get("/favicon.ico")
def icon() -> WerkzeugResponse:
    return redirect(f"/assets/{current_app.extensions['assets']}/shop/icon.svg")


_SCRIPT = re.compile(rb"<script[^>]*>(.*?)</script>", re.DOTALL)


@pages.get("/examples/minimal")
def minimal_example() -> Response:
    """A whole shop in twenty lines, to copy. Its one inline script is allowed by its hash, and no other is."""
    text = (Path(str(current_app.static_folder)) / "examples" / "minimal.html").read_bytes()
    response = Response(text, mimetype="text/html")
    allowed = f"script-src 'self' {_hashes(_SCRIPT.findall(text))}"
    response.headers["Content-Security-Policy"] = PAGE_POLICY.replace("script-src 'self'", allowed)
    response.headers["Cache-Control"] = ALWAYS_ASK
    return response


def _hashes(scripts: Iterable[bytes]) -> str:
    return " ".join(f"'sha256-{b64encode(hashlib.sha256(text).digest()).decode()}'" for text in scripts)


# ---------------------------------------------------------------- refusals


@pages.errorhandler(ShopError)
def _refused(error: ShopError) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if not _wants_page():
        return problem(error.code, status, str(error))
    return _error_page(status, CODES[error.code].title, str(error))


@pages.app_errorhandler(404)
def _missing(error: HTTPException) -> Response:
    """A page for people who followed a bad link, a problem for programs."""
    if request.path.startswith("/api/") or not _wants_page():
        return problem("not_found", 404, error.description or CODES["not_found"].title)
    return _error_page(404, "There is nothing here", "The address may be mistyped, or what was here is gone.")


def _error_page(status: int, title: str, detail: str) -> Response:
    g.own_error_page = True
    page = render_template("shop/error.html", title=title, detail=detail, status=status, request_id=request_id())
    response = Response(page, status, mimetype="text/html")
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response
