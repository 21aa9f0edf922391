"""More was accepted than can be settled in time, or than there is room for: new checkouts wait, carts go on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from carts.workers import Heartbeats
from tasks.queues import CHECKOUT
from tasks.upkeep import Upkeep
from tests.harness import CHECKOUT_BODY, Client, Shop
from tests.web.answers import add, ok, problem

BALLAST_BYTES = 30_000_000
"""So much that what the server's clients need does not count."""


@pytest.fixture
def behind(shop: Shop) -> str:
    """An order that has waited for longer than 600 s, and a shop that goes on."""
    return fall_behind(shop)


@pytest.fixture
def tight(real_shop: Shop) -> Iterator[Shop]:
    """A shop whose carts' store may use a bit more than it does, and whose worker has noticed."""
    redis = real_shop.redis
    real_shop.stocked(MUG=9)
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.setrange("ballast", BALLAST_BYTES, "x")
    redis.config_set("maxmemory", int(int(redis.info("memory")["used_memory"]) / 0.95))
    keep_up(real_shop)
    yield real_shop
    redis.config_set("maxmemory", before)


def fall_behind(shop: Shop, seconds: float = 601, key: str | None = None) -> str:
    shop.stocked(MUG=9)
    shopper = shop.shopper()
    add(shopper)
    order_id: str = ok(check_out(shopper, key), 202)["id"]
    shop.redis.zincrby("accepted", -seconds, order_id)
    return order_id


def keep_up(shop: Shop) -> None:
    Upkeep(shop.runtime, Heartbeats(shop.redis), CHECKOUT).round()


def check_out(shopper: Client, key: str | None = None, **headers: str) -> TestResponse:
    named = {"Idempotency-Key": key} if key else {}
    return shopper.post("/api/checkout", json=CHECKOUT_BODY, headers={**named, **headers})


def units(shopper: Client) -> list[int]:
    return [item["quantity"] for item in ok(shopper.get("/api/cart"))["items"]]


def refused(response: TestResponse) -> Any:
    body = problem(response, 503, "overloaded")
    assert 30 <= int(response.headers["Retry-After"]) <= 60
    assert body["retryable"] is True
    return body


# ---------------------------------------------------------------- the inbox is too old


def test_a_checkout_that_would_wait_too_long_is_refused_and_changes_nothing(
    shop: Shop, behind: str, shopper: Client
) -> None:
    add(shopper, quantity=2)
    before = set(shop.redis.keys())

    body = refused(check_out(shopper, key="a-key"))

    assert re.fullmatch(
        r"Orders placed before are still waiting, the oldest for 60[1-9] seconds\. "
        r"Your cart is kept as it is; try again in a minute\.",
        body["detail"],
    )
    assert units(shopper) == [2]
    assert set(shop.redis.keys()) == before
    assert shop.services.inbox.size() == 1


def test_one_that_is_ready_to_wait_is_refused_as_soon(shop: Shop, behind: str, shopper: Client) -> None:
    add(shopper)

    refused(check_out(shopper, Prefer="wait=25"))

    assert units(shopper) == [1]


def test_carts_quotes_and_orders_go_on(shop: Shop, behind: str, shopper: Client) -> None:
    assert ok(add(shopper, quantity=2))["items"][0]["quantity"] == 2
    ok(shopper.put("/api/cart/update", json={"item_id": "MUG", "quantity": 3}))
    refused(check_out(shopper))

    assert ok(shopper.post("/api/checkout/quote", json={}))["subtotal"] == "30.00"
    assert ok(shopper.get("/api/orders"))["items"] == []
    assert ok(shopper.get("/api/products"))["items"] != []
    ok(shopper.delete("/api/cart/clear"))


def test_a_retry_of_what_was_accepted_gets_its_order(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=9)
    add(shopper)
    order_id = ok(check_out(shopper, key="a-key"), 202)["id"]
    shop.redis.zincrby("accepted", -601, order_id)

    again = check_out(shopper, key="a-key")

    assert ok(again, 202)["id"] == order_id
    assert again.headers["Idempotent-Replayed"] == "true"
    assert ok(shopper.get(f"/api/orders/{order_id}"))["status"] == "pending"


def test_the_same_request_is_accepted_once_the_inbox_is_settled(shop: Shop, behind: str, shopper: Client) -> None:
    add(shopper)
    refused(check_out(shopper, key="a-key"))
    shop.work_until_idle()

    order_id = ok(check_out(shopper, key="a-key"), 202)["id"]
    shop.work_until_idle()

    assert [shop.order(each).status for each in (behind, order_id)] == ["confirmed", "confirmed"]


def test_those_who_are_refused_together_do_not_come_back_together(shop: Shop, behind: str, shopper: Client) -> None:
    add(shopper)

    told = {check_out(shopper).headers["Retry-After"] for _ in range(40)}

    assert len(told) > 5


@pytest.mark.parametrize(("seconds", "status"), [(58, 202), (61, 503)])
def test_how_old_it_may_be_is_a_setting(shop: Shop, shopper: Client, seconds: float, status: int) -> None:
    settings = shop.settings.model_copy(update={"inbox_max_seconds": 60})
    tighter = Shop(shop.rules, shop.redis, shop.queue_redis, shop.database, shop.clock, settings)
    fall_behind(tighter, seconds)
    shopper = tighter.shopper()
    add(shopper)

    assert check_out(shopper).status_code == status


def test_what_watches_the_shop_says_that_new_checkouts_are_refused(
    shop: Shop, behind: str, shopper: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAR_DIR", str(tmp_path))

    ready = ok(shopper.get("/readyz"), 503)["checks"]["inbox"]
    doctor = shop.app.test_cli_runner().invoke(args=["doctor"]).output

    assert (ready["ok"], ready["detail"][-27:]) == (False, "; new checkouts are refused")
    assert re.search(r"1 checkouts wait, the oldest for 60[1-9] s; new ones are refused", doctor)


# ---------------------------------------------------------------- the carts' store is nearly full


@pytest.mark.real
def test_nearly_full_the_store_takes_carts_and_no_checkouts(tight: Shop) -> None:
    shopper = tight.shopper()
    add(shopper)

    body = refused(check_out(shopper, key="a-key"))

    assert body["detail"] == "There is no room for new orders. Your cart is kept as it is; try again in a minute."
    assert tight.services.inbox.size() == 0
    assert ok(add(shopper))["items"][0]["quantity"] == 2


@pytest.mark.real
def test_nearly_full_it_settles_what_it_accepted_before(tight: Shop) -> None:
    tight.redis.delete("nearly_full")  # As before anybody noticed.
    order_id = tight.checkout(MUG=1)
    keep_up(tight)

    tight.work_until_idle()

    assert tight.order(order_id).status == "confirmed"
    assert tight.services.inbox.size() == 0


@pytest.mark.real
def test_with_room_again_it_takes_checkouts_again(tight: Shop) -> None:
    shopper = tight.shopper()
    add(shopper)
    refused(check_out(shopper))

    tight.redis.delete("ballast")
    keep_up(tight)
    assert 0 < tight.redis.pttl("nearly_full") <= 5000
    tight.redis.delete("nearly_full")  # As when its time is over.

    ok(check_out(shopper), 202)


@pytest.mark.real
def test_what_watches_the_shop_says_that_it_is_nearly_full(tight: Shop) -> None:
    check = ok(tight.shopper().get("/readyz"), 503)["checks"]["redis"]

    assert check == {"ok": False, "detail": "nearly full: new checkouts are refused; raise maxmemory"}
