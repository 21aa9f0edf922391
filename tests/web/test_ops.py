"""For load balancers and monitors: alive, ready, and if not, why."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.harness import Client, Shop
from tests.web.answers import add, ok, take_redis_away, take_sql_away

WORKERS = {"worker:checkout", "worker:payments"}


@pytest.fixture
def attended(shop: Shop) -> Shop:
    """A shop with a worker that was alive a second ago."""
    for queue in ("checkout", "payments"):
        shop.services.heartbeats.beat(queue, "worker-1", shop.clock() / 1000 - 1)
    return shop


def checks(shopper: Client, status: int) -> dict[str, Any]:
    body = ok(shopper.get("/readyz"), status)
    assert body["ready"] is (status == 200)
    return body["checks"]


def bad(found: dict[str, Any]) -> set[str]:
    return {name for name, check in found.items() if not check["ok"]}


def test_a_shop_that_works_is_ready(attended: Shop, shopper: Client) -> None:
    found = checks(shopper, 200)

    assert found.keys() >= {"redis", "sql", "inbox", "payments", *WORKERS}
    assert found["worker:checkout"]["detail"] == "last heartbeat 1.0 s ago"
    assert found["redis"]["detail"] == "answers; 0 checkouts wait"


def test_without_a_worker_it_is_not_ready(shop: Shop, shopper: Client) -> None:
    found = checks(shopper, 503)

    assert bad(found) == WORKERS
    assert found["worker:checkout"]["detail"] == "no worker has been seen for a minute"


def test_a_worker_that_fell_silent_makes_it_not_ready(attended: Shop, shopper: Client) -> None:
    attended.clock.forward(8.9)
    assert bad(checks(shopper, 200)) == set()
    attended.clock.forward(0.2)
    assert bad(checks(shopper, 503)) == WORKERS


def test_a_checkout_that_waits_too_long_makes_it_not_ready(attended: Shop, shopper: Client) -> None:
    attended.stocked(MUG=5)
    order_id = attended.checkout(shopper, MUG=1)
    assert bad(checks(shopper, 200)) == set()

    attended.redis.zadd("accepted", {order_id: time.time() - 31})

    found = checks(shopper, 503)
    assert bad(found) == {"inbox"}
    assert found["inbox"]["detail"].startswith("the oldest waiting checkout is 31")


def test_without_redis_it_is_not_ready_and_says_so(attended: Shop, shopper: Client) -> None:
    take_redis_away(attended.redis)

    assert bad(checks(shopper, 503)) == {"redis", "inbox", *WORKERS}


def test_without_sql_it_is_not_ready_and_says_so(attended: Shop, shopper: Client) -> None:
    take_sql_away(attended)

    found = checks(shopper, 503)
    assert bad(found) == {"sql", "payments"}
    assert "/nowhere" not in str(found)


def test_it_is_alive_whatever_is_away(shop: Shop, shopper: Client) -> None:
    take_redis_away(shop.redis)
    take_sql_away(shop)

    assert ok(shopper.get("/healthz")) == {"status": "ok"}


def test_being_asked_starts_no_session(attended: Shop, shopper: Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert "Set-Cookie" not in shopper.get(path).headers


def test_the_front_door_leads_to_the_docs(shop: Shop, shopper: Client) -> None:
    response = shopper.get("/")

    assert response.status_code in (200, 302)
    assert response.headers.get("Location", "/").startswith("/")


def test_the_journey_is_logged_without_what_is_private(
    attended: Shop, shopper: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    attended.stocked(MUG=5)
    token = add(shopper).headers["X-Session-Token"]
    attended.checkout(shopper)

    logged = capsys.readouterr().out
    assert "/api/checkout" in logged
    for private in (token, "ada@example.com", "1 Main Street", "Lovelace"):
        assert private not in logged
