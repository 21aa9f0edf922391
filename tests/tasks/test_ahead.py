"""Under load the inbox is told and asked ahead, while a batch is written; nothing depends on the answer."""

from dataclasses import replace

import pytest

from carts.inbox import Inbox, Waiting
from shop.errors import Unavailable
from tasks import runtime
from tasks.checkout import settle
from tests.harness import Shop
from tests.tasks.helpers import cart_of


@pytest.fixture
def busy_shop(any_shop: Shop) -> Shop:
    """A shop that settles two checkouts at a time, and has seven waiting; two of them want too much."""
    any_shop.stocked(MUG=5)
    any_shop.runtime = replace(any_shop.runtime, settle_batch=2)
    runtime.start(any_shop.runtime)
    return any_shop


def seven(shop: Shop) -> list[str]:
    return [shop.checkout(MUG=1) for _ in range(7)]


def all_is_settled(shop: Shop, ids: list[str]) -> bool:
    assert [shop.order(order_id).status for order_id in ids] == ["confirmed"] * 5 + ["failed"] * 2
    assert shop.order_count() == 7
    assert shop.stock("MUG") == 0
    assert shop.runtime.inbox.size() == 0
    shop.books_close()
    return True


def test_full_batches_are_settled_one_after_the_other(busy_shop: Shop) -> None:
    ids = seven(busy_shop)

    assert settle() == 7

    assert all_is_settled(busy_shop, ids)


def test_failed_checkouts_of_full_batches_give_their_carts_back(busy_shop: Shop) -> None:
    shoppers = [busy_shop.shopper() for _ in range(8)]
    for shopper in shoppers:
        busy_shop.checkout(shopper, MUG=1)

    settle()

    assert [cart_of(shopper) for shopper in shoppers] == [{}] * 5 + [{"MUG": 1}] * 3


def test_a_server_that_forgot_the_scripts_is_asked_the_plain_way(
    busy_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = seven(busy_shop)
    monkeypatch.setattr(busy_shop.runtime.inbox, "load_scripts", busy_shop.redis.script_flush)

    assert settle() == 7

    assert all_is_settled(busy_shop, ids)


def test_a_connection_that_breaks_under_way_costs_time_only(busy_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = seven(busy_shop)
    ahead = Inbox.ahead

    def broken(self: Inbox, sent: object) -> list[Waiting]:
        sent._connection.disconnect()  # type: ignore[attr-defined]
        return ahead(self, sent)  # type: ignore[arg-type]

    with monkeypatch.context() as breaks:
        breaks.setattr(Inbox, "ahead", broken)
        with pytest.raises(Unavailable):
            settle()
    settle()

    assert all_is_settled(busy_shop, ids)


def test_a_worker_that_loses_its_lease_under_way_leaves_the_rest_to_the_other(
    busy_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = seven(busy_shop)
    look_ahead = Inbox.look_ahead

    def robbed(self: Inbox, *args: object) -> object:
        busy_shop.redis.set("lease:checkout", "another-worker", px=50)
        return look_ahead(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as robs:
        robs.setattr(Inbox, "look_ahead", robbed)
        assert settle() == 2
    assert busy_shop.runtime.inbox.size() == 5
    busy_shop.redis.delete("lease:checkout")
    settle()

    assert all_is_settled(busy_shop, ids)


def test_a_cleaning_that_the_server_refuses_for_one_order_is_done_for_the_others(busy_shop: Shop) -> None:
    ids = seven(busy_shop)
    busy_shop.redis.delete(f"accepted:{ids[0]}:cart")
    session_id = busy_shop.redis.hget(f"accepted:{ids[0]}", "session_id")
    busy_shop.redis.delete(f"open:{session_id}")
    busy_shop.redis.set(f"open:{session_id}", "not a sorted set")

    settle()

    assert [w.order_id for w in busy_shop.runtime.inbox.peek(9)] == [ids[0]]
    assert busy_shop.order(ids[0]).status == "confirmed"
    busy_shop.redis.delete(f"open:{session_id}")
    settle()
    assert all_is_settled(busy_shop, ids)
