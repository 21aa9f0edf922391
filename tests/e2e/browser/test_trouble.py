"""Whatever goes wrong while somebody shops: one order, and the truth on the page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.browser.visitor import Merchant, Visitor
from tests.processes import RunningShop

pytestmark = pytest.mark.e2e

CHECKOUT = "**/api/checkout"


def test_what_sold_out_in_the_cart_is_mended_in_place(ada: Visitor, merchant: Merchant) -> None:
    merchant.stock("olive-oil", 5)
    ada.puts("olive-oil", 3)
    ada.puts("linen-notebook")
    merchant.stock("olive-oil", 2)
    ada.opens("/cart")
    expect(ada.page.get_by_role("link", name="Check out")).to_be_disabled()

    ada.line("olive-oil").get_by_role("button", name="Take 2").click()

    expect(ada.page.get_by_label("Quantity of Olive oil")).to_have_value("2")
    expect(ada.page.get_by_role("link", name="Check out")).to_be_enabled()
    merchant.stock("olive-oil", 0)
    ada.page.reload()
    ada.line("olive-oil").get_by_role("button", name="Remove it").click()
    expect(ada.line("olive-oil")).to_have_count(0)
    expect(ada.line("linen-notebook")).to_be_visible()


def test_what_sells_out_before_the_click_is_mended_in_the_checkout(ada: Visitor, merchant: Merchant) -> None:
    merchant.stock("fig-jam", 5)
    ada.puts("fig-jam", 4)
    ada.goes_to_checkout()
    ada.pays("Invoice")
    merchant.stock("fig-jam", 1)
    ada.place.click()
    ada.sees("only 1 left, you asked for 4.")

    ada.page.get_by_role("button", name="Take 1").click()
    expect(ada.place).to_be_enabled()
    ada.place.click()

    ada.sees_confirmed()
    ada.sees("1 × ")


def test_more_than_there_is_stays_at_what_there_was(ada: Visitor, merchant: Merchant) -> None:
    merchant.stock("oak-stool", 2)
    ada.puts("oak-stool", 2)
    ada.opens("/cart")
    ada.page.get_by_label("One more Oak stool").click()

    expect(ada.line("oak-stool").get_by_role("alert")).to_have_text(re.compile("There are only 2."))
    expect(ada.page.get_by_label(re.compile("^Quantity of Oak stool"))).to_have_value("2")


def test_a_risen_total_is_shown_and_ordered_only_when_accepted(ada: Visitor, merchant: Merchant) -> None:
    merchant.price("chefs-knife", "96.00")
    ada.puts("chefs-knife")
    ada.goes_to_checkout()
    ada.pays("Invoice")
    merchant.price("chefs-knife", "101.00")
    ada.place.click()
    ada.sees("The total has changed")
    ada.sees("It was $102.96 when you last saw it; it is $108.32 now. Nothing was ordered.")

    ada.page.get_by_role("button", name="Order for $108.32").click()

    ada.sees_confirmed()
    expect(ada.page.locator("[data-totals]")).to_contain_text("$108.32")
    assert ada.history() == ["Confirmed"]


def test_a_price_that_moved_is_said_in_the_cart(ada: Visitor, merchant: Merchant) -> None:
    merchant.price("letter-set", "16.00")
    ada.puts("letter-set")
    merchant.price("letter-set", "17.50")
    ada.opens("/cart")

    expect(ada.line("letter-set")).to_contain_text("The price is $17.50 now; it was $16.00 when you added it.")
    merchant.price("letter-set", "16.00")


def test_a_declined_card_gives_the_cart_back_and_another_one_pays(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.orders("Card", "not enough money")
    ada.sees_stages("done", "done", "failed", "never")
    ada.sees("Your cart is back, with 1 thing in it.")

    ada.page.get_by_role("link", name="Choose another payment").click()
    expect(ada.field("Full name")).to_have_value("Ada Lovelace")
    ada.sees_prices()
    ada.pays("Card", "is approved$")
    ada.place.click()

    ada.sees_confirmed()
    assert ada.history() == ["Confirmed", "The payment was declined"]


def test_the_order_page_sees_an_order_through_while_the_worker_is_killed(ada: Visitor, shop: RunningShop) -> None:
    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    ada.pays("Card", "takes three seconds")
    shop.kill("worker", slice(0, 1))
    ada.place.click()
    ada.order_id()
    ada.sees_stages("done", "done", "now", "waiting")
    shop.kill("worker", slice(0, 1))

    ada.sees_confirmed()
    assert ada.history() == ["Confirmed"]


def test_the_order_page_sees_an_order_through_while_the_web_is_killed(ada: Visitor, shop: RunningShop) -> None:
    ada.puts("linen-notebook")
    ada.orders("Card", "takes three seconds")
    shop.kill("web", slice(0, 1))

    ada.sees_confirmed()
    # Its last words stay when it is hidden again: it may have been seen for a moment only.
    expect(ada.page.locator("[data-connection]")).to_have_text(re.compile("Trying again"))
    expect(ada.page.locator("[data-connection]")).to_be_hidden()


def test_a_reload_at_each_step_loses_nothing(ada: Visitor) -> None:
    page = ada.page
    ada.puts("linen-notebook", 2)
    page.reload()
    expect(page.locator("[data-count]")).to_have_text("2")
    ada.opens("/cart")
    page.reload()
    expect(page.get_by_label("Quantity of Linen notebook")).to_have_value("2")
    ada.goes_to_checkout()
    page.get_by_role("radio", name=re.compile("^Express")).check()
    expect(page.locator(".sums")).to_contain_text("Express delivery")
    ada.pays("Card", "takes three seconds")
    page.reload()
    expect(ada.field("Full name")).to_have_value("Ada Lovelace")
    expect(page.get_by_role("radio", name=re.compile("^Express"))).to_be_checked()
    expect(page.get_by_role("radio", name=re.compile("takes three seconds"))).to_be_checked()
    ada.place.click()
    order_id = ada.order_id()
    page.reload()
    ada.sees_confirmed()
    page.reload()
    ada.sees_confirmed()

    assert ada.order_id() == order_id
    assert ada.history() == ["Confirmed"]


def test_a_double_click_is_one_order(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    ada.pays("Invoice")
    ada.place.dblclick()

    ada.sees_confirmed()
    assert ada.history() == ["Confirmed"]


def test_a_lost_answer_is_asked_for_again_and_is_one_order(ada: Visitor) -> None:
    keys: list[str | None] = []

    def lose_the_first(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    ada.pays("Invoice")
    ada.page.route(CHECKOUT, lose_the_first)
    ada.place.click()

    ada.sees_confirmed()
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert ada.history() == ["Confirmed"]


def test_a_reload_after_a_lost_answer_leads_to_the_order(ada: Visitor) -> None:
    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    ada.pays("Invoice")
    ada.page.route(CHECKOUT, lose)
    ada.place.click()
    ada.sees("No connection. Trying again")
    ada.page.unroute(CHECKOUT)
    ada.page.reload()

    ada.sees_confirmed()
    assert ada.history() == ["Confirmed"]


def test_a_request_that_never_arrived_waits_for_another_click_after_a_reload(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    ada.pays("Invoice")
    ada.page.route(CHECKOUT, lambda route: route.abort("connectionrefused"))
    ada.place.click()
    ada.sees("No connection. Trying again")
    ada.page.unroute(CHECKOUT)
    ada.page.reload()
    expect(ada.place).to_be_enabled()
    expect(ada.field("Full name")).to_have_value("Ada Lovelace")
    ada.place.click()

    ada.sees_confirmed()
    assert ada.history() == ["Confirmed"]


def test_two_tabs_show_one_cart_and_make_one_order(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.opens("/cart")
    other = ada.beside()
    other.puts("linen-notebook")
    expect(ada.page.get_by_label("Quantity of Linen notebook")).to_have_value("2")
    for tab in (ada, other):
        tab.goes_to_checkout()
        tab.pays("Invoice")

    # Kept from hearing of each other, so that the second clicks as well.
    other.page.route("**/api/cart", lambda route: route.abort())
    other.page.route("**/api/checkout/quote", lambda route: route.abort())
    ada.place.click()
    order_id = ada.order_id()
    other.place.click()

    assert other.order_id() == order_id
    other.page.unroute_all()
    other.sees_confirmed()
    ada.sees_confirmed()
    assert ada.history() == ["Confirmed"]


def test_the_cart_says_that_the_connection_is_gone_and_goes_on_when_it_is_back(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.opens("/cart")
    expect(ada.line("linen-notebook")).to_be_visible()
    ada.context.set_offline(True)
    expect(ada.page.locator("[data-connection]")).to_have_text(re.compile("No connection"))

    ada.context.set_offline(False)
    expect(ada.page.locator("[data-connection]")).to_be_hidden()
    ada.page.get_by_label("One more Linen notebook").click()

    expect(ada.page.get_by_label("Quantity of Linen notebook")).to_have_value("2")


def test_an_order_is_followed_through_a_lost_connection(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.orders("Card", "confirm at your bank")
    ada.sees_stages("done", "done", "asking", "waiting")
    address = ada.page.get_by_role("link", name="Confirm the payment").get_attribute("href")
    ada.context.set_offline(True)
    expect(ada.page.locator("[data-connection]")).to_be_visible()
    ada.context.request.post(str(address), form={"decision": "approve"})

    ada.context.set_offline(False)

    ada.sees_confirmed()
    expect(ada.page.locator("[data-connection]")).to_be_hidden()


def test_an_order_of_somebody_else_is_not_shown(ada: Visitor) -> None:
    ada.opens("/orders/01900000-0000-7000-8000-000000000000")

    expect(ada.page.get_by_role("heading", name="This order is not here")).to_be_visible()
