"""The inbox in one shard and in four: nothing is lost or doubled, whoever settles what, whenever the number changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import create_app
from carts import keys
from carts.inbox import Inbox
from carts.shards import queue_of, shard_of
from carts.workers import Heartbeats
from db import orders, stock
from db.session import Database
from tasks import audit, checkout, runtime
from tasks.checkout import settle
from tasks.queues import checkout_queues
from tasks.upkeep import Upkeep
from tests.harness import SECRETS, UNLIMITED, Client, Shop
from tests.tasks.helpers import cart_of, numbers, timeline
from web.services import assemble
from web.settings import Settings


@pytest.fixture(params=[1, 4], ids=["one", "four"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return Settings(_env_file=None, var_dir=tmp_path, web_threads=8, settle_shards=request.param, **UNLIMITED)


of_four = pytest.mark.parametrize("settings", [4], indirect=True)
of_one = pytest.mark.parametrize("settings", [1], indirect=True)
on_postgresql = pytest.mark.parametrize(
    "any_shop", [pytest.param("valkey+postgresql", marks=pytest.mark.real)], indirect=True
)
"""Where two settlements can be under way at once."""


@pytest.fixture
def four(any_shop: Shop) -> Shop:
    """A shop of four shards, to be used with `of_four`."""
    assert any_shop.settings.settle_shards == 4
    return any_shop


def in_every_shard(shop: Shop, shards: int = 4, least: int = 1, **quantities: int) -> list[str]:
    """Accepted checkouts, at least so many in each shard."""
    ids: list[str] = []
    while min(sum(shard_of(i, shards) == shard for i in ids) for shard in range(shards)) < least:
        ids.append(shop.checkout(**quantities))
    return ids


def with_shards(shop: Shop, shards: int) -> None:
    """Start the web anew with another number of shards."""
    shop.settings = shop.settings.model_copy(update={"settle_shards": shards})
    stores = (shop.settings, shop.rules, shop.redis, shop.queue_redis, shop.database)
    shop.services = assemble(*stores, SECRETS, shop.clock, {"sandbox": shop.sandbox})
    shop.app = create_app(shop.services, shop.settings)
    shop.app.test_client_class = Client


def settle_shard(shop: Shop, shard: int, shards: int = 4) -> int:
    """One run of the worker of a shard."""
    _, own = shop.shard(shard, shards)
    runtime.start(own)
    return settle()


def keep_up(shop: Shop, shard: int, shards: int, *, lived_long: bool = True) -> Upkeep:
    """A round of the upkeep of a shard's worker."""
    _, own = shop.shard(shard, shards)
    upkeep = Upkeep(own, Heartbeats(shop.redis), queue_of(shard))
    if lived_long:
        upkeep._began_at -= 1000
    upkeep.round()
    return upkeep


def let_wait(shop: Shop, order_ids: list[str], seconds: float = 60) -> None:
    """As if they had been accepted a while ago."""
    for order_id in order_ids:
        for shard in range(16):
            if shop.redis.zscore(keys.inbox(shard), order_id) is not None:
                shop.redis.zincrby(keys.inbox(shard), -seconds, order_id)


def is_whole(shop: Shop, ids: list[str]) -> None:
    """Each of them became one order; the inbox is empty, the books close, and both stores agree."""
    assert shop.order_count() == len(ids)
    assert {shop.order(order_id).id for order_id in ids} == set(ids)
    assert numbers(shop) == list(range(1001, 1001 + len(numbers(shop))))
    assert shop.services.inbox.size() == 0
    shop.books_close()
    assert violations(shop) == []


def violations(shop: Shop) -> list[audit.Violation]:
    """All that `flask audit` finds."""
    found = list(audit.accepted(shop.services.inbox, shop.database, shop.clock()))
    for check in audit.CHECKS.values():
        with shop.database.reading() as session:
            found += check(session)
    return [finding for finding in found if isinstance(finding, audit.Violation)]


# ---------------------------------------------------------------- the pipeline


def test_checkouts_become_confirmed_orders(any_shop: Shop) -> None:
    any_shop.stocked(MUG=50)

    ids = [any_shop.checkout(MUG=2) for _ in range(12)]
    any_shop.work_until_idle()

    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed"] * 12
    assert any_shop.stock("MUG") == 26
    is_whole(any_shop, ids)


def test_the_last_units_are_sold_once_and_the_others_have_their_carts_back(any_shop: Shop) -> None:
    any_shop.stocked(MUG=5)
    shoppers = [any_shop.shopper() for _ in range(12)]

    ids = [any_shop.checkout(shopper, MUG=1) for shopper in shoppers]
    any_shop.work_until_idle()

    statuses = [any_shop.order(order_id).status for order_id in ids]
    assert sorted(statuses) == ["confirmed"] * 5 + ["failed"] * 7
    carts = [cart_of(shopper) for shopper in shoppers]
    assert carts == [{} if status == "confirmed" else {"MUG": 1} for status in statuses]
    assert any_shop.stock("MUG") == 0
    is_whole(any_shop, ids)


def test_paid_orders_end_whatever_their_shard(any_shop: Shop) -> None:
    any_shop.stocked(MUG=50)
    body = {"payment_method": "card", "payment_token": "tok_approve"}
    declined = {"payment_method": "card", "payment_token": "tok_decline_insufficient_funds"}

    ids = [any_shop.checkout(body=body if n % 2 else declined, MUG=1) for n in range(10)]
    any_shop.work_until_idle()

    assert [any_shop.order(order_id).status for order_id in ids] == ["failed", "confirmed"] * 5
    assert any_shop.stock("MUG") == 45
    is_whole(any_shop, ids)


def test_a_repeated_request_is_replayed_and_the_history_is_complete(any_shop: Shop) -> None:
    any_shop.stocked(MUG=50)
    shopper = any_shop.shopper()
    ids = [any_shop.checkout(shopper, MUG=1) for _ in range(6)]

    before = [order["id"] for order in shopper.get("/api/orders").get_json()["items"]]
    any_shop.work_until_idle()
    after = [order["id"] for order in shopper.get("/api/orders").get_json()["items"]]

    assert before == after == ids[::-1]
    is_whole(any_shop, ids)


# ---------------------------------------------------------------- each worker its own


@of_four
def test_a_checkout_rings_the_worker_of_its_shard_and_nobody_else(four: Shop) -> None:
    four.stocked(MUG=50)

    order_id = four.checkout(MUG=1)

    own = shard_of(order_id, 4)
    assert [four.shard(shard)[0].count for shard in range(4)] == [int(shard == own) for shard in range(4)]
    assert [four.shard(shard)[1].inbox.size() for shard in range(4)] == [int(shard == own) for shard in range(4)]


@of_four
def test_a_worker_settles_its_own_shard_only(four: Shop) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)

    settled = settle_shard(four, 2)

    assert settled == sum(shard_of(order_id, 4) == 2 for order_id in ids) == four.order_count()
    assert four.services.inbox.size() == len(ids) - settled


@of_four
def test_a_worker_that_dies_holds_up_nobody_else(four: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)
    with monkeypatch.context() as dies:
        dies.setattr(Inbox, "settled", died)
        with pytest.raises(Died):
            settle_shard(four, 1)

    others = [settle_shard(four, shard) for shard in (0, 2, 3)]

    assert sum(others) == sum(shard_of(order_id, 4) != 1 for order_id in ids)
    four.redis.delete(keys.lease("checkout-1"))
    settle_shard(four, 1)
    is_whole(four, ids)


class Died(BaseException):
    """SIGKILL, as far as the rest of the world can tell."""


def died(*_: object, **__: object) -> None:
    raise Died


@of_four
def test_readiness_names_every_worker_and_sees_every_shard(four: Shop) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)
    hearts = Heartbeats(four.redis)
    for queue in (*checkout_queues(4), "payments"):
        hearts.beat(queue, "somebody", four.clock() / 1000)
    assert four.shopper().get("/readyz").status_code == 200

    let_wait(four, [order_id for order_id in ids if shard_of(order_id, 4) == 3])
    hearts.leave("checkout-2", "somebody")
    answer = four.shopper().get("/readyz")

    checks = answer.get_json()["checks"]
    assert answer.status_code == 503
    assert checks["redis"]["detail"] == f"answers; {len(ids)} checkouts wait"
    bad = {name for name, check in checks.items() if not check["ok"]}
    assert bad == {"inbox", "worker:checkout-2"}


# ---------------------------------------------------------------- two decide at once


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen once, after a settlement has looked at the products and before it holds them."""

    def arrange(happens: Callable[[], object]) -> None:
        decide, waits = checkout.decide, [happens]

        def deciding(*args: Any) -> Any:
            decided = decide(*args)
            if waits:
                waits.pop()()
            return decided

        monkeypatch.setattr(checkout, "decide", deciding)

    return arrange


@of_four
@on_postgresql
def test_two_shards_that_decide_about_the_last_unit_at_once_sell_it_once(four: Shop, between: Any) -> None:
    four.stocked(MUG=1, CUP=100)
    [first, second] = two_shards(four)
    between(lambda: settle_shard(four, 1))

    settle_shard(four, 0)

    assert (four.order(first).status, four.order(second).status) == ("failed", "confirmed")
    assert (four.stock("MUG"), four.stock("CUP")) == (0, 99)
    assert timeline(four, first) == ["accepted", "failed"]
    is_whole(four, [first, second])


def two_shards(shop: Shop) -> list[str]:
    """Two checkouts that want the same, in shards 0 and 1."""
    wanted = {"MUG": 1, "CUP": 1}
    found: dict[int, str] = {}
    while not {0, 1} <= found.keys():
        shopper = shop.shopper()
        for product_id, quantity in wanted.items():
            shopper.post("/api/cart/add", json={"product_id": product_id, "quantity": quantity})
        order_id = shop.checkout(shopper)
        shard = shard_of(order_id, 4)
        if shard in (0, 1) and shard not in found:
            found[shard] = order_id
        else:  # As if it had never been.
            shop.redis.zrem(keys.inbox(shard), order_id)
            shop.redis.delete(keys.accepted(order_id), keys.claimed_cart(order_id))
    return [found[0], found[1]]


@of_four
@on_postgresql
def test_two_shards_that_want_the_same_of_plenty_both_have_it(four: Shop, between: Any) -> None:
    four.stocked(MUG=2, CUP=100)
    ids = two_shards(four)
    between(lambda: settle_shard(four, 1))

    settle_shard(four, 0)

    assert [four.order(order_id).status for order_id in ids] == ["confirmed", "confirmed"]
    assert [four.order(order_id).number for order_id in ids] == [1002, 1001]
    assert (four.stock("MUG"), four.stock("CUP")) == (0, 98)
    is_whole(four, ids)


@of_four
@on_postgresql
@pytest.mark.parametrize(
    ("change", "code"), [({"price_minor": 1500}, "price_changed"), ({"is_active": False}, "product_unavailable")]
)
def test_a_product_that_the_merchant_changes_while_it_is_decided_on_is_decided_on_again(
    four: Shop, between: Any, change: dict[str, Any], code: str
) -> None:
    four.stocked(MUG=5, CUP=100)
    first, second = two_shards(four)
    four.redis.zrem(keys.inbox(1), second)
    four.redis.delete(keys.accepted(second), keys.claimed_cart(second))
    between(lambda: four.change("MUG", **change))

    settle_shard(four, 0)

    order = four.order(first)
    assert (order.status, order.failure_code) == ("failed", code)
    assert (four.stock("MUG"), four.stock("CUP")) == (5, 100)
    is_whole(four, [first])


@of_four
@on_postgresql
def test_the_ledger_is_in_the_order_in_which_the_stock_moved(four: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    four.stocked(MUG=3)
    in_every_shard(four, MUG=1)
    hold = orders._hold

    def holding_late(*args: Any) -> None:
        monkeypatch.undo()
        with four.database.writing() as session:
            assert stock.move(session, "MUG", 5, stock.Note("received", four.clock()))
        hold(*args)

    monkeypatch.setattr(orders, "_hold", holding_late)
    settle_shard(four, 0)

    with four.database.reading() as session:
        ledger = [(movement.kind, left) for movement, left in stock.movements(session, "MUG", limit=10)]
    assert ledger[-2:] == [("received", 8), ("opening", 3)]
    assert {kind for kind, _ in ledger[:-2]} == {"sold"}
    four.books_close()


@of_four
@on_postgresql
def test_a_checkout_that_two_workers_settle_at_once_becomes_one_order(four: Shop, between: Any) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)
    mine = [order_id for order_id in ids if shard_of(order_id, 4) == 0]
    _, own = four.shard(0)
    _, other = four.shard(1)
    between(lambda: adopted_and_settled(four, own, other))

    settle_shard(four, 0)
    for shard in (1, 2, 3):
        settle_shard(four, shard)

    assert [timeline(four, order_id) for order_id in mine] == [["accepted", "stock_taken", "confirmed"]] * len(mine)
    assert four.stock("MUG") == 50 - len(ids)
    is_whole(four, ids)


def adopted_and_settled(shop: Shop, own: Any, other: Any) -> None:
    """Another shard's worker takes our lease for lost, adopts our inbox, and is quicker."""
    let_wait(shop, [waiting.order_id for waiting in own.inbox.peek(100)])
    shop.redis.delete(keys.lease("checkout"))
    assert other.inbox.adopt() > 0
    runtime.start(other)
    settle()
    runtime.start(own)


# ---------------------------------------------------------------- the number changes


@of_one
@pytest.mark.parametrize(("before", "after"), [(4, 1), (4, 2), (1, 4), (2, 4), (16, 3)])
def test_the_number_may_change_while_checkouts_are_under_way(any_shop: Shop, before: int, after: int) -> None:
    any_shop.stocked(MUG=500)
    with_shards(any_shop, before)
    ids = [any_shop.checkout(MUG=1) for _ in range(20)]
    for shard in range(0, before, 2):  # Some workers were quick, and have stopped.
        settle_shard(any_shop, shard, before)
    ids += [any_shop.checkout(MUG=1) for _ in range(10)]
    let_wait(any_shop, ids)

    old_web = any_shop.services
    with_shards(any_shop, after)
    new_web = any_shop.services
    for services in (old_web, new_web, old_web):  # Some web processes still have the old number.
        any_shop.services = services
        any_shop.app = create_app(services, any_shop.settings)
        any_shop.app.test_client_class = Client
        ids += [any_shop.checkout(MUG=1) for _ in range(10)]
    let_wait(any_shop, ids)
    for shard in range(after):
        keep_up(any_shop, shard, after, lived_long=False)
    for shard in range(after):
        settle_shard(any_shop, shard, after)

    assert any_shop.stock("MUG") == 500 - len(ids)
    is_whole(any_shop, ids)


@of_four
def test_an_adoption_that_is_killed_half_way_is_finished_by_whoever_is_left(
    four: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)
    let_wait(four, ids)
    _, doomed = four.shard(0, 1)
    adopt, calls = doomed.inbox._adopt, []

    def dies_after_one(**arguments: Any) -> Any:
        if calls:
            raise Died
        calls.append(adopt(**arguments))
        return calls[0]

    monkeypatch.setattr(doomed.inbox, "_adopt", dies_after_one)
    with pytest.raises(Died):
        doomed.inbox.adopt()
    assert calls[0] > 0
    assert four.services.inbox.size() == len(ids)

    keep_up(four, 0, 1)
    settle_shard(four, 0, 1)

    is_whole(four, ids)


@of_four
def test_the_shards_of_a_lost_machine_are_taken_over(four: Shop) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)
    let_wait(four, ids)
    store_seconds = float(four.redis.time()[0])  # type: ignore[index]
    for queue in ("checkout", "checkout-1"):
        Heartbeats(four.redis).beat(queue, "alive", store_seconds)

    keep_up(four, 1, 4)
    settled = settle_shard(four, 1)

    assert settled == sum(shard_of(order_id, 4) != 0 for order_id in ids)
    settle_shard(four, 0)
    is_whole(four, ids)


@of_four
def test_a_reconciled_checkout_waits_where_somebody_serves(four: Shop) -> None:
    four.stocked(MUG=50)
    ids = in_every_shard(four, MUG=1)
    four.work_until_idle()
    lose_every_order(four.database)
    assert four.order_count() == 0

    put_back = list(audit.reconcile(four.services.inbox, four.database))

    assert sorted(put_back) == [(order_id, True) for order_id in sorted(ids)]
    for shard in range(4):
        settle_shard(four, shard)
    assert {four.order(order_id).status for order_id in ids} == {"confirmed"}
    assert four.services.inbox.size() == 0


def lose_every_order(database: Database) -> None:
    """As when an older copy of the database was restored."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM stock_movements WHERE order_id IS NOT NULL")
        for table in ("order_events", "order_items", "orders"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
