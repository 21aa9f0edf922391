"""Rate limits: of a session and of an address, across processes, and never in a shopper's way."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from app import create_app
from carts import keys
from carts.connection import connect
from carts.tallies import Tallies
from shop.errors import Unavailable
from shop.limits import Limit
from tests.harness import CHECKOUT_BODY, Client, Clock, Shop
from tests.web.answers import add, ok, problem
from web.limits import MOST_KEYS, Counter, network
from web.sessions import HEADER
from web.settings import Settings

LIMITS = {
    "rate_limit_checkout": "4/minute",
    "rate_limit_quote": "4/minute",
    "rate_limit_orders": "4/minute",
    "rate_limit_address": 3,
}
PUBLIC, OTHER = "93.184.215.14", "93.184.215.15"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=LIMITS)


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.stocked(MUG=100)
    return shop


def restarted(shop: Shop, **settings: Any) -> Shop:
    """The same shop with another web process, which may be set otherwise."""
    shop.app = create_app(shop.services, shop.settings.model_copy(update=settings))
    shop.app.test_client_class = Client
    return shop


def quote(shopper: Client, address: str = PUBLIC, **headers: str) -> Any:
    return shopper.post("/api/checkout/quote", json={}, headers=headers, environ_overrides={"REMOTE_ADDR": address})


def quotes(shopper: Client, times: int, address: str = PUBLIC) -> list[int]:
    return [quote(shopper, address).status_code for _ in range(times)]


def with_cart(shop: Shop) -> Client:
    shopper = shop.shopper()
    ok(add(shopper))
    return shopper


def test_a_session_that_asks_too_often_is_refused_until_its_window_ends(stocked: Shop, clock: Clock) -> None:
    shopper = with_cart(stocked)
    assert quotes(shopper, 4) == [200] * 4

    refused = quote(shopper)

    body = problem(refused, 429, "rate_limited")
    seconds = int(refused.headers["Retry-After"])
    assert body["retryable"] is True
    assert 1 <= seconds <= 60
    assert f"in {seconds} seconds" in body["detail"]
    clock.forward(seconds)
    assert quote(shopper).status_code == 200


def test_the_answers_say_what_the_limits_are_and_what_is_left(stocked: Shop) -> None:
    shopper = with_cart(stocked)

    answers = [quote(shopper) for _ in range(5)]

    assert {a.headers["RateLimit-Policy"] for a in answers} == {'"quote";q=4;w=60, "quote-address";q=12;w=60'}
    said = [re.fullmatch(r'"quote";r=(\d+);t=(\d+)', answer.headers["RateLimit"]) for answer in answers]
    assert [match and match[1] for match in said] == ["3", "2", "1", "0", "0"]
    assert said[-1] is not None
    assert said[-1][2] == answers[-1].headers["Retry-After"]


def test_who_is_not_counted_is_told_nothing(stocked: Shop) -> None:
    answer = stocked.shopper().get("/api/products")

    assert "RateLimit" not in answer.headers


def test_another_session_is_not_refused(stocked: Shop) -> None:
    quotes(with_cart(stocked), 5)

    assert quote(with_cart(stocked)).status_code == 200


def test_a_new_session_for_each_request_is_stopped_at_the_address(stocked: Shop) -> None:
    statuses = [quotes(stocked.shopper(), 1)[0] for _ in range(14)]

    assert statuses == [409] * 12 + [429] * 2  # Their carts are empty.
    assert quotes(stocked.shopper(), 1, OTHER) == [409]


def test_many_sessions_of_one_address_are_stopped_at_the_address(stocked: Shop) -> None:
    sessions = [with_cart(stocked) for _ in range(4)]

    statuses = [status for shopper in sessions for status in quotes(shopper, 4)]

    assert statuses == [200] * 12 + [429] * 4


def test_the_addresses_of_one_ipv6_network_are_one(stocked: Shop) -> None:
    statuses = [quotes(stocked.shopper(), 1, f"2001:db8::{number:x}")[0] for number in range(13)]

    assert statuses[-1] == 429
    assert quotes(stocked.shopper(), 1, "2001:db8:0:1::1") == [409]


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::"),
        ("no:address", "no:address"),
    ],
)
def test_an_address_belongs_to_somebody(address: str, whose: str) -> None:
    assert network(address) == whose


def test_behind_a_trusted_proxy_the_clients_address_counts(stocked: Shop) -> None:
    restarted(stocked, trusted_proxies=1)
    proxy = "10.0.0.1"

    def ask(client: str) -> int:
        return int(quote(stocked.shopper(), proxy, **{"X-Forwarded-For": client}).status_code)

    assert [ask(PUBLIC) for _ in range(13)][-1] == 429
    # What the client itself wrote into the header stands before what the proxy added.
    assert ask(f"198.51.100.1, {PUBLIC}") == 429
    assert ask(OTHER) == 409


def test_behind_a_proxy_nobody_told_of_an_address_is_everybodys_and_not_counted(stocked: Shop) -> None:
    def ask(address: str) -> int:
        return int(quote(stocked.shopper(), address, **{"X-Forwarded-For": OTHER}).status_code)

    assert {ask("10.0.0.1") for _ in range(20)} == {409}
    assert [ask(PUBLIC) for _ in range(13)][-1] == 429, "a client of the public network cannot pass for a proxy"


def test_checkouts_are_limited_and_a_refused_one_keeps_the_cart(stocked: Shop, clock: Clock) -> None:
    shopper = stocked.shopper()
    for _ in range(4):
        stocked.checkout(shopper, MUG=1)
    ok(add(shopper))

    refused = shopper.post("/api/checkout", json=CHECKOUT_BODY)

    problem(refused, 429, "rate_limited")
    assert ok(shopper.get("/api/cart"))["item_count"] == 1
    clock.forward(int(refused.headers["Retry-After"]))
    assert shopper.post("/api/checkout", json=CHECKOUT_BODY).status_code == 202


def test_looks_at_orders_are_limited_together(stocked: Shop) -> None:
    shopper = stocked.shopper()
    order_id = stocked.checkout(shopper, MUG=1)

    for path in (f"/api/orders/{order_id}", "/api/orders", f"/api/orders/{order_id}", "/api/orders"):
        ok(shopper.get(path))

    problem(shopper.get(f"/api/orders/{order_id}"), 429, "rate_limited")
    problem(shopper.post(f"/api/orders/{order_id}/cancel", json={}), 429, "rate_limited")


def test_guessing_orders_with_new_sessions_is_stopped(stocked: Shop) -> None:
    guesses = [stocked.shopper().get("/api/orders/0192f0a0-0000-7000-8000-000000000000").status_code for _ in range(13)]

    assert guesses == [404] * 12 + [429]


def test_a_flood_of_new_carts_is_stopped_but_not_the_carts_there_are(stocked: Shop) -> None:
    restarted(stocked, rate_limit_sessions="3/minute")
    shopper = with_cart(stocked)

    flood = [add(stocked.shopper()).status_code for _ in range(3)]

    assert flood == [200, 200, 429]
    assert add(shopper).status_code == 200
    assert len(list(stocked.redis.scan_iter(keys.cart("*")))) == 3


def test_two_processes_count_together(stocked: Shop) -> None:
    shopper = with_cart(stocked)
    token = shopper.get_cookie("oncecart_session").value  # type: ignore[union-attr]
    quotes(shopper, 3)

    other = restarted(stocked).shopper()

    assert [quote(other, OTHER, **{HEADER: token}).status_code for _ in range(3)] == [200, 429, 429]


def test_a_preflight_is_not_counted(stocked: Shop) -> None:
    restarted(stocked, cors_origins=("https://shop.example",), rate_limit_checkout="1/day")
    ask = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}

    statuses = {stocked.shopper().options("/api/checkout", headers=ask).status_code for _ in range(9)}

    assert statuses == {200}


def test_a_frontend_elsewhere_may_read_what_is_left(stocked: Shop) -> None:
    restarted(stocked, cors_origins=("https://shop.example",))

    answer = quote(stocked.shopper(), Origin="https://shop.example")

    exposed = answer.headers["Access-Control-Expose-Headers"]
    assert {"RateLimit", "RateLimit-Policy", "Retry-After"} <= set(exposed.split(", "))


def test_switched_off_nothing_is_counted(stocked: Shop) -> None:
    restarted(stocked, **{name: "off" for name in LIMITS if name != "rate_limit_address"})
    shopper = with_cart(stocked)

    assert quotes(shopper, 20) == [200] * 20
    assert "RateLimit" not in quote(shopper).headers


def test_addresses_may_be_left_uncounted(stocked: Shop) -> None:
    restarted(stocked, rate_limit_address=0)

    assert {quotes(stocked.shopper(), 1)[0] for _ in range(20)} == {409}
    assert quotes(with_cart(stocked), 5)[-1] == 429


# ---------------------------------------------------------------- the counter


def dead() -> Redis:
    """A client of a Redis that is not there."""
    return connect("redis://127.0.0.1:1")


@pytest.fixture
def counter(fake_pair: tuple[Redis, Redis], clock: Clock) -> Callable[..., Counter]:
    """A counter of one process; each is another process's."""

    def make(quota: int = 100, redis: Redis | None = None) -> Counter:
        return Counter("test", Limit(quota, 60), Tallies(redis or fake_pair[0]), clock)

    return make


def test_who_does_not_hurry_costs_no_round_trip(counter: Callable[..., Counter], fake_pair: Any) -> None:
    mine = counter(100)

    for number in range(9):
        assert mine.count(f"one-{number}").left == 99
        mine.count("two")

    assert fake_pair[0].keys() == []
    assert mine.count("two").left == 90
    assert len(fake_pair[0].keys()) == 1


def test_a_tally_is_forgotten_after_its_window(counter: Callable[..., Counter], fake_pair: Any) -> None:
    mine = counter(1)

    mine.count("one")

    (name,) = fake_pair[0].keys()
    assert 0 < fake_pair[0].ttl(name) <= 60


def test_processes_are_together_over_a_limit_by_a_tenth_each_at_most(counter: Callable[..., Counter]) -> None:
    processes = [counter(100) for _ in range(4)]

    let_in = sum(processes[number % 4].count("one").left >= 0 for number in range(1000))

    assert 100 <= let_in <= 100 + 4 * 10


def test_one_process_lets_in_exactly_the_limit(counter: Callable[..., Counter]) -> None:
    mine = counter(100)

    assert sum(mine.count("one").left >= 0 for _ in range(1000)) == 100


def test_who_is_over_the_limit_costs_no_round_trip_either(counter: Callable[..., Counter], fake_pair: Any) -> None:
    mine = counter(10)
    for _ in range(10):
        mine.count("one")
    (name,) = fake_pair[0].keys()

    for _ in range(100):
        mine.count("one")

    assert fake_pair[0].get(name) == "10"


def test_without_redis_each_process_counts_for_itself(counter: Callable[..., Counter], clock: Clock) -> None:
    asked = []

    class Away(Tallies):
        def add(self, *_: Any) -> int:
            asked.append(clock())
            raise Unavailable("away")

    mine = Counter("test", Limit(10, 60), Away(dead()), clock)

    assert sum(mine.count("one").left >= 0 for _ in range(50)) == 10
    assert len(asked) == 1, "the next five seconds nobody waits for it again"
    clock.forward(6)
    mine.count("two")
    assert len(asked) == 2


def test_without_redis_the_limits_throw_nothing(counter: Callable[..., Counter]) -> None:
    mine = counter(10, dead())

    assert sum(mine.count("one").left >= 0 for _ in range(20)) == 10


def test_a_process_forgets_the_oldest_of_very_many(counter: Callable[..., Counter]) -> None:
    mine = counter(1000)
    mine.count("first")

    for number in range(MOST_KEYS):
        mine.count(str(number))

    assert mine.count("first").left == 999
    assert mine.count(str(MOST_KEYS - 1)).left == 998
    assert len(mine._counts) == MOST_KEYS
