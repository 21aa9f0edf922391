"""The ops page: who gets in and how they get out, what may be done from it, and what it is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from db import api_keys
from tests.harness import Shop
from tests.web.admin.conftest import key_for
from tests.web.answers import take_redis_away, take_sql_away
from web.admin.logins import COOKIE, HEADER, LIFETIME_MS

ADMIN_KEY = "the-key-of-the-settings"
PAGES = ("/ops", "/ops/orders", "/ops/stock", "/ops/payments", "/ops/orders/019a0000-0000-7000-8000-000000000000")


class Operator:
    """A browser in front of the ops page."""

    def __init__(self, shop: Shop) -> None:
        # Not the client that knows the document: these are pages.
        self.client = FlaskClient(shop.app, Response)
        self.word = ""

    def logs_in(self, key: str, path: str = "", **given: Any) -> TestResponse:
        answer = self.client.post("/ops/login", data={"key": key, "next": path}, **given)
        if answer.status_code == 303:
            found = re.search(r'name="ops-token" content="([0-9a-f]+)"', self.client.get("/ops").text)
            self.word = found[1] if found else ""
        return answer

    @property
    def cookie(self) -> str:
        found = self.client.get_cookie(COOKIE)
        return found.value if found else ""

    def asks(self, path: str, method: str = "GET", word: str | None = None, **given: Any) -> TestResponse:
        """As the page's own scripts ask."""
        return self.client.open(path, method=method, headers={HEADER: self.word if word is None else word}, **given)


@pytest.fixture
def operator(shop: Shop) -> Operator:
    """Logged in with a key of every scope, called `Ada's key`."""
    found = Operator(shop)
    found.logs_in(key_for(shop, name="Ada's key"))
    assert found.word
    return found


# ---------------------------------------------------------------- in


def test_a_good_key_is_exchanged_for_a_cookie_that_is_not_the_key(shop: Shop) -> None:
    operator, key = Operator(shop), key_for(shop)

    answer = operator.logs_in(key, "/ops/stock")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/ops/stock")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={LIFETIME_MS // 1000}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert key not in cookie
    assert key.rpartition("_")[2] not in cookie


def test_under_https_the_cookie_goes_nowhere_else(shop: Shop) -> None:
    answer = Operator(shop).logs_in(key_for(shop), base_url="https://shop.example")

    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


def test_the_key_of_the_settings_opens_it_too(shop: Shop) -> None:
    with_key = Shop(
        shop.rules,
        shop.redis,
        shop.queue_redis,
        shop.database,
        shop.clock,
        shop.settings.model_copy(update={"admin_api_key": ADMIN_KEY}),
    )
    operator = Operator(with_key)
    operator.logs_in(ADMIN_KEY)
    assert operator.client.get("/ops").status_code == 200
    changed = Operator(shop)
    changed.client.set_cookie(COOKIE, operator.cookie)

    # The next start has another key in its settings, or none.
    assert changed.client.get("/ops").status_code == 303


@pytest.mark.parametrize("key", ["", "nonsense", "oc_aaaaaaaa_" + "0" * 48, "ë\x00"])
def test_a_wrong_key_is_told_so_and_gets_no_cookie(shop: Shop, key: str) -> None:
    answer = Operator(shop).logs_in(key)

    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert "no key of this shop" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_key_without_the_scope_is_told_which_one_it_lacks(shop: Shop) -> None:
    answer = Operator(shop).logs_in(key_for(shop, "stock", "catalogue"))

    assert answer.status_code == 403
    assert "lacks the scope orders" in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", PAGES)
def test_whoever_is_not_logged_in_comes_back_to_the_page_they_wanted(shop: Shop, path: str) -> None:
    answer = Operator(shop).client.get(path)

    assert (answer.status_code, answer.headers["Location"]) == (303, f"/ops/login?next={path}")


@pytest.mark.parametrize(
    "path", ["https://evil.example", "//evil.example", "/ops/../x", "/cart", "/ops/login", "/ops\\evil", "/opsevil"]
)
def test_a_login_leads_nowhere_but_to_the_ops_pages(shop: Shop, path: str) -> None:
    assert Operator(shop).logs_in(key_for(shop), path).headers["Location"] == "/ops"


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}])
def test_a_form_from_elsewhere_logs_nobody_in(shop: Shop, headers: dict[str, str]) -> None:
    answer = Operator(shop).logs_in(key_for(shop), headers=headers)

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_kept_nowhere_and_runs_nothing_but_our_own(operator: Operator, path: str) -> None:
    answer = operator.client.get(path)

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "Ada&#39;s key" in answer.text
    assert not re.search(r"\bstyle=|\bonclick=|<style|<script(?![^>]*\bsrc=)", answer.text)
    for asset in re.findall(r'(?:src|href)="(/assets/[^"]+)"', answer.text):
        assert operator.client.get(asset, buffered=True).status_code == 200, asset


def test_a_page_is_shown_with_sql_away(shop: Shop, operator: Operator) -> None:
    take_sql_away(shop)

    assert operator.client.get("/ops").status_code == 200
    assert operator.asks("/ops/live.json").status_code == 200
    assert operator.asks("/ops/attention.json").get_json()["code"] == "service_unavailable"


def test_a_login_with_sql_away_says_try_again(shop: Shop) -> None:
    key = key_for(shop)
    take_sql_away(shop)

    answer = Operator(shop).logs_in(key)

    assert (answer.status_code, answer.mimetype, answer.headers["Retry-After"]) == (503, "text/html", "2")


def test_an_order_that_cannot_be_is_not_found(operator: Operator) -> None:
    assert operator.client.get("/ops/orders/nothing").status_code == 404


# ---------------------------------------------------------------- what the cookie may do


def test_the_page_may_ask_what_its_key_may(shop: Shop, operator: Operator) -> None:
    shop.stocked(MUG=1)

    moved = operator.asks("/api/admin/products/MUG/stock", "POST", json={"quantity": 4, "reason": "received"})

    assert moved.status_code == 201, moved.text
    assert moved.get_json()["movement"]["actor"] == "Ada's key"
    assert shop.stock("MUG") == 5
    assert operator.asks("/api/admin/orders").status_code == 200


@pytest.mark.parametrize("word", ["", "0" * 32, "ë"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/admin/orders"),
        ("POST", "/api/admin/products/MUG/stock"),
        ("GET", "/ops/live.json"),
        ("GET", "/ops/attention.json"),
    ],
)
def test_the_cookie_alone_is_no_key(shop: Shop, operator: Operator, method: str, path: str, word: str) -> None:
    shop.stocked(MUG=1)

    given = {"json": {"quantity": 4, "reason": "received"}} if method == "POST" else {}
    answer = operator.asks(path, method, word.encode().decode("latin-1"), **given)

    assert answer.get_json()["code"] == "unauthenticated"
    assert shop.stock("MUG") == 1


def test_no_other_origin_may_send_the_word(shop: Shop) -> None:
    settings = shop.settings.model_copy(update={"cors_origins": ("https://shop.example",)})
    operator = Operator(Shop(shop.rules, shop.redis, shop.queue_redis, shop.database, shop.clock, settings))

    answer = operator.client.options(
        "/api/admin/orders",
        headers={
            "Origin": "https://shop.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": HEADER.lower(),
        },
    )

    assert HEADER.lower() not in answer.headers.get("Access-Control-Allow-Headers", "").lower()


def test_a_key_without_the_scope_stock_looks_and_moves_nothing(shop: Shop) -> None:
    shop.stocked(MUG=1)
    operator = Operator(shop)
    operator.logs_in(key_for(shop, "orders"))

    assert operator.asks("/api/admin/orders").status_code == 200
    answer = operator.asks("/api/admin/products/MUG/stock", "POST", json={"quantity": 4, "reason": "received"})
    assert answer.get_json()["code"] == "missing_scope"
    assert shop.stock("MUG") == 1


def test_a_bearer_token_that_is_wrong_is_not_made_good_by_the_cookie(operator: Operator) -> None:
    answer = operator.client.get("/api/admin/orders", headers={"Authorization": "Bearer x", HEADER: operator.word})

    assert answer.status_code == 401


# ---------------------------------------------------------------- out


def revoke(shop: Shop, operator: Operator) -> None:
    with shop.database.writing() as session:
        assert api_keys.revoke(session, "Ada's key", shop.clock())


def wait(shop: Shop, operator: Operator) -> None:
    shop.clock.forward(LIFETIME_MS / 1000)


def forge(shop: Shop, operator: Operator) -> None:
    payload, _, signature = operator.cookie.rpartition(".")
    operator.client.set_cookie(COOKIE, f"{payload}.{signature[::-1]}")


@pytest.mark.parametrize("end", [revoke, wait, forge])
def test_a_login_ends_with_its_key_its_time_and_its_signature(
    shop: Shop, operator: Operator, end: Callable[[Shop, Operator], None]
) -> None:
    end(shop, operator)

    assert operator.asks("/api/admin/orders").status_code == 401
    shop.clock.forward(11)
    assert operator.asks("/ops/live.json").status_code == 401
    assert operator.client.get("/ops").status_code == 303


def test_a_login_that_is_left_is_over_in_this_browser(operator: Operator) -> None:
    answer = operator.client.post("/ops/logout", data={"word": operator.word})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/ops/login")
    assert operator.cookie == ""
    assert operator.asks("/api/admin/orders").status_code == 401


def test_nobody_else_can_log_somebody_out(operator: Operator) -> None:
    for given in ({"data": {"word": "x"}}, {"data": {"word": operator.word}, "headers": {"Origin": "https://evil"}}):
        assert operator.client.post("/ops/logout", **given).status_code == 403

    assert operator.client.get("/ops").status_code == 200


# ---------------------------------------------------------------- figures


@pytest.fixture
def now(shop: Shop) -> Shop:
    """With the clock of the store, by which seconds are counted."""
    shop.clock.at = shop.services.figures.look(()).at
    return shop


def test_the_live_figures_are_those_of_the_pipeline(now: Shop) -> None:
    operator = Operator(now)
    operator.logs_in(key_for(now))
    now.stocked(MUG=9)
    now.checkout(MUG=1)
    assert operator.asks("/ops/live.json").get_json()["waiting"] == 1

    now.work_until_idle()

    found = operator.asks("/ops/live.json").get_json()
    assert (found["accepted"], found["waiting"], found["batch"]) == (1, 0, 1.0)
    assert found["totals"] == {"settled": 1, "confirmed": 1, "paid": 0, "failed": 0, "cancelled": 0}
    (second,) = found["seconds"]
    assert (second["settled"], second["confirmed"], second["batch"]) == (1, 1, 1.0)
    assert 0 < found["confirm"]["p50"] <= found["confirm"]["p99"]
    assert [worker["silent_ms"] for worker in found["workers"]] == [None, None]
    later = operator.asks(f"/ops/live.json?since={second['at'] + 1}").get_json()
    assert later["seconds"] == []


def test_the_live_figures_cost_sql_nothing(now: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = Operator(now)
    operator.logs_in(key_for(now))
    operator.asks("/ops/live.json")

    def asked() -> None:
        raise AssertionError("SQL was asked")

    monkeypatch.setattr(now.database, "reading", asked, raising=False)

    assert operator.asks("/ops/live.json").status_code == 200


def test_without_the_store_there_are_no_figures_and_it_says_so(shop: Shop, operator: Operator) -> None:
    take_redis_away(shop.redis)

    answer = operator.asks("/ops/live.json")

    assert (answer.status_code, answer.get_json()["code"]) == (503, "service_unavailable")
    assert operator.client.get("/ops").status_code == 200


def test_what_needs_a_person_is_counted(shop: Shop, operator: Operator) -> None:
    shop.product("LAST", stock_quantity=1)

    assert operator.asks("/ops/attention.json").get_json() == {
        "open_orders": {"pending": 0, "processing": 0, "requires_action": 0},
        "due": 0,
        "due_ms": 0,
        "unknown": 0,
        "unresolved": 0,
        "low_stock": 1,
        "most": 1000,
    }
