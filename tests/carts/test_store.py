"""Carts keep what a shopper put into them: the contract, on fakeredis and on a real Valkey."""

from __future__ import annotations

import pytest
from redis import Redis

from carts import keys
from carts.connection import connect
from carts.store import DAY_MS, Carts, Refused, read_cart
from shop.cart import Cart
from shop.errors import CartLimitExceeded, ItemNotFound
from tests.carts.proxy import proxy
from tests.carts.sample import LIFETIME_SECONDS, at_once, filled, held


def test_a_session_begins_without_a_cart(carts: Carts) -> None:
    assert carts.get("ada").id is None


def test_adding_makes_a_line_and_adding_again_raises_it(carts: Carts) -> None:
    first = filled(carts, "ada", MUG=2)
    second = filled(carts, "ada", MUG=3)

    assert held(carts, "ada") == {"MUG": 5}
    assert (first.version, second.version) == (1, 2)
    assert first.id == second.id is not None


def test_what_a_change_answers_is_what_a_look_shows(carts: Carts) -> None:
    added = filled(carts, "ada", MUG=2, CUP=1)
    assert _content(added) == _content(carts.get("ada"))

    assert _content(carts.set("ada", "CUP", 4)) == _content(carts.get("ada"))


def _content(cart: Cart) -> tuple[object, ...]:
    return cart.id, cart.version, cart.lines


def test_lines_stand_in_the_order_in_which_they_were_added(carts: Carts) -> None:
    filled(carts, "ada", ZEBRA=1, MUG=1, APPLE=1)
    carts.set("ada", "ZEBRA", 9)
    carts.add("ada", "MUG", 1, 1000, limit=99)

    assert list(held(carts, "ada")) == ["ZEBRA", "MUG", "APPLE"]


def test_a_line_taken_out_and_added_again_stands_last(carts: Carts) -> None:
    filled(carts, "ada", ZEBRA=1, MUG=1)
    carts.set("ada", "ZEBRA", 0)
    filled(carts, "ada", ZEBRA=1)

    assert list(held(carts, "ada")) == ["MUG", "ZEBRA"]


def test_setting_a_quantity_replaces_it(carts: Carts) -> None:
    filled(carts, "ada", MUG=2)

    cart = carts.set("ada", "MUG", 7)

    assert [line.quantity for line in cart.lines] == [7]
    assert cart.version == 2


def test_setting_zero_removes_the_line_and_leaves_the_others(carts: Carts) -> None:
    filled(carts, "ada", MUG=2, CUP=1)

    cart = carts.set("ada", "MUG", 0)

    assert cart.product_ids == ["CUP"]
    assert cart.version == 3


def test_what_is_not_in_the_cart_cannot_be_set(carts: Carts) -> None:
    filled(carts, "ada", MUG=2)

    with pytest.raises(ItemNotFound):
        carts.set("ada", "CUP", 1)

    assert held(carts, "ada") == {"MUG": 2}
    assert carts.get("ada").version == 1


def test_sessions_do_not_see_each_others_carts(carts: Carts) -> None:
    filled(carts, "ada", MUG=2)

    with pytest.raises(ItemNotFound):
        carts.set("bob", "MUG", 1)
    carts.clear("bob")

    assert carts.get("bob").id is None
    assert held(carts, "ada") == {"MUG": 2}


@pytest.mark.parametrize("empty", ["set", "clear"])
def test_an_emptied_cart_is_gone_and_the_next_one_is_another(carts: Carts, redis: Redis, empty: str) -> None:
    before = filled(carts, "ada", MUG=2)

    after = carts.set("ada", "MUG", 0) if empty == "set" else carts.clear("ada")

    assert after is None or after.id is None
    assert carts.get("ada").id is None
    assert not redis.exists(keys.cart("ada"))
    again = filled(carts, "ada", MUG=2)
    assert again.version == 1
    assert again.id != before.id


@pytest.mark.parametrize("empty", ["set", "clear"])
def test_a_cart_emptied_by_hand_forgets_the_last_checkout(carts: Carts, redis: Redis, empty: str) -> None:
    filled(carts, "ada", MUG=2)
    redis.set(keys.checked_out("ada"), "an-order")

    if empty == "set":
        carts.set("ada", "MUG", 0)
    else:
        carts.clear("ada")

    assert not redis.exists(keys.checked_out("ada"))


def test_clearing_an_empty_cart_is_no_error(carts: Carts) -> None:
    carts.clear("ada")
    carts.clear("ada")

    assert carts.get("ada").id is None


def test_an_add_past_the_limit_is_refused_and_changes_nothing(carts: Carts, redis: Redis) -> None:
    filled(carts, "ada", MUG=3)
    before = redis.hgetall(keys.cart("ada"))

    assert carts.add("ada", "MUG", 3, 1000, limit=5) == Refused(3)

    assert redis.hgetall(keys.cart("ada")) == before
    assert isinstance(carts.add("ada", "MUG", 2, 1000, limit=5), Cart)


def test_a_refused_first_add_makes_no_cart(carts: Carts, redis: Redis) -> None:
    assert carts.add("ada", "MUG", 6, 1000, limit=5) == Refused(0)

    assert not redis.exists(keys.cart("ada"))


def test_a_line_too_many_is_refused_but_a_line_that_is_there_can_grow(carts: Carts, redis: Redis) -> None:
    filled(carts, "ada", MUG=1, CUP=1, JAR=1)
    before = redis.hgetall(keys.cart("ada"))

    with pytest.raises(CartLimitExceeded, match="at most 3"):
        carts.add("ada", "PAN", 1, 1000, limit=9)

    assert redis.hgetall(keys.cart("ada")) == before
    assert filled(carts, "ada", JAR=1).version == 4
    carts.set("ada", "MUG", 0)
    assert filled(carts, "ada", PAN=1).product_ids == ["CUP", "JAR", "PAN"]


def test_a_line_keeps_the_price_and_time_of_its_first_add(carts: Carts, redis: Redis) -> None:
    carts.add("ada", "MUG", 1, 1000, limit=9)
    redis.hset(keys.cart("ada"), "t:MUG", 1_700_000_000_123)

    carts.add("ada", "MUG", 1, 1200, limit=9)
    carts.set("ada", "MUG", 7)

    line = carts.get("ada").lines[0]
    assert (line.price_when_added_minor, line.added_at) == (1000, 1_700_000_000_123)


def test_a_line_added_anew_has_the_new_price(carts: Carts) -> None:
    filled(carts, "ada", CUP=1)
    carts.add("ada", "MUG", 1, 1000, limit=9)
    carts.set("ada", "MUG", 0)

    carts.add("ada", "MUG", 1, 1200, limit=9)

    assert carts.get("ada").lines[1].price_when_added_minor == 1200


def test_a_line_knows_when_it_was_added_by_the_servers_clock(carts: Carts, redis: Redis) -> None:
    seconds, micros = redis.time()
    now = seconds * 1000 + micros // 1000

    cart = filled(carts, "ada", MUG=1)

    assert now <= cart.lines[0].added_at <= now + 5000


def test_every_change_prolongs_the_carts_life(carts: Carts, redis: Redis) -> None:
    filled(carts, "ada", MUG=1)
    for change in (lambda: filled(carts, "ada", MUG=1), lambda: carts.set("ada", "MUG", 5)):
        redis.expire(keys.cart("ada"), 60)

        cart = change()

        assert LIFETIME_SECONDS - 5 <= redis.ttl(keys.cart("ada")) <= LIFETIME_SECONDS
        assert cart.expires_at == pytest.approx(redis.time()[0] * 1000 + LIFETIME_SECONDS * 1000, abs=5000)


def test_a_look_prolongs_the_carts_life_once_a_day(carts: Carts, redis: Redis) -> None:
    filled(carts, "ada", MUG=1)
    lifetime_ms = LIFETIME_SECONDS * 1000

    redis.pexpire(keys.cart("ada"), lifetime_ms - DAY_MS + 60_000)
    carts.get("ada")
    assert redis.pttl(keys.cart("ada")) <= lifetime_ms - DAY_MS + 60_000

    redis.pexpire(keys.cart("ada"), lifetime_ms - DAY_MS - 60_000)
    cart = carts.get("ada")
    assert redis.pttl(keys.cart("ada")) > lifetime_ms - 5000
    assert cart.expires_at == pytest.approx(redis.time()[0] * 1000 + lifetime_ms, abs=5000)


def test_a_refused_add_does_not_prolong_the_carts_life(carts: Carts, redis: Redis) -> None:
    filled(carts, "ada", MUG=1)
    redis.expire(keys.cart("ada"), 60)

    carts.add("ada", "MUG", 9, 1000, limit=5)

    assert redis.ttl(keys.cart("ada")) <= 60


def test_a_cart_without_an_end_says_so() -> None:
    fields = {"id": "a-cart", "version": "1", "q:MUG": "2", "p:MUG": "1000", "t:MUG": "5"}

    assert read_cart(fields, -1, 1_000).expires_at is None


def test_an_add_that_is_sent_twice_adds_once(carts: Carts, redis: Redis) -> None:
    arguments = {
        "keys": [keys.cart("ada"), keys.operation("one-add")],
        "args": ["MUG", 2, 9, 1000, LIFETIME_SECONDS, "a-cart", 3],
    }
    add = carts._add

    first, second = add(**arguments), add(**arguments)

    assert first[0] == second[0] == "OK"
    assert first[4] == second[4]
    assert held(carts, "ada") == {"MUG": 2}
    assert 0 < redis.ttl(keys.operation("one-add")) <= 60


@pytest.mark.real
def test_an_add_whose_reply_is_lost_adds_once(valkey_url: str, valkey_pair: tuple[Redis, Redis]) -> None:
    with proxy(valkey_url) as between, connect(between.url) as client:
        carts = Carts(client, LIFETIME_SECONDS, max_lines=3)
        filled(carts, "ada", MUG=1)
        between.drop_next_reply()

        cart = filled(carts, "ada", MUG=2)

        assert between.dropped == 1
        assert [(line.product_id, line.quantity) for line in cart.lines] == [("MUG", 3)]
        assert cart.version == 2


@pytest.mark.real
def test_fifty_tabs_that_add_a_unit_at_once_lose_none(valkey_pair: tuple[Redis, Redis]) -> None:
    carts = Carts(valkey_pair[0], LIFETIME_SECONDS, max_lines=3)

    answers = at_once(50, lambda _: carts.add("ada", "MUG", 1, 1000, limit=99))

    assert {answer.id for answer in answers if isinstance(answer, Cart)} == {carts.get("ada").id}
    assert held(carts, "ada") == {"MUG": 50}
    assert carts.get("ada").version == 50


@pytest.mark.real
def test_fifty_tabs_at_once_never_pass_the_limit(valkey_pair: tuple[Redis, Redis]) -> None:
    carts = Carts(valkey_pair[0], LIFETIME_SECONDS, max_lines=3)

    answers = at_once(50, lambda _: carts.add("ada", "MUG", 1, 1000, limit=20))

    assert answers.count(Refused(20)) == 30
    assert held(carts, "ada") == {"MUG": 20}
