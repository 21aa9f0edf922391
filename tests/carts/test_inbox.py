"""An accepted checkout is kept until it is settled, and accepted once: the contract, on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from redis import Redis

from carts import keys
from carts.connection import connect
from carts.inbox import (
    DOORBELL_MS,
    IDEMPOTENCY_SECONDS,
    LEASE_MS,
    MAX_SECONDS,
    NEARLY_FULL_MS,
    SNAPSHOT_SECONDS,
    Accepted,
    Busy,
    Changed,
    Empty,
    Full,
    Inbox,
    Mismatch,
    Replayed,
    Settled,
    Snapshot,
    used_for,
)
from carts.products import Cached, ProductCache
from carts.shards import shard_of
from carts.store import Carts
from shop.cart import EMPTY
from shop.catalogue import Product
from shop.checkout import Checkout
from tests.carts.proxy import proxy
from tests.carts.sample import LIFETIME_SECONDS, at_once, checkout, filled, held

# ---------------------------------------------------------------- accepting


def accepted(inbox: Inbox, carts: Carts, session_id: str = "ada", key: str | None = None, **units: int) -> Checkout:
    """A checkout of these units that was accepted just now."""
    asked = checkout(session_id, filled(carts, session_id, **(units or {"MUG": 2})), key)
    answer = inbox.accept(asked)
    assert isinstance(answer, Accepted)
    return replace(asked, accepted_at=answer.at)


def test_an_accepted_checkout_takes_the_cart_and_waits_in_the_inbox(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    asked = checkout("ada", filled(carts, "ada", MUG=2, CUP=1), "a-key")
    seconds, micros = redis.time()

    answer = inbox.accept(asked)

    assert isinstance(answer, Accepted)
    assert answer.order_id == asked.order_id
    assert 0 <= answer.at - (seconds * 1000 + micros // 1000) < 5000
    assert carts.get("ada").id is None
    [waiting] = inbox.peek(10)
    assert waiting.checkout == replace(asked, accepted_at=answer.at)
    assert (waiting.order_id, waiting.session_id, waiting.accepted_at) == (asked.order_id, "ada", answer.at)
    assert waiting.tries == 0
    assert inbox.open_ids("ada") == [asked.order_id]
    assert inbox.find(asked.order_id, "ada") == Snapshot(waiting.checkout, None)


def test_only_the_session_that_placed_an_order_finds_it(inbox: Inbox, carts: Carts) -> None:
    asked = accepted(inbox, carts)

    assert inbox.find(asked.order_id, "bob") is None
    assert inbox.find("no-such-order", "ada") is None
    assert inbox.open_ids("bob") == []


def test_the_claimed_cart_and_the_snapshot_have_no_end(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    order_id = accepted(inbox, carts).order_id

    assert redis.ttl(keys.claimed_cart(order_id)) == -1
    assert redis.ttl(keys.accepted(order_id)) == -1
    assert redis.ttl(keys.inbox()) == -1
    assert redis.hget(keys.claimed_cart(order_id), "q:MUG") == "2"


def test_a_key_is_remembered_for_a_day(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    accepted(inbox, carts, key="a-key")

    assert IDEMPOTENCY_SECONDS - 5 <= redis.ttl(keys.idempotency("ada", "a-key")) <= IDEMPOTENCY_SECONDS


def test_without_a_key_nothing_is_remembered_for_one(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    accepted(inbox, carts)

    assert redis.keys("idempotency:*") == []


def test_there_is_nothing_to_accept_without_a_cart(inbox: Inbox) -> None:
    assert inbox.accept(checkout("ada", EMPTY)) == Empty(None)
    assert inbox.size() == 0


def test_a_second_checkout_of_the_same_cart_is_told_of_the_first(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    cart = filled(carts, "ada", MUG=2)
    first, second = checkout("ada", cart), checkout("ada", cart)
    inbox.accept(first)

    assert inbox.accept(second) == Empty(first.order_id)
    assert inbox.last_checked_out("ada") == first.order_id
    assert 595 <= redis.ttl(keys.checked_out("ada")) <= 600
    assert inbox.size() == 1


def test_the_first_is_forgotten_when_the_next_cart_is_emptied_by_hand(inbox: Inbox, carts: Carts) -> None:
    accepted(inbox, carts)
    cart = filled(carts, "ada", CUP=1)
    carts.set("ada", "CUP", 0)

    assert inbox.last_checked_out("ada") is None
    assert inbox.accept(checkout("ada", cart)) == Empty(None)


@pytest.mark.parametrize("change", ["more", "less", "another cart"])
def test_a_cart_that_changed_since_it_was_priced_is_not_accepted(inbox: Inbox, carts: Carts, change: str) -> None:
    priced = filled(carts, "ada", MUG=2)
    if change == "more":
        filled(carts, "ada", CUP=1)
    elif change == "less":
        carts.set("ada", "MUG", 1)
    else:
        carts.clear("ada")
        assert filled(carts, "ada", MUG=2).version == priced.version
    before = held(carts, "ada")

    assert inbox.accept(checkout("ada", priced, "a-key")) == Changed()

    assert held(carts, "ada") == before
    assert inbox.size() == 0
    assert used_for(carts.get("ada", "a-key").used, "body") is None


def test_the_same_key_and_body_replay_the_first_answer(inbox: Inbox, carts: Carts) -> None:
    first = accepted(inbox, carts, key="a-key")
    again = checkout("ada", filled(carts, "ada", CUP=1), "a-key")

    assert inbox.accept(again) == Replayed(first.order_id)
    assert used_for(carts.get("ada", "a-key").used, "body") == Replayed(first.order_id)
    assert held(carts, "ada") == {"CUP": 1}
    assert inbox.size() == 1


def test_the_same_key_with_another_body_is_a_mismatch(inbox: Inbox, carts: Carts) -> None:
    first = accepted(inbox, carts, key="a-key")
    again = checkout("ada", filled(carts, "ada", CUP=1), "a-key", fingerprint="another body")

    assert inbox.accept(again) == Mismatch(first.order_id)
    assert used_for(carts.get("ada", "a-key").used, "another body") == Mismatch(first.order_id)
    assert held(carts, "ada") == {"CUP": 1}


def test_a_key_belongs_to_its_session(inbox: Inbox, carts: Carts) -> None:
    accepted(inbox, carts, "ada", key="a-key")

    assert used_for(carts.get("bob", "a-key").used, "body") is None
    accepted(inbox, carts, "bob", key="a-key")
    assert inbox.size() == 2


def test_a_checkout_that_is_sent_again_gets_the_same_answer(inbox: Inbox, carts: Carts) -> None:
    for key in (None, "a-key"):
        asked = checkout("ada", filled(carts, "ada", MUG=2), key)
        first = inbox.accept(asked)
        filled(carts, "ada", CUP=1)

        assert inbox.accept(asked) == replace(first, ring=False)  # type: ignore[type-var]
        assert held(carts, "ada") == {"CUP": 1}
        carts.clear("ada")
    assert inbox.size() == 2


@pytest.mark.real
@pytest.mark.parametrize("key", [None, "a-key"])
def test_a_checkout_whose_reply_is_lost_is_accepted_once(
    valkey_url: str, valkey_pair: tuple[Redis, Redis], key: str | None
) -> None:
    with proxy(valkey_url) as between, connect(between.url) as client:
        carts, inbox = Carts(client, LIFETIME_SECONDS, 3), Inbox(client, LIFETIME_SECONDS)
        accepted(inbox, carts, "bob")
        asked = checkout("ada", filled(carts, "ada", MUG=2), key)
        between.drop_next_reply()

        answer = inbox.accept(asked)

        assert between.dropped == 1
        assert isinstance(answer, Accepted)
        assert answer.order_id == asked.order_id
        assert [waiting.session_id for waiting in inbox.peek(10)] == ["bob", "ada"]
        assert carts.get("ada").id is None


@pytest.mark.real
def test_whichever_reply_is_lost_a_checkout_is_accepted(valkey_url: str, valkey_pair: tuple[Redis, Redis]) -> None:
    with proxy(valkey_url) as between, connect(between.url) as client:
        carts, inbox = Carts(client, LIFETIME_SECONDS, 3), Inbox(client, LIFETIME_SECONDS)
        accepted(inbox, carts, "bob")
        replies = 0
        while between.dropped == replies:
            session_id = f"ada-{replies}"
            asked = checkout(session_id, filled(carts, session_id, MUG=2), None)
            between.drop_next_reply(after=replies)

            answer = inbox.accept(asked)

            assert isinstance(answer, Accepted)
            replies += 1
        assert between.dropped > 0


@pytest.mark.real
def test_fifty_requests_with_one_key_are_accepted_once_and_replayed(valkey_pair: tuple[Redis, Redis]) -> None:
    carts, inbox = Carts(valkey_pair[0], LIFETIME_SECONDS, 3), Inbox(valkey_pair[0], LIFETIME_SECONDS)
    cart = filled(carts, "ada", MUG=2)

    answers = at_once(50, lambda _: inbox.accept(checkout("ada", cart, "a-key")))

    [first] = [answer for answer in answers if isinstance(answer, Accepted)]
    assert answers.count(Replayed(first.order_id)) == 49
    assert [waiting.order_id for waiting in inbox.peek(100)] == [first.order_id]


@pytest.mark.real
def test_fifty_keys_on_one_cart_are_accepted_once(valkey_pair: tuple[Redis, Redis]) -> None:
    carts, inbox = Carts(valkey_pair[0], LIFETIME_SECONDS, 3), Inbox(valkey_pair[0], LIFETIME_SECONDS)
    cart = filled(carts, "ada", MUG=2)

    answers = at_once(50, lambda number: inbox.accept(checkout("ada", cart, f"key-{number}")))

    [first] = [answer for answer in answers if isinstance(answer, Accepted)]
    assert answers.count(Empty(first.order_id)) == 49
    assert inbox.size() == 1
    assert len(valkey_pair[0].keys("idempotency:*")) == 1


# ---------------------------------------------------------------- waiting


def test_the_inbox_is_in_the_order_of_acceptance(inbox: Inbox, carts: Carts) -> None:
    order_ids = [accepted(inbox, carts, f"shopper-{n}").order_id for n in (3, 1, 2, 0)]

    assert [waiting.order_id for waiting in inbox.peek(10)] == order_ids
    assert [waiting.order_id for waiting in inbox.peek(2)] == order_ids[:2]


def test_peeking_takes_nothing_out(inbox: Inbox, carts: Carts) -> None:
    accepted(inbox, carts)

    assert inbox.peek(10) == inbox.peek(10)
    assert inbox.size() == 1


def test_nothing_waits_in_an_empty_inbox(inbox: Inbox) -> None:
    assert inbox.peek(10) == []
    assert inbox.size() == 0
    assert inbox.oldest_age_seconds() == 0


def test_the_oldest_age_is_that_of_the_first(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    first = accepted(inbox, carts, "ada").order_id
    accepted(inbox, carts, "bob")
    redis.zincrby(keys.inbox(), -100, first)

    assert 100 <= inbox.oldest_age_seconds() < 105


def test_an_age_is_never_negative(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    redis.zincrby(keys.inbox(), 1000, accepted(inbox, carts).order_id)

    assert inbox.oldest_age_seconds() == 0


def test_the_sessions_open_ids_are_newest_first(inbox: Inbox, carts: Carts) -> None:
    order_ids = [accepted(inbox, carts).order_id for _ in range(3)]

    assert inbox.open_ids("ada") == order_ids[::-1]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"order_id": 1}', "\x00"])
def test_a_snapshot_that_cannot_be_read_still_waits(inbox: Inbox, carts: Carts, redis: Redis, text: str) -> None:
    asked = accepted(inbox, carts)
    redis.hset(keys.accepted(asked.order_id), "snapshot", text)

    [waiting] = inbox.peek(10)

    assert waiting.checkout is None
    assert (waiting.order_id, waiting.session_id, waiting.accepted_at) == (asked.order_id, "ada", asked.accepted_at)
    assert inbox.find(asked.order_id, "ada") is None


def test_an_id_without_a_hash_waits_as_nobodys_and_can_be_settled(inbox: Inbox, redis: Redis) -> None:
    redis.zadd(keys.inbox(), {"lost": 1})

    [waiting] = inbox.peek(10)
    assert (waiting.session_id, waiting.checkout) == ("", None)

    inbox.settled([Settled("lost", "", "failed")])
    assert inbox.size() == 0
    assert not redis.exists(keys.cart(""))
    assert redis.ttl(keys.accepted("lost")) != -1


def test_some_can_be_skipped_to_reach_those_behind_them(inbox: Inbox, carts: Carts) -> None:
    order_ids = [accepted(inbox, carts, name).order_id for name in ("ada", "bob", "cyd", "dan")]

    found = inbox.peek(2, skip={order_ids[0], order_ids[2]})

    assert [waiting.order_id for waiting in found] == [order_ids[1], order_ids[3]]


def test_tries_are_counted(inbox: Inbox, carts: Carts) -> None:
    order_id = accepted(inbox, carts).order_id

    assert [inbox.count_try(order_id) for _ in range(3)] == [1, 2, 3]
    assert inbox.peek(1)[0].tries == 3


# ---------------------------------------------------------------- settled


def test_a_confirmed_checkout_leaves_only_its_snapshot_for_a_week(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    asked = accepted(inbox, carts)

    inbox.settled([Settled(asked.order_id, "ada", "confirmed")])

    assert inbox.size() == 0
    assert inbox.open_ids("ada") == []
    assert not redis.exists(keys.claimed_cart(asked.order_id))
    assert carts.get("ada").id is None
    assert inbox.find(asked.order_id, "ada") == Snapshot(asked, "confirmed")
    assert SNAPSHOT_SECONDS - 5 <= redis.ttl(keys.accepted(asked.order_id)) <= SNAPSHOT_SECONDS


def test_a_confirmed_checkout_is_still_the_last_one(inbox: Inbox, carts: Carts) -> None:
    asked = accepted(inbox, carts)

    inbox.settled([Settled(asked.order_id, "ada", "confirmed")])

    assert inbox.last_checked_out("ada") == asked.order_id


def test_a_failed_checkout_gives_the_cart_back_as_it_was(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    cart = filled(carts, "ada", MUG=2, CUP=1)
    asked = checkout("ada", cart)
    inbox.accept(asked)

    inbox.settled([Settled(asked.order_id, "ada", "failed")])

    back = carts.get("ada")
    assert back.lines == cart.lines
    assert back.id not in (None, cart.id)
    assert LIFETIME_SECONDS - 5 <= redis.ttl(keys.cart("ada")) <= LIFETIME_SECONDS
    assert not redis.exists(keys.claimed_cart(asked.order_id))
    assert inbox.last_checked_out("ada") is None
    assert inbox.find(asked.order_id, "ada").status == "failed"  # type: ignore[union-attr]


def test_a_cart_given_back_joins_the_one_begun_since(inbox: Inbox, carts: Carts) -> None:
    carts.add("ada", "MUG", 2, 1000, limit=9)
    cart = filled(carts, "ada", CUP=1)
    asked = checkout("ada", cart)
    inbox.accept(asked)
    carts.add("ada", "MUG", 3, 1200, limit=9)
    begun = filled(carts, "ada", JAR=1)

    inbox.settled([Settled(asked.order_id, "ada", "failed")])

    joined = carts.get("ada")
    assert held(carts, "ada") == {"MUG": 5, "CUP": 1, "JAR": 1}
    assert (joined.id, joined.version) == (begun.id, begun.version + 1)
    assert {line.product_id: line.price_when_added_minor for line in joined.lines}["MUG"] == 1200


def test_settling_twice_does_nothing_more(inbox: Inbox, carts: Carts) -> None:
    failed, confirmed = accepted(inbox, carts, "ada"), accepted(inbox, carts, "bob")
    ends = [Settled(failed.order_id, "ada", "failed"), Settled(confirmed.order_id, "bob", "confirmed")]

    inbox.settled(ends)
    back = carts.get("ada")
    inbox.settled(ends)

    assert carts.get("ada").lines == back.lines
    assert carts.get("ada").version == back.version
    assert carts.get("bob").id is None
    assert inbox.size() == 0


def test_settling_again_does_not_touch_a_cart_begun_since(inbox: Inbox, carts: Carts) -> None:
    failed = accepted(inbox, carts, "ada", MUG=2)
    inbox.settled([Settled(failed.order_id, "ada", "failed")])
    again = accepted(inbox, carts, "ada", CUP=1)

    inbox.settled([Settled(failed.order_id, "ada", "failed")])

    assert carts.get("ada").id is None
    assert inbox.last_checked_out("ada") == again.order_id
    assert [waiting.order_id for waiting in inbox.peek(10)] == [again.order_id]


def test_a_failed_checkout_does_not_forget_a_later_one(inbox: Inbox, carts: Carts) -> None:
    first = accepted(inbox, carts, "ada", MUG=2)
    second = accepted(inbox, carts, "ada", CUP=1)

    inbox.settled([Settled(first.order_id, "ada", "failed")])

    assert inbox.last_checked_out("ada") == second.order_id
    assert inbox.open_ids("ada") == [second.order_id]


def test_settling_nothing_is_harmless(inbox: Inbox, carts: Carts) -> None:
    accepted(inbox, carts)

    inbox.settled([])

    assert inbox.size() == 1


def test_settling_makes_what_was_cached_of_the_products_sold_look_old(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    asked = accepted(inbox, carts)
    cache, at = ProductCache(redis), 1_795_000_000_123
    mug, cup = Product("MUG", "SKU-1", "Mug", 1000, 3), Product("CUP", "SKU-2", "Cup", 1000, 3)
    cache.put([mug, cup], at)

    inbox.settled([Settled(asked.order_id, "ada", "confirmed")], ["MUG", "JAR"])

    found = cache.get(["MUG", "CUP", "JAR"])
    assert found["MUG"].product == mug
    assert found["MUG"].at < at - 1_000_000_000_000
    assert found["CUP"] == Cached(cup, at)
    assert "JAR" not in found
    assert not redis.exists(keys.product("JAR"))


def test_the_script_survives_a_server_that_forgot_it(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    asked = accepted(inbox, carts)
    redis.script_flush()

    inbox.settled([Settled(asked.order_id, "ada", "failed")])
    accepted(inbox, carts, "bob")

    assert held(carts, "ada") == {"MUG": 2}


# ---------------------------------------------------------------- too much


def fall_behind(inbox: Inbox, carts: Carts, redis: Redis, seconds: float = MAX_SECONDS + 1) -> Checkout:
    """A checkout with a key that was accepted so long ago and is not settled yet."""
    asked = accepted(inbox, carts, "zoe", "zoes-key")
    redis.zincrby(keys.inbox(), -seconds, asked.order_id)
    return asked


def test_nothing_new_is_accepted_while_the_oldest_has_waited_too_long(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    fall_behind(inbox, carts, redis)
    asked = checkout("ada", filled(carts, "ada", MUG=2), "a-key")
    before = set(redis.keys())

    answer = inbox.accept(asked)

    assert isinstance(answer, Busy)
    assert MAX_SECONDS < answer.oldest_age_seconds <= MAX_SECONDS + 5
    assert set(redis.keys()) == before
    assert held(carts, "ada") == {"MUG": 2}
    assert used_for(carts.get("ada", "a-key").used, "body") is None


def test_until_then_it_is(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    fall_behind(inbox, carts, redis, MAX_SECONDS - 10)

    accepted(inbox, carts)

    assert inbox.size() == 2


def test_what_is_known_is_answered_however_long_the_oldest_has_waited(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    first = fall_behind(inbox, carts, redis)
    old = filled(carts, "zoe", MUG=1)
    filled(carts, "zoe", MUG=1)

    assert isinstance(inbox.accept(first), Accepted)  # As redis-py sends it again.
    assert inbox.accept(checkout("zoe", old, "zoes-key")) == Replayed(first.order_id)
    assert inbox.accept(checkout("zoe", old, "zoes-key", "another body")) == Mismatch(first.order_id)
    assert inbox.accept(checkout("zoe", old)) == Changed()
    assert inbox.accept(checkout("ada", EMPTY)) == Empty(None)


def test_a_shard_that_is_behind_refuses_for_itself_alone(carts: Carts, redis: Redis) -> None:
    inbox = Inbox(redis, LIFETIME_SECONDS, shards=2)
    redis.zadd(keys.inbox(1), {"an-old-one": redis.time()[0] - MAX_SECONDS - 60})
    answers = {}
    for number in range(20):
        asked = checkout(f"shopper-{number}", filled(carts, f"shopper-{number}", MUG=1))
        answers.setdefault(shard_of(asked.order_id, 2), set()).add(type(inbox.accept(asked)))

    assert answers == {0: {Accepted}, 1: {Busy}}


def test_nothing_new_is_accepted_for_a_moment_after_the_server_was_nearly_full(
    inbox: Inbox, carts: Carts, redis: Redis
) -> None:
    first = accepted(inbox, carts, key="a-key")
    again = filled(carts, "ada", CUP=1)
    redis.set(keys.nearly_full(), "1", px=NEARLY_FULL_MS)

    assert inbox.is_nearly_full()
    assert inbox.accept(checkout("ada", again)) == Full()
    assert inbox.accept(checkout("ada", again, "a-key")) == Replayed(first.order_id)
    assert held(carts, "ada") == {"CUP": 1}

    redis.delete(keys.nearly_full())  # As when its time is over.
    assert isinstance(inbox.accept(checkout("ada", again)), Accepted)


def test_a_server_with_room_or_that_does_not_say_is_not_nearly_full(inbox: Inbox, redis: Redis) -> None:
    assert inbox.note_memory() is False
    assert not inbox.is_nearly_full()
    assert redis.keys() == []


# ---------------------------------------------------------------- the doorbell and the lease


def test_the_first_of_many_rings(inbox: Inbox, carts: Carts, redis: Redis) -> None:
    rings = []
    for name in ("ada", "bob", "cyd"):
        answer = inbox.accept(checkout(name, filled(carts, name, MUG=1)))
        rings.append(isinstance(answer, Accepted) and answer.ring)

    assert rings == [True, False, False]
    assert 0 < redis.pttl(keys.doorbell("checkout")) <= DOORBELL_MS


def test_whoever_comes_after_the_bell_was_answered_rings_again(inbox: Inbox) -> None:
    assert inbox.ring() is True
    assert inbox.ring() is False

    inbox.answer_doorbell()

    assert inbox.ring() is True


def test_each_queue_has_its_own_bell_and_lease(redis: Redis) -> None:
    checkout_queue, payments = Inbox(redis, 60), Inbox(redis, 60, "payments")

    assert checkout_queue.ring()
    assert payments.ring()
    assert checkout_queue.hold_lease("one")
    assert payments.hold_lease("two")


def test_a_lease_has_one_holder_who_can_prolong_it(inbox: Inbox, redis: Redis) -> None:
    assert inbox.hold_lease("one")
    redis.pexpire(keys.lease("checkout"), 60_000)

    assert not inbox.hold_lease("two")
    assert redis.pttl(keys.lease("checkout")) > LEASE_MS
    assert inbox.hold_lease("one")
    assert 0 < redis.pttl(keys.lease("checkout")) <= LEASE_MS


def test_a_lease_is_released_by_its_holder_only(inbox: Inbox) -> None:
    inbox.hold_lease("one")

    inbox.release_lease("two")
    assert not inbox.hold_lease("two")

    inbox.release_lease("one")
    inbox.release_lease("one")
    assert inbox.hold_lease("two")


def test_a_lease_that_ran_out_is_free(inbox: Inbox, redis: Redis) -> None:
    inbox.hold_lease("one")
    redis.delete(keys.lease("checkout"))  # As when its time is over.

    assert inbox.hold_lease("two")
    assert not inbox.hold_lease("one")
