"""From a cart to a confirmed order, on every pair of stores."""

from tests.harness import Shop


def test_a_checkout_becomes_one_confirmed_order(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)

    order_id = any_shop.checkout(MUG=2)
    any_shop.work_until_idle()

    order = any_shop.order(order_id)
    assert order.status == "confirmed"
    assert order.number == 1001
    assert any_shop.stock("MUG") == 1
    any_shop.books_close()


def test_the_last_unit_is_sold_once(any_shop: Shop) -> None:
    any_shop.stocked(MUG=1)
    first, second = any_shop.shopper(), any_shop.shopper()
    ids = [any_shop.checkout(shopper, MUG=1) for shopper in (first, second)]

    any_shop.work_until_idle()

    assert [any_shop.order(order_id).status for order_id in ids] == ["confirmed", "failed"]
    assert any_shop.stock("MUG") == 0
    assert second.get("/api/cart").get_json()["items"][0]["quantity"] == 1
    assert first.get("/api/cart").get_json()["items"] == []
    any_shop.books_close()
