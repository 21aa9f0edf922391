"""oncecart.js in a frontend of somebody's own, on another origin: no cookie reaches the shop from there."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route

from tests.e2e.browser.conftest import Comes
from tests.processes import RunningShop

pytestmark = pytest.mark.e2e

ADA = (
    '{ name: "Ada Lovelace", line1: "1 Main Street", city: "Oakland", postal_code: "94601", '
    'country: "US", region: "CA" }'
)
BODY = f"""{{email: "ada@example.com", shipping_info: {ADA}, shipping_method: "standard", payment_method: "invoice"}}"""


@pytest.fixture
def page(comes: Comes, frontend: str) -> Page:
    """A page of that frontend; its server shows the list of its files."""
    visitor = comes()
    visitor.opens(f"{frontend}/")
    return visitor.page


def run(page: Page, shop: RunningShop, script: str) -> Any:
    """What an async script returns that finds a client of the shop as `shop`."""
    return page.evaluate(
        f"""async () => {{
          const {{ Oncecart, Problem }} = await import("/oncecart.js");
          const shop = new Oncecart({{ url: "{shop.address}" }});
          {script}
        }}"""
    )


def test_a_session_travels_by_its_token_and_an_order_is_followed_to_its_end(page: Page, shop: RunningShop) -> None:
    ordered = run(
        page,
        shop,
        f"""
        await shop.add("linen-notebook", 2);
        const quote = await shop.quote({{ shipping_info: {ADA} }});
        const order = await shop.checkout({{ ...{BODY}, expected_total: quote.total_amount }});
        const seen = [];
        await shop.follow(order.id, (order) => seen.push(order.status));
        return {{ seen, left: (await shop.cart()).items.length, id: order.id }};
        """,
    )

    assert ordered["seen"][-1] == "confirmed"
    assert ordered["left"] == 0
    assert page.context.cookies() == []
    page.reload()
    assert run(page, shop, "return (await shop.orders()).items.map((order) => order.id)") == [ordered["id"]]


def test_a_refusal_is_an_error_that_says_what_is_wrong_and_where(page: Page, shop: RunningShop) -> None:
    told = run(
        page,
        shop,
        """
        await shop.add("linen-notebook");
        try {
          await shop.quote({ shipping_info: { name: "Ada" } });
        } catch (problem) {
          return [problem instanceof Problem, problem.code, problem.status, problem.retryable,
                  problem.faults.map((fault) => fault.pointer)];
        }
        """,
    )

    pointers = [f"/shipping_info/{name}" for name in ("line1", "city", "postal_code", "country")]
    assert told == [True, "validation_failed", 422, False, pointers]


def test_two_checkouts_at_once_are_one_and_a_refused_one_forgets_its_key(page: Page, shop: RunningShop) -> None:
    found = run(
        page,
        shop,
        f"""
        const kept = () => sessionStorage.getItem("oncecart.checkout");
        await shop.add("linen-notebook");
        const refused = await shop.checkout({{ ...{BODY}, expected_total: "1.00" }}).catch((problem) => problem.code);
        const afterwards = kept();
        const both = await Promise.all([shop.checkout({BODY}), shop.checkout({BODY})]);
        return {{ refused, afterwards, ids: both.map((order) => order.id), kept: kept(),
                  resumed: await shop.resume(), orders: (await shop.orders()).items.length }};
        """,
    )

    assert found["refused"] == "price_changed"
    assert found["afterwards"] is found["kept"] is found["resumed"] is None
    assert len(set(found["ids"])) == 1
    assert found["orders"] == 1


def test_a_request_that_must_not_be_repeated_fails_at_once_without_a_connection(page: Page, shop: RunningShop) -> None:
    page.route(f"{shop.address}/api/cart/add", lambda route: route.abort())

    told = run(
        page,
        shop,
        'return shop.add("linen-notebook").catch((problem) => [problem.code, problem.status, problem.retryable])',
    )

    assert told == ["unreachable", 0, True]


def test_a_shop_that_is_away_for_a_moment_is_asked_again(page: Page, shop: RunningShop, frontend: str) -> None:
    asked: list[str] = []

    def away_at_first(route: Route) -> None:
        asked.append(route.request.method)
        if len(asked) < 3:
            route.fulfill(status=502, body="<h1>Bad gateway</h1>", headers={"Access-Control-Allow-Origin": frontend})
        else:
            route.continue_()

    page.route(f"{shop.address}/api/cart", away_at_first)

    assert run(page, shop, "return (await shop.cart()).items") == []
    assert len(asked) == 3


def test_following_stops_when_it_is_told_to(page: Page, shop: RunningShop) -> None:
    stopped = run(
        page,
        shop,
        f"""
        await shop.add("linen-notebook");
        const order = await shop.checkout({{ ...{BODY}, payment_method: "card", payment_token: "tok_action" }});
        const stop = new AbortController();
        return shop.follow(order.id, (order) => order.status === "requires_action" && stop.abort(), stop)
          .catch((error) => error.name);
        """,
    )

    assert stopped == "AbortError"
