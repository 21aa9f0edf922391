"""Nothing is sold twice and nothing a shopper chose is lost, in whatever order things happen."""

from __future__ import annotations

import random
from collections import Counter

from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from carts.inbox import Waiting
from db.models import OrderEventRow, OrderItemRow, OrderRow, ProductRow, StockMovementRow
from tasks.checkout import settle, settle_batch
from tests.carts.sample import at_once
from tests.harness import CHECKOUT_BODY, Shop
from tests.tasks.helpers import cart_of, numbers, sold


def quick_shopper(shop: Shop) -> FlaskClient:
    """A browser whose answers nobody checks: the API has its own tests."""
    return FlaskClient(shop.app, shop.app.response_class, use_cookies=True)


def settled(shop: Shop, batch: list[Waiting]) -> set[str]:
    """Settle a batch and tell the inbox, as a run does; answers the ids that threw."""
    done, threw = settle_batch(shop.runtime, batch)
    shop.runtime.inbox.settled(*done)
    return threw


def test_two_settles_of_the_same_batch_at_once_make_each_order_once(any_shop: Shop) -> None:
    any_shop.stocked(MUG=7, CUP=5)
    shoppers = [any_shop.shopper() for _ in range(10)]
    ids = [any_shop.checkout(shopper, MUG=1, CUP=1) for shopper in shoppers]
    batch = any_shop.runtime.inbox.peek(99)

    answers = at_once(2, lambda _: settled(any_shop, batch))

    assert answers == [set(), set()]
    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed"] * 5 + ["failed"] * 5
    assert (any_shop.stock("MUG"), any_shop.stock("CUP")) == (2, 0)
    assert numbers(any_shop) == [1001, 1002, 1003, 1004, 1005]
    assert [cart_of(shopper) for shopper in shoppers[5:]] == [{"MUG": 1, "CUP": 1}] * 5
    assert any_shop.runtime.inbox.size() == 0
    any_shop.books_close()


def test_two_settles_of_overlapping_batches_at_once_oversell_nothing(any_shop: Shop) -> None:
    any_shop.stocked(MUG=6)
    for _ in range(12):
        any_shop.checkout(MUG=1)
    waiting = any_shop.runtime.inbox.peek(99)
    parts = [waiting[:8], waiting[4:]]

    at_once(2, lambda number: settled(any_shop, parts[number]))

    assert any_shop.order_count() == 12
    assert sold(any_shop) == {"MUG": 6}
    any_shop.books_close()


def test_two_hundred_checkouts_in_a_random_order_close_the_books(any_shop: Shop) -> None:
    dice = random.Random(2026)
    any_shop.stocked(MUG=400, CUP=60, JAR=9)
    chosen: Counter[str] = Counter()
    shoppers = [quick_shopper(any_shop) for _ in range(20)]
    accepted = 0
    while accepted < 200:
        shopper = dice.choice(shoppers)
        product_id = dice.choice(("MUG", "MUG", "CUP", "JAR"))
        response = shopper.post("/api/cart/add", json={"product_id": product_id, "quantity": 1})
        chosen[product_id] += response.status_code == 200
        if dice.random() < 0.7 and shopper.post("/api/checkout", json=CHECKOUT_BODY).status_code == 202:
            accepted += 1
        elif dice.random() < 0.3:  # Refused, or had second thoughts.
            for item in cart_of(shopper).items():
                chosen[item[0]] -= item[1]
            shopper.delete("/api/cart/clear")
        if dice.random() < 0.05:
            settle()
    settle()

    kept = sum((Counter(cart_of(shopper)) for shopper in shoppers), Counter())
    assert Counter(sold(any_shop)) + kept == chosen
    assert any_shop.order_count() == 200
    assert numbers(any_shop) == list(range(1001, 1001 + len(numbers(any_shop))))
    any_shop.books_close()


# ---------------------------------------------------------------- against a model

PRODUCTS = ("MUG", "CUP")
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.sampled_from(PRODUCTS), st.integers(1, 3)),
        st.tuples(st.just("set"), st.integers(0, 2), st.sampled_from(PRODUCTS), st.integers(0, 3)),
        st.tuples(st.just("clear"), st.integers(0, 2)),
        st.tuples(st.just("checkout"), st.integers(0, 2)),
        st.tuples(st.just("settle")),
    ),
    max_size=25,
)


@given(actions=actions, stock=st.tuples(st.integers(0, 6), st.integers(0, 6)))
@settings(max_examples=25)
def test_every_unit_is_in_a_cart_or_in_one_order(shop: Shop, actions: list[tuple], stock: tuple[int, int]) -> None:
    _reset(shop)
    shelf = Counter(dict(zip(PRODUCTS, stock, strict=True)))
    shop.stocked(**shelf)
    shoppers = [quick_shopper(shop) for _ in range(3)]
    carts: list[Counter[str]] = [Counter() for _ in shoppers]
    waiting: list[tuple[int, str, Counter[str]]] = []
    orders: dict[str, str] = {}

    for action, *details in [*actions, ("settle",)]:
        if action == "settle":
            settle()
            for number, order_id, cart in waiting:
                fits = all(shelf[product_id] >= units for product_id, units in cart.items())
                orders[order_id] = "confirmed" if fits else "failed"
                (shelf if fits else carts[number]).update({p: -u if fits else u for p, u in cart.items()})
            waiting.clear()
        else:
            number = details[0]
            if accepted := _act(shoppers[number], carts[number], action, *details[1:]):
                waiting.append((number, accepted, Counter(carts[number])))
                carts[number].clear()

    assert {order_id: shop.order(order_id).status for order_id in orders} == orders
    assert shop.order_count() == len(orders)
    assert [Counter(cart_of(shopper)) for shopper in shoppers] == [+cart for cart in carts]
    assert {product_id: shop.stock(product_id) for product_id in PRODUCTS} == {**shelf}
    shop.books_close()


def _act(shopper: FlaskClient, cart: Counter[str], action: str, product_id: str = "", units: int = 0) -> str | None:
    """Do it, and in the model too where the shop did; the order's id when a checkout was accepted."""
    if action == "add":
        answer = shopper.post("/api/cart/add", json={"product_id": product_id, "quantity": units})
        cart[product_id] += units if answer.status_code == 200 else 0
    elif action == "set":
        answer = shopper.put("/api/cart/update", json={"item_id": product_id, "quantity": units})
        if answer.status_code == 200:
            cart[product_id] = units
    elif action == "clear":
        shopper.delete("/api/cart/clear")
        cart.clear()
    else:
        answer = shopper.post("/api/checkout", json=CHECKOUT_BODY)
        if answer.status_code == 202:
            order_id: str = answer.get_json()["id"]
            return order_id
    return None


def _reset(shop: Shop) -> None:
    """An empty shop again: Hypothesis runs many examples on one."""
    shop.redis.flushall()
    with shop.database.writing() as session:
        for table in (StockMovementRow, OrderEventRow, OrderItemRow, OrderRow, ProductRow):
            session.execute(delete(table))
        assert session.scalar(select(OrderRow.id)) is None
