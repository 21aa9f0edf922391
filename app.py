"""The shop's API on one page: every shopper's route, thin, and create_app().

`python app.py` serves it with Granian; see web/serve.py. The operations around it (health, docs,
problem pages) are in web/ops.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from flask import Flask, request
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from carts.store import Refused, SeenCart
from carts.tallies import Tallies
from db import product_list
from db import products as product_rows
from shop.cart import line_fault
from shop.catalogue import Product
from shop.errors import CartEmpty, Fault, InvalidParameter, ItemNotFound, ProductNotFound, refuse_lines
from shop.money import parse_amount
from shop.pricing import price
from shop.shipping import methods_for
from tasks.failpoints import arm_from_environment
from tasks.processes import die_with_parent, spare_the_collector
from tasks.tracing import connect_traces
from web import checkout as checkouts
from web import ops, payments, schemas, views
from web.admin import register_admin
from web.api import Api, Blueprint, Tag, is_known
from web.cancel import cancel
from web.cli import register_commands
from web.commands import one_line_under_flask
from web.dashboard import register_dashboard
from web.follow import OPEN_RETRY_AFTER_SECONDS, follow, history, wait_seconds, whose
from web.limits import register_limits
from web.log import configure_logging
from web.metrics import register_metrics, share_metrics
from web.pages import Reads, register_pages
from web.problems import register_problems
from web.requests import MOST_BODY_BYTES, register_requests
from web.serve import LISTENER, note_web_process, serve
from web.services import Services, connect_services, services
from web.sessions import HEADER, register_sessions, session_id
from web.settings import Settings, read_settings
from web.traces import register_traces
from web.views import Document

CATALOGUE = Tag(name="catalogue", description="What there is to buy.")
CART = Tag(name="cart", description="The session's cart. Every change answers with the whole cart.")
CHECKOUT = Tag(name="checkout", description="Ask for a quote, then check out: accepted with 202, settled exactly once.")
ORDERS = Tag(name="orders", description="Follow an order until it is terminal.")
PRICE_STEPS = (0, 1000, 2500, 5000, 10000, 25000)

shop = Blueprint("shop", __name__)


# ---------------------------------------------------------------- catalogue


@shop.get("/api/products", tags=[CATALOGUE], responses={200: schemas.ProductsOut})
def list_products(query: schemas.ProductsQuery) -> schemas.ProductsOut:
    """List products, one entry for each group of variants; filtered, sorted and paged."""
    at, rules = services(), services().rules
    after = at.cursors.read(query.cursor, f"products:{query.sort}") if query.cursor else None
    page = None if after else query.page or 1
    with at.database.reading() as session:
        wanted = _filter(query, product_rows.category_id(session, query.category) if query.category else None)
        offset = (page - 1) * query.per_page if page else 0
        after_key = (after[0], after[1]) if after else None
        rows = list(product_list.page(session, wanted, query.sort, query.per_page + 1, offset, after_key))
        total = product_list.count(session, wanted) if query.total else None
        groups = product_rows.groups(session, [row.group_id for row in rows])
        names = query.facets.split(",") if query.facets else []
        facets = product_list.facets(session, wanted, names, PRICE_STEPS) if names else None
    more, rows = len(rows) > query.per_page, rows[: query.per_page]
    next_cursor = None
    if more:
        place = getattr(rows[-1], product_list.SORTS[query.sort][0])
        next_cursor = at.cursors.write(f"products:{query.sort}", place, rows[-1].id)
    return schemas.ProductsOut(
        items=[views.product_entry(row, groups, rules) for row in rows],
        page=schemas.PageOut(
            per_page=query.per_page,
            page=page,
            total=total.entries if total else None,
            total_exact=total.exact if total else None,
            pages=-(-total.entries // query.per_page) if total and total.exact else None,
            next_cursor=next_cursor,
        ),
        facets=views.facets_out(facets, rules) if facets else None,
    )


def _filter(query: schemas.ProductsQuery, category_id: int | None) -> product_list.Filter:
    if query.page is not None and query.cursor is not None:
        raise _wrong("cursor", "use either page or cursor")
    if query.category and category_id is None:
        raise _wrong("category", f"there is no category {query.category}")
    low, high = _amount("min_price", query.min_price), _amount("max_price", query.max_price)
    if low is not None and high is not None and low > high:
        raise _wrong("min_price", "is above max_price")
    return product_list.Filter(category_id, low, high, query.available, query.q)


def _amount(parameter: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_amount(text, services().rules.digits)
    except ValueError as error:
        raise _wrong(parameter, str(error)) from error


def _wrong(parameter: str, message: str) -> InvalidParameter:
    return InvalidParameter(f"{parameter}: {message}", [Fault("invalid_parameter", message, parameter=parameter)])


@shop.get("/api/products/<product_id>", tags=[CATALOGUE], responses={200: schemas.ProductOut})
def show_product(path: schemas.ProductPath) -> schemas.ProductOut:
    """Show a product: description, images, specifications, live availability, its variants."""
    with services().database.reading() as session:
        row = product_rows.get(session, path.product_id)
        if row is None:
            raise ProductNotFound(f"There is no product {path.product_id}.")
        siblings = product_rows.siblings(session, row.group_id) if row.group_id else []
    return views.product_out(row, siblings, services().rules)


@shop.get("/api/categories", tags=[CATALOGUE], responses={200: schemas.CategoriesOut})
def list_categories() -> schemas.CategoriesOut:
    """List the categories with their product counts."""
    with services().database.reading() as session:
        found = product_list.categories(session)
    return schemas.CategoriesOut(
        items=[
            schemas.CategoryOut(
                id=row.id,
                name=row.name,
                description=row.description,
                product_count=count.entries,
                product_count_exact=count.exact,
            )
            for row, count in found
        ]
    )


# ---------------------------------------------------------------- cart


@shop.get("/api/cart", tags=[CART], responses={200: schemas.CartOut})
def show_cart() -> Document:
    """Show the session's cart at live prices, with warnings where a price or a stock moved."""
    return _whole(services().carts.get(session_id()))


@shop.post("/api/cart/add", tags=[CART], responses={200: schemas.CartOut})
def add_to_cart(body: schemas.AddToCart) -> Document:
    """Add units of a product. Over stock or limit: 409 with what is available, the cart unchanged."""
    product = services().catalogue.require(body.product_id)
    if fault := _fault(product.id, product, body.quantity):
        raise refuse_lines([fault])
    limit = min(product.stock_quantity, services().rules.cart.max_quantity)
    cart = services().carts.add(session_id(), product.id, body.quantity, product.price_minor, limit)
    if isinstance(cart, Refused):
        fault = _fault(product.id, product, cart.units + body.quantity)
        assert fault, "the store refused what the rule allows"
        raise refuse_lines([fault])
    return _whole(cart)


@shop.put("/api/cart/update", tags=[CART], responses={200: schemas.CartOut})
def update_cart(body: schemas.UpdateCart) -> Document:
    """Set an item's quantity; 0 removes it. Over stock or limit: 409, the cart unchanged."""
    item_id, carts = body.item_id, services().carts
    if body.quantity and (fault := _fault(item_id, services().catalogue.find([item_id]).get(item_id), body.quantity)):
        if item_id not in carts.get(session_id()).product_ids:
            raise ItemNotFound("This item is not in the cart.")
        raise refuse_lines([fault])
    return _whole(carts.set(session_id(), item_id, body.quantity))


@shop.delete("/api/cart/remove/<item_id>", tags=[CART], responses={200: schemas.CartOut})
def remove_from_cart(path: schemas.ItemPath) -> Document:
    """Remove an item."""
    return _whole(services().carts.set(session_id(), path.item_id, 0))


@shop.delete("/api/cart/clear", tags=[CART], responses={200: schemas.ClearedOut})
def clear_cart() -> Document:
    """Empty the cart."""
    services().carts.clear(session_id())
    return {"cleared": True, "cart": show_cart()}


def _fault(product_id: str, product: Product | None, quantity: int) -> Fault | None:
    return line_fault(product_id, quantity, product, services().rules.cart.max_quantity, "/quantity")


def _whole(cart: SeenCart) -> Document:
    return views.cart_out(cart, services().catalogue.of(cart), services().rules)


# ---------------------------------------------------------------- checkout


@shop.post("/api/checkout/quote", tags=[CHECKOUT], responses={200: schemas.QuoteOut})
def quote_checkout(body: schemas.QuoteIn) -> Document:
    """Quote the cart for an address: totals, tax lines, every shipping option. Changes nothing."""
    at, rules = services(), services().rules
    cart = at.carts.get(session_id())
    if not cart.lines:
        raise CartEmpty("There is nothing in the cart.")
    shipping = checkouts.address(body.shipping_info)
    items = checkouts.sellable(at, cart)
    there = checkouts.destination(rules, shipping)
    options = [(m, price(items, m, there, rules)) for m in methods_for(rules, there) if shipping or m.pickup]
    method = checkouts.chosen_method(rules, body.shipping_method, shipping)
    products = {product.id: product for product, _ in items}
    return views.quote_out(price(items, method, there, rules), options, cart, products, rules)


@shop.post("/api/checkout", tags=[CHECKOUT], responses={200: schemas.OrderOut, 202: schemas.OrderOut})
def check_out(body: schemas.CheckoutIn, header: schemas.CheckoutHeader) -> tuple[Document, int, dict[str, str]]:
    """Check the cart out. 202: it is on disk and will end exactly once; follow `Location` to see how.

    With `Prefer: wait=N` the finished order is answered with 200 when it is done in time.
    """
    at, who = services(), session_id()
    key, seconds = checkouts.idempotency_key(header.idempotency_key), wait_seconds(header.prefer)
    order, retry_after = None, OPEN_RETRY_AFTER_SECONDS
    if seconds:
        accepted, order, retry_after = checkouts.accept_and_wait(at, who, body, key, seconds)
    else:
        accepted = checkouts.accept(at, who, body, key, checkouts.new_order_id())
    headers = {"Location": f"/api/orders/{accepted.order_id}"}
    if accepted.replayed:
        headers["Idempotent-Replayed"] = "true"
    if order:
        return order, 200, headers | {"Preference-Applied": f"wait={seconds}"}
    return checkouts.as_accepted(at, accepted, who), 202, headers | {"Retry-After": str(retry_after)}


# ---------------------------------------------------------------- orders


@shop.get("/api/orders", tags=[ORDERS], responses={200: schemas.OrdersOut})
def list_orders(query: schemas.OrdersQuery) -> schemas.OrdersOut:
    """List the session's orders, newest first, those included that were accepted a moment ago."""
    return history(services(), session_id(), query.per_page, query.cursor)


@shop.get("/api/orders/<order_id>", tags=[ORDERS], responses={200: schemas.OrderOut})
def show_order(
    path: schemas.OrderPath, query: schemas.OrderQuery, header: schemas.PreferHeader
) -> tuple[Document, int, dict[str, str]]:
    """Show an order, never 404 after a 202. `Prefer: wait=N` holds the answer until it changes.

    To the session that placed it, or with the `token` of a mail.
    """
    seconds = wait_seconds(header.prefer)
    seen = is_known if request.if_none_match else None
    who = query.token and whose(services(), path.order_id, query.token)
    order, retry_after = follow(services(), path.order_id, who or session_id(), seconds, seen)
    headers = {} if order["terminal"] else {"Retry-After": str(retry_after)}
    if query.token:
        headers["Cache-Control"] = "no-store"
    if seconds:
        headers["Preference-Applied"] = f"wait={seconds}"
    return order, 200, headers


@shop.post("/api/orders/<order_id>/cancel", tags=[ORDERS], responses={200: schemas.OrderOut})
def cancel_order(path: schemas.OrderPath, body: schemas.CancelOrder) -> Document:
    """Cancel an order of which nothing was shipped: stock back, money voided or given back, once."""
    return cancel(services(), path.order_id, session_id(), body.reason)


# ---------------------------------------------------------------- the application


@one_line_under_flask
def create_app(given: Services | None = None, settings: Settings | None = None) -> Flask:
    """The WSGI application, on given services or on the stores that the settings name.

    Raises BadSettings with one line that says what to change.
    """
    settings = settings or read_settings()
    app = Api(
        __name__,
        info=ops.INFO,
        security_schemes=ops.SECURITY,
        doc_ui=False,
        static_folder="web/static",
        template_folder="web/templates",
    )
    # One more: of a chunked body Werkzeug reads so much and hides that there was more; read_body looks.
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY_BYTES + 1
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 24 * 3600
    app.json.sort_keys = False  # type: ignore[attr-defined]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.extensions["oncecart"] = given or connect_services(settings)
    if settings.cors_origins:
        _allow(app, settings.cors_origins)
    # What is registered last sees an answer first: a problem gets its headers like any other answer.
    register_metrics(app, settings.metrics_token)
    if traces := connect_traces(settings.otel_exporter_otlp_endpoint, "oncecart-web"):
        register_traces(app, traces)
    register_requests(app)
    register_sessions(app, app.extensions["oncecart"].sessions)
    register_limits(app, settings, Tallies(app.extensions["oncecart"].redis), app.extensions["oncecart"].now)
    register_problems(app)
    register_commands(app)
    app.register_api(shop)
    register_admin(app)
    app.register_api(ops.operations)
    app.register_api(payments.calls)
    app.register_blueprint(ops.pages)
    app.register_blueprint(payments.pages)
    register_dashboard(app)
    register_pages(app, Reads(list_products, show_product, list_categories))
    return app


def _allow(app: Flask, origins: Sequence[str]) -> None:
    """Let frontends of these origins use the API, with cookies."""
    CORS(
        app,
        resources={"/api/*": {"origins": list(origins)}},
        supports_credentials=True,
        allow_headers=[
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "Prefer",
            "traceparent",
            "tracestate",
            "X-Request-Id",
            HEADER,
        ],
        expose_headers=[
            "ETag",
            "Idempotent-Replayed",
            "Location",
            "Preference-Applied",
            "RateLimit",
            "RateLimit-Policy",
            "Retry-After",
            "X-Request-Id",
            HEADER,
        ],
        max_age=600,
    )


def create_served_app() -> Flask:
    """The application in a process of Granian's, which must not outlive the one that listens."""
    die_with_parent(signal.SIGKILL, int(os.environ[LISTENER]))
    configure_logging(read_settings().log_level, "web")
    arm_from_environment()
    share_metrics()
    app = create_app()
    note_web_process(app.extensions["oncecart"].redis)
    spare_the_collector()
    return app


if __name__ == "__main__":
    serve()
