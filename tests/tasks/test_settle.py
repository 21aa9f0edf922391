"""Settling may run twice, be killed anywhere and meet anything: every checkout ends once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from carts import keys
from carts.inbox import Inbox, Settled
from shop.errors import Unavailable
from tasks import checkout as checkout_job
from tasks import failpoints, runtime
from tasks.checkout import MOST_TRIES, settle
from tests.harness import CHECKOUT_BODY, Shop
from tests.servers import until
from tests.tasks.crashes import Killed, Nth, die
from tests.tasks.helpers import (
    cart_of,
    change_snapshot,
    numbers,
    session_of,
    sold,
    spoil_snapshot,
    sql_away,
    timeline,
)

# ---------------------------------------------------------------- once


def test_settling_again_does_nothing(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = any_shop.checkout(MUG=2)

    assert [settle(), settle()] == [1, 0]

    assert any_shop.order(order_id).status == "confirmed"
    assert any_shop.stock("MUG") == 1
    any_shop.books_close()


def test_nothing_waits_in_a_quiet_shop(any_shop: Shop) -> None:
    assert settle() == 0


def test_a_worker_that_has_just_worked_stays_awake_for_whoever_comes_next(real_shop: Shop) -> None:
    real_shop.stocked(MUG=3)
    first = real_shop.checkout(MUG=1)
    runtime.start(replace(real_shop.runtime, awake_seconds=3.0))

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(settle)
        until(lambda: real_shop.order_count() == 1, 10, "the first order")
        second = real_shop.checkout(MUG=1)
        settled = run.result()

    assert settled == 2
    assert [real_shop.order(order_id).status for order_id in (first, second)] == ["confirmed", "confirmed"]


class DyingInbox(Inbox):
    """An inbox whose worker dies after the commit, before it can say so."""

    def settled(self, *args: Any, **kwargs: Any) -> None:
        raise Killed


def die_after_commit(shop: Shop) -> None:
    lifetime = shop.rules.cart.lifetime_seconds
    runtime.start(replace(shop.runtime, inbox=DyingInbox(shop.redis, lifetime)))
    with pytest.raises(Killed):
        settle()
    runtime.start(shop.runtime)


def test_a_worker_killed_before_the_commit_leaves_all_to_the_next(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = any_shop.checkout(MUG=2)
    failpoints.arm("settle.writing", Nth(1, die))

    try:
        with pytest.raises(Killed):
            settle()
    finally:
        failpoints.disarm()
    assert any_shop.order_count() == 0
    assert any_shop.stock("MUG") == 3

    assert settle() == 1
    assert any_shop.order(order_id).status == "confirmed"
    any_shop.books_close()


def test_a_worker_killed_after_the_commit_is_only_cleaned_up_after(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    lucky, late = any_shop.shopper(), any_shop.shopper()
    ids = [any_shop.checkout(shopper, MUG=1) for shopper in (lucky, late)]

    die_after_commit(any_shop)
    assert any_shop.order_count() == 2
    assert cart_of(late) == {}
    before = [any_shop.order(order_id).updated_at for order_id in ids]
    any_shop.clock.forward(1)
    assert settle() == 2

    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed", "failed"]
    assert [any_shop.order(order_id).updated_at for order_id in ids] == before
    assert any_shop.order_count() == 2
    assert (cart_of(lucky), cart_of(late)) == ({}, {"MUG": 1})
    any_shop.books_close()
    assert settle() == 0
    assert cart_of(late) == {"MUG": 1}


def test_a_cart_is_given_back_once_however_often_the_cleaning_is_repeated(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=1)
    any_shop.change("MUG", stock_quantity=0)

    settle()
    for _ in range(2):
        any_shop.runtime.inbox.settled([Settled(order_id, session_of(any_shop, order_id), "failed")])

    assert cart_of(shopper) == {"MUG": 1}


# ---------------------------------------------------------------- decided late


def test_a_price_that_fell_is_passed_on(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    order_id = any_shop.checkout(MUG=2)
    any_shop.change("MUG", price_minor=900)

    settle()

    order = any_shop.order(order_id)
    assert (order.status, order.subtotal_minor) == ("confirmed", 1800)
    any_shop.books_close()


def test_a_price_that_rose_fails_and_gives_the_cart_back(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=2)
    any_shop.change("MUG", price_minor=1001)

    settle()

    order = any_shop.order(order_id)
    assert (order.status, order.failure["code"], order.number) == ("failed", "price_changed", None)
    assert order.subtotal_minor == 2000
    assert cart_of(shopper) == {"MUG": 2}
    assert any_shop.stock("MUG") == 3
    assert timeline(any_shop, order_id) == ["accepted", "failed"]


def test_products_that_are_gone_or_short_fail_with_all_reasons(any_shop: Shop) -> None:
    for product_id in ("MUG", "CUP", "JAR", "PEN"):
        any_shop.stocked(**{product_id: 5})
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=2, CUP=2, JAR=2, PEN=1)
    any_shop.change("MUG", stock_quantity=1)
    any_shop.change("CUP", is_active=False)
    any_shop.change("JAR", stock_quantity=0)

    settle()

    failure = any_shop.order(order_id).failure
    assert failure["code"] == "insufficient_stock"
    assert [(item["product_id"], item["code"], item["available"]) for item in failure["items"]] == [
        ("MUG", "insufficient_stock", 1),
        ("CUP", "product_unavailable", 0),
        ("JAR", "out_of_stock", 0),
    ]
    assert cart_of(shopper) == {"MUG": 2, "CUP": 2, "JAR": 2, "PEN": 1}
    assert any_shop.stock("PEN") == 5


def test_a_product_that_was_deleted_fails_the_checkout(any_shop: Shop) -> None:
    any_shop.stocked(MUG=5)
    order_id = any_shop.checkout(MUG=1)
    snapshot = any_shop.runtime.inbox.peek(1)[0].checkout
    assert snapshot is not None
    [line] = snapshot.quote.lines
    change_snapshot(any_shop, order_id, quote=replace(snapshot.quote, lines=(replace(line, product_id="GONE"),)))

    settle()

    order = any_shop.order(order_id)
    assert (order.status, order.failure["code"]) == ("failed", "product_unavailable")
    any_shop.books_close()


def test_first_come_is_first_served_within_a_batch(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    ids = [any_shop.checkout(MUG=units) for units in (2, 2, 1)]

    settle()

    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed", "failed", "confirmed"]
    assert numbers(any_shop) == [1001, 1002]
    assert any_shop.stock("MUG") == 0


# ---------------------------------------------------------------- a store restored from an older copy


def test_a_cart_that_a_restored_redis_accepts_again_makes_no_second_order(any_shop: Shop) -> None:
    any_shop.stocked(MUG=5)
    shopper = any_shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "MUG", "quantity": 2})
    session_id = any_shop.redis.keys("cart:*")[0].removeprefix("cart:")
    copy = any_shop.redis.hgetall(keys.cart(session_id))
    first = any_shop.checkout(shopper)
    settle()

    any_shop.redis.hset(keys.cart(session_id), mapping=copy)
    second = any_shop.checkout(shopper)
    assert settle() == 1

    order = any_shop.order(second)
    assert (order.status, order.failure["code"]) == ("failed", "already_checked_out")
    assert first in order.failure["message"]
    assert any_shop.stock("MUG") == 3
    assert cart_of(shopper) == {"MUG": 2}
    any_shop.books_close()


def test_a_key_that_a_restored_redis_forgot_makes_no_second_order(any_shop: Shop) -> None:
    any_shop.stocked(MUG=5)
    shopper = any_shop.shopper()
    ids = []
    for _ in range(2):
        shopper.post("/api/cart/add", json={"product_id": "MUG", "quantity": 1})
        response = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers={"Idempotency-Key": "a-key"})
        ids.append(response.get_json()["id"])
        settle()
        any_shop.redis.delete(*any_shop.redis.keys("idempotency:*"))

    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed", "failed"]
    assert any_shop.order(ids[1]).failure["code"] == "already_checked_out"
    assert any_shop.stock("MUG") == 4


def test_two_checkouts_of_one_cart_in_one_batch_make_one_order(any_shop: Shop) -> None:
    any_shop.stocked(MUG=5)
    first, second = any_shop.checkout(MUG=1), any_shop.checkout(MUG=1)
    snapshot = any_shop.runtime.inbox.peek(1)[0].checkout
    assert snapshot is not None
    change_snapshot(any_shop, second, cart_id=snapshot.cart_id)

    settle()

    assert [any_shop.order(order_id).status for order_id in (first, second)] == ["confirmed", "failed"]
    assert any_shop.stock("MUG") == 4
    any_shop.books_close()


# ---------------------------------------------------------------- poison


def settle_until_given_up(shop: Shop) -> None:
    for _ in range(MOST_TRIES):
        assert shop.runtime.inbox.size() > 0
        settle()


@pytest.mark.parametrize("poison", ["unreadable", "unwritable"])
def test_a_poisoned_checkout_holds_up_nobody_and_ends_after_five_tries(any_shop: Shop, poison: str) -> None:
    any_shop.stocked(MUG=9)
    shopper = any_shop.shopper()
    before = any_shop.checkout(MUG=1)
    order_id = any_shop.checkout(shopper, MUG=2)
    after = any_shop.checkout(MUG=1)
    if poison == "unreadable":
        spoil_snapshot(any_shop, order_id)
    else:
        change_snapshot(any_shop, order_id, cart_version=2**63)

    assert settle() == 2
    assert [any_shop.order(i).status for i in (before, after)] == ["confirmed", "confirmed"]
    assert [waiting.order_id for waiting in any_shop.runtime.inbox.peek(9)] == [order_id]
    for _ in range(MOST_TRIES - 1):
        assert any_shop.runtime.inbox.size() == 1
        settle()

    order = any_shop.order(order_id)
    assert (order.status, order.failure["code"], order.failure["retryable"]) == ("failed", "internal_error", True)
    assert order.session_id == session_of(any_shop, order_id)
    assert any_shop.runtime.inbox.size() == 0
    assert cart_of(shopper) == {"MUG": 2}
    assert any_shop.stock("MUG") == 7
    assert numbers(any_shop) == [1001, 1002]
    any_shop.books_close()


def test_a_poisoned_checkout_keeps_what_is_known_of_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stocked(MUG=9)
    order_id = shop.checkout(MUG=2)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(checkout_job, "decide", broken)
    settle_until_given_up(shop)

    order = shop.order(order_id)
    assert (order.failure["code"], order.email, order.subtotal_minor) == ("internal_error", "ada@example.com", 2000)


def test_what_sql_takes_in_no_form_stays_in_the_inbox_until_it_does(
    any_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    any_shop.stocked(MUG=9)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=2)

    def refused(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as away:
        away.setattr(checkout_job.orders, "write", refused)
        for _ in range(MOST_TRIES + 2):
            settle()

    assert any_shop.runtime.inbox.size() == 1
    assert cart_of(shopper) == {}
    settle()
    assert any_shop.order(order_id).status == "confirmed"
    assert any_shop.runtime.inbox.size() == 0


def test_an_order_that_stands_is_never_given_up(any_shop: Shop) -> None:
    """Committed, and then the cleaning threw five times: the order is what SQL says."""
    any_shop.stocked(MUG=9)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=2)

    class Clumsy(Inbox):
        throws = 2 * MOST_TRIES

        def settled(self, *args: Any, **kwargs: Any) -> None:
            self.throws -= 1
            if self.throws >= 0:
                raise ValueError("not today")
            super().settled(*args, **kwargs)

    clumsy = Clumsy(any_shop.redis, any_shop.rules.cart.lifetime_seconds)
    runtime.start(replace(any_shop.runtime, inbox=clumsy))
    for _ in range(MOST_TRIES):
        settle()
        assert any_shop.order(order_id).status == "confirmed"
        assert any_shop.runtime.inbox.size() == 1
    settle()

    assert any_shop.order(order_id).status == "confirmed"
    assert any_shop.runtime.inbox.size() == 0
    assert cart_of(shopper) == {}
    snapshot = any_shop.runtime.inbox.find(order_id, session_of(any_shop, order_id))
    assert snapshot is not None
    assert snapshot.status == "confirmed"


def test_an_id_without_a_checkout_behind_it_leaves_in_the_end(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9)
    order_id = any_shop.checkout(MUG=1)
    any_shop.redis.zadd(keys.inbox(), {"nobodys": 1})

    for _ in range(MOST_TRIES):
        settle()

    assert any_shop.order(order_id).status == "confirmed"
    assert any_shop.runtime.inbox.size() == 0


# ---------------------------------------------------------------- stores away


def test_with_sql_away_nothing_is_lost_and_all_is_settled_later(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    lucky, late = any_shop.shopper(), any_shop.shopper()
    ids = [any_shop.checkout(shopper, MUG=1) for shopper in (lucky, late)]

    with sql_away(any_shop):
        for _ in range(MOST_TRIES + 1):
            with pytest.raises(Unavailable):
                settle()
    assert [(w.order_id, w.tries) for w in any_shop.runtime.inbox.peek(9)] == [(i, 0) for i in ids]
    settle()

    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed", "failed"]
    assert cart_of(late) == {"MUG": 1}
    any_shop.books_close()


def test_sql_that_goes_away_while_one_is_settled_alone_is_nobodys_fault(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.stocked(MUG=9)
    ids = [shop.checkout(MUG=1) for _ in range(2)]
    spoil_snapshot(shop, ids[1])
    alone = checkout_job._settled_alone

    def then_away(*arguments: Any) -> bool:
        with sql_away(shop):
            return alone(*arguments)

    with monkeypatch.context() as away:
        away.setattr(checkout_job, "_settled_alone", then_away)
        with pytest.raises(Unavailable):
            settle()

    assert [waiting.tries for waiting in shop.runtime.inbox.peek(9)] == [0, 0]
    settle_until_given_up(shop)
    assert [shop.order(order_id).status for order_id in ids] == ["confirmed", "failed"]


def test_sql_that_goes_away_while_one_is_given_up_is_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stocked(MUG=9)
    order_id = shop.checkout(MUG=1)
    spoil_snapshot(shop, order_id)

    def away(*_: object) -> None:
        raise Unavailable("The order store is away for a moment.")

    with monkeypatch.context() as gone:
        gone.setattr(checkout_job.orders, "write", away)
        for _ in range(MOST_TRIES - 1):
            settle()
        with pytest.raises(Unavailable):
            settle()

    assert shop.runtime.inbox.size() == 1
    settle()
    assert shop.order(order_id).failure["code"] == "internal_error"


def test_with_redis_away_nothing_is_settled(shop: Shop) -> None:
    shop.stocked(MUG=1)
    shop.checkout(MUG=1)
    server = shop.redis.connection_pool.connection_kwargs["server"]

    server.connected = False
    with pytest.raises(Unavailable):
        settle()
    server.connected = True

    assert settle() == 1


# ---------------------------------------------------------------- batches and leases


def test_a_queue_longer_than_a_batch_is_settled_to_its_end(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9)
    ids = [any_shop.checkout(MUG=1) for _ in range(7)]
    runtime.start(replace(any_shop.runtime, settle_batch=3))

    assert settle() == 7

    assert [any_shop.order(order_id).number for order_id in ids] == list(range(1001, 1008))


def test_poison_at_the_head_does_not_block_batches_of_one(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9)
    ids = [any_shop.checkout(MUG=1) for _ in range(4)]
    for order_id in ids[:2]:
        spoil_snapshot(any_shop, order_id)
    runtime.start(replace(any_shop.runtime, settle_batch=1))

    assert settle() == 2

    assert [any_shop.order(order_id).status for order_id in ids[2:]] == ["confirmed", "confirmed"]


def test_a_run_that_takes_long_rings_for_the_next_one(any_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    any_shop.stocked(MUG=9)
    for _ in range(3):
        any_shop.checkout(MUG=1)
    any_shop.queue.empty()
    runtime.start(replace(any_shop.runtime, settle_batch=1))
    monkeypatch.setattr(checkout_job, "LONGEST_RUN_SECONDS", -1.0)

    assert settle() == 1
    assert any_shop.queue.count == 1
    assert any_shop.runtime.inbox.size() == 2

    any_shop.work_until_idle()
    assert any_shop.runtime.inbox.size() == 0


def test_another_workers_lease_is_respected_and_ones_own_released(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9)
    any_shop.checkout(MUG=1)
    inbox = any_shop.runtime.inbox
    inbox.hold_lease("another-worker")

    assert settle() == 0
    assert not inbox.hold_lease("test-worker")

    inbox.release_lease("another-worker")
    assert settle() == 1
    assert inbox.hold_lease("another-worker")


def test_settling_answers_the_doorbell_first(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9)
    any_shop.checkout(MUG=1)
    assert not any_shop.runtime.inbox.ring()

    settle()

    assert any_shop.runtime.inbox.ring()


def test_whoever_is_accepted_while_a_run_ends_rings_for_another(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9)
    any_shop.checkout(MUG=1)
    any_shop.queue.empty()
    failpoints.arm("settle.releasing", Nth(1, lambda: any_shop.checkout(MUG=1)))

    try:
        settle()
    finally:
        failpoints.disarm()

    assert any_shop.runtime.inbox.size() == 1
    assert any_shop.queue.count == 1


def test_what_was_sold_is_forgotten_by_the_catalogues_cache(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9, CUP=9)
    any_shop.checkout(MUG=1)
    shopper = any_shop.shopper()
    shopper.post("/api/cart/add", json={"product_id": "CUP", "quantity": 1})

    settle()

    assert any_shop.services.catalogue.require("MUG").stock_quantity == 8
    assert not sold(any_shop).get("CUP")


def test_a_process_that_was_not_set_up_says_so(shop: Shop) -> None:
    runtime._current.clear()

    with pytest.raises(RuntimeError, match=r"tasks\.runtime\.start"):
        settle()
