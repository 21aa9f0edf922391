"""What a request and a settlement cost, counted: calls of functions and round trips, which no noise disturbs.

The calls are held against those of a bare Flask route in the same run, so that another version of Flask is not taken
for a change of ours. Whoever makes something cheaper lowers the figure; whoever makes it dearer by more than a fifth
has to say here that it is worth it. Seconds are for `make bench`.
"""

from __future__ import annotations

import cProfile
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from carts import keys
from carts.shards import CHECKOUT
from tasks.checkout import settle
from tests.harness import CHECKOUT_BODY, Shop
from web.sessions import HEADER
from web.settings import Settings

DEARER = 1.2
COSTS = {"add": 4.8, "checkout": 6.7, "order": 3.7, "cart": 4.1}
"""Calls, as a multiple of those of a bare Flask route."""
SETTLE_CALLS = 118
"""For one order of two lines, in a batch of 64."""
ROUND_TRIPS = {"add": 2, "checkout": 2, "order": 0, "cart": 1}
SENT, EXECUTED = "send_packed_command", "<method 'execute' of"


def counted(work: Callable[[], Any]) -> Counter[str]:
    """How often each function was called, by name; their sum under `all`."""
    profile = cProfile.Profile()
    profile.enable()
    try:
        work()
    finally:
        profile.disable()
    found: Counter[str] = Counter()
    for entry in profile.getstats():
        name = entry.code if isinstance(entry.code, str) else entry.code.co_name
        found[name] += entry.callcount
        found["all"] += entry.callcount
    return found


def asked(application: Any, method: str, path: str, body: Any = None, **headers: str) -> Callable[[], tuple[Any, Any]]:
    """A request to a WSGI application without a server or a test client: its answer's headers and JSON."""
    data = json.dumps(body).encode() if body is not None else b""
    given = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    described = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(data))} if data else {}
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "shop",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        **described,
        **given,
    }

    def ask() -> tuple[Any, Any]:
        told: list[Any] = []
        fresh = environ | {"wsgi.input": io.BytesIO(data)}
        answer = b"".join(application(fresh, lambda status, headers, _=None: told.extend((status, headers))))
        assert told[0].startswith("20"), answer
        return dict(told[1]), json.loads(answer)

    return ask


def bare() -> int:
    app = Flask("bare")
    app.add_url_rule("/", view_func=lambda: {"hello": "world"})
    ask = asked(app, "GET", "/")
    ask()
    return counted(ask)["all"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the limits of a real shop: each request is counted."""
    names = [name for name in Settings.model_fields if name.startswith("rate_limit_")]
    return settings.model_copy(update={name: Settings.model_fields[name].default for name in names})


@pytest.fixture
def open_shop(real_shop: Shop) -> Shop:
    real_shop.stocked(MUG=10_000, PAN=10_000)
    journey(real_shop)
    return real_shop


def journey(shop: Shop) -> dict[str, Counter[str]]:
    """A shopper's requests, each counted."""
    found = {}
    add = {name: {"product_id": name, "quantity": 1} for name in ("MUG", "PAN")}
    token = asked(shop.app, "POST", "/api/cart/add", add["MUG"])()[0][HEADER]
    found["add"] = counted(asked(shop.app, "POST", "/api/cart/add", add["PAN"], x_session_token=token))
    found["cart"] = counted(asked(shop.app, "GET", "/api/cart", x_session_token=token))
    told: list[Any] = []
    check_out = asked(shop.app, "POST", "/api/checkout", CHECKOUT_BODY, x_session_token=token, idempotency_key=token)
    found["checkout"] = counted(lambda: told.append(check_out()))
    settle()
    order = asked(shop.app, "GET", f"/api/orders/{told[0][1]['id']}", x_session_token=token)
    found["order"] = counted(order)
    assert order()[1]["status"] == "confirmed"
    return found


def test_a_request_costs_no_more_than_it_did(open_shop: Shop) -> None:
    measured = journey(open_shop)

    ratios = {what: round(calls["all"] / bare(), 2) for what, calls in measured.items()}

    assert {what: ratio for what, ratio in ratios.items() if ratio > COSTS[what] * DEARER} == {}, ratios
    assert {what: ratio for what, ratio in ratios.items() if ratio < COSTS[what] / DEARER} == {}, (
        f"lower COSTS: {ratios}"
    )


def test_a_request_takes_no_more_round_trips_than_it_must(open_shop: Shop) -> None:
    open_shop.redis.set(keys.doorbell(CHECKOUT), "1")  # The worker is rung once a second, and not by the one we count.

    measured = journey(open_shop)

    assert {what: calls[SENT] for what, calls in measured.items()} == ROUND_TRIPS


def test_a_settlement_costs_no_more_than_it_did(open_shop: Shop) -> None:
    for _ in range(64):
        open_shop.checkout(open_shop.shopper(), MUG=1, PAN=1)

    calls = counted(settle)["all"] / 64

    assert SETTLE_CALLS / DEARER <= calls <= SETTLE_CALLS * DEARER, calls
