"""From the front door to a confirmed order, as people go."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.browser.chromium import PHONE
from tests.e2e.browser.conftest import Comes
from tests.e2e.browser.visitor import ADA, ORDER_PAGE, Merchant, Visitor

pytestmark = pytest.mark.e2e


def test_somebody_browses_fills_a_cart_checks_out_and_finds_the_order_again(ada: Visitor) -> None:
    page = ada.page
    ada.opens("/")
    page.get_by_role("link", name=re.compile("^Kitchen")).click()
    page.get_by_role("link", name="Price, low to high").click()
    expect(page).to_have_url(re.compile(r"category=kitchen&sort=price"))

    page.get_by_role("link", name=re.compile("^Enamel mug")).click()
    page.get_by_role("button", name="One more").click()
    page.get_by_role("button", name="Add to cart").click()
    ada.sees("Added. 2 in your cart.")
    page.get_by_role("link", name="Cart, 2 things").click()
    page.get_by_role("link", name="Check out").click()
    for label, text in ADA.items():
        ada.field(label).fill(text)
    ada.pays("Card", "is approved$")
    expect(page.locator(".sums")).to_contain_text("CA sales tax 7.25 %")
    page.get_by_role("button", name="Place order · $35.83").click()

    ada.sees_confirmed()
    expect(page.locator("[data-totals]")).to_contain_text("$35.83")
    expect(page.locator(".order-facts")).to_contain_text(re.compile("Card\\s*paid"))
    expect(page.locator("[data-count]")).to_be_hidden()
    assert ada.history() == ["Confirmed"]
    page.locator(".history a").click()
    ada.sees_confirmed()


def test_search_price_and_stock_narrow_the_list_and_can_be_taken_away(ada: Visitor) -> None:
    page = ada.page
    ada.opens("/")
    page.get_by_label("Search the shop").fill("mug")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Results for “mug”")).to_be_visible()
    page.get_by_label("Highest price").fill("15")
    page.get_by_role("button", name="Go").click()

    expect(page.locator(".card-name")).to_have_text(["Enamel mug"])
    page.get_by_role("link", name="Remove the filter up to $15").click()
    expect(page.locator(".card")).not_to_have_count(1)
    page.go_back()
    expect(page.locator(".card-name")).to_have_text(["Enamel mug"])


def test_browsing_needs_no_javascript(comes: Comes) -> None:
    visitor = comes(java_script_enabled=False)
    visitor.opens("/?category=bags")
    visitor.page.get_by_role("link", name=re.compile("^Canvas tote")).click()

    expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("Canvas tote")


def test_a_variant_leads_to_its_sibling(ada: Visitor) -> None:
    ada.opens("/products/cotton-tee-white-medium")
    ada.page.get_by_role("link", name="Indigo").click()

    expect(ada.page).to_have_url(re.compile("/products/cotton-tee-indigo-medium$"))


def test_the_gallery_shows_the_view_that_was_clicked(ada: Visitor) -> None:
    ada.opens("/products/enamel-mug")
    ada.page.get_by_role("link", name="View 3 of 4").click()

    expect(ada.page.get_by_role("img", name="Enamel mug", exact=True)).to_have_attribute(
        "src", re.compile("mug-3.svg$")
    )


def test_delivery_and_tax_follow_the_address_as_it_is_typed(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    choices = ada.page.locator("[data-shipping] .choice-title")
    expect(choices).to_have_text(
        ["Standard delivery", "Express delivery", "International parcel", "Pick up in the shop"]
    )

    ada.page.get_by_role("combobox", name="Country").select_option("DE")

    expect(choices).to_have_text(["Standard delivery", "International parcel", "Pick up in the shop"])
    expect(ada.page.locator(".sums")).to_contain_text("MwSt. 19 %")
    expect(ada.page.get_by_role("combobox", name="State or province")).to_have_count(0)


def test_a_pick_up_is_billed_to_the_one_address_there_is(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    ada.page.get_by_role("radio", name=re.compile("^Pick up")).check()
    expect(ada.page.locator("legend", has_text="Billing address").first).to_be_visible()
    expect(ada.page.locator(".sums")).to_contain_text("Pick up in the shop")
    ada.pays("Invoice")
    ada.place.click()

    ada.sees_confirmed()
    ada.sees("You pick it up in the shop.")


def test_a_bill_may_go_elsewhere_and_is_checked_there(ada: Visitor) -> None:
    page = ada.page
    ada.puts("linen-notebook")
    ada.goes_to_checkout()
    page.get_by_label("Bill to the same address").uncheck()
    ada.pays("Invoice")
    ada.place.click()
    expect(page.locator("#billing-name")).to_be_focused()

    billing = page.get_by_role("group", name="Billing address")
    for label, text in (("Full name", "Charles Babbage"), ("Street and number", "1 Dorset Street")):
        billing.get_by_label(label).fill(text)
    billing.get_by_label("Postcode").fill("W1U 4EF")
    billing.get_by_label("City").fill("London")
    billing.get_by_label("Country").select_option("GB")
    ada.place.click()

    ada.sees_stages("done", "done", "done", "done")
    expect(page.locator(".order-facts")).to_contain_text("Charles Babbage1 Dorset StreetW1U 4EF LondonUnited Kingdom")


def test_stock_and_price_of_a_product_are_kept_live(ada: Visitor, merchant: Merchant) -> None:
    merchant.stock("pocket-compass", 30)
    ada.opens("/products/pocket-compass")
    expect(ada.page.locator("[data-stock]")).to_have_text("In stock")
    merchant.stock("pocket-compass", 0)
    merchant.price("pocket-compass", "32.50")
    look_again = "document.dispatchEvent(new Event('visibilitychange'))"
    ada.page.evaluate(look_again)

    expect(ada.page.locator("[data-stock]")).to_have_text("Sold out")
    expect(ada.page.locator("[data-price]")).to_have_text("$32.50")
    expect(ada.page.get_by_role("button", name="Sold out")).to_be_disabled()
    merchant.stock("pocket-compass", 30)
    ada.page.evaluate(look_again)
    expect(ada.page.get_by_role("button", name="Add to cart")).to_be_enabled()


def test_what_is_missing_or_wrong_is_said_beside_the_field(ada: Visitor) -> None:
    page = ada.page
    ada.puts("linen-notebook")
    ada.opens("/checkout")
    ada.sees_prices()
    ada.field("E-mail").fill("no address")
    ada.place.click()

    expect(ada.field("Full name")).to_be_focused()
    expect(page.locator("#shipping-name-fault")).to_have_text("Enter the full name.")

    for label, text in list(ADA.items())[1:]:
        ada.field(label).fill(text)
    expect(page.locator("[data-faults]")).to_be_hidden()
    ada.pays("Invoice")
    ada.place.click()
    expect(ada.field("E-mail")).to_be_focused()
    expect(page.locator("#email-fault")).to_contain_text("This is not a valid email address")

    ada.field("E-mail").fill("ada@example.com")
    ada.place.click()
    ada.sees_confirmed()


def test_a_required_action_leads_to_the_bank_and_back(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    order_id = ada.orders("Card", "confirm at your bank")
    ada.sees_stages("done", "done", "asking", "waiting")

    ada.page.get_by_role("link", name="Confirm the payment").click()
    ada.page.get_by_role("button", name="Approve").click()

    assert ada.order_id() == order_id
    ada.sees_confirmed()


def test_a_refused_action_gives_the_cart_back(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.orders("Card", "confirm at your bank")
    ada.page.get_by_role("link", name="Confirm the payment").click()
    ada.page.get_by_role("button", name="Refuse").click()

    ada.sees_stages("done", "done", "failed", "never")
    ada.sees("Your cart is back, with 1 thing in it.")


def test_an_order_is_cancelled_after_a_question(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.orders("Card", "is approved$")
    ada.sees_confirmed()

    ada.page.get_by_role("button", name="Cancel the order").click()
    ada.page.get_by_role("dialog").get_by_role("button", name="Keep the order").click()
    ada.sees_confirmed()
    ada.page.get_by_role("button", name="Cancel the order").click()
    ada.page.get_by_role("dialog").get_by_role("button", name="Cancel the order").click()

    ada.sees_stages("done", "done", "done", "failed")
    expect(ada.page.get_by_role("heading", name="Cancelled")).to_be_visible()
    assert ada.history() == ["Cancelled"]


def test_the_keyboard_is_enough(ada: Visitor) -> None:
    page = ada.page
    keys = page.keyboard
    ada.opens("/products/linen-notebook")
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    _tab_to(ada, "[data-add]")
    keys.press("Enter")
    ada.sees("Added. 1 in your cart.")
    _tab_to(ada, "[data-said] a")
    keys.press("Enter")
    page.wait_for_url("**/cart")
    expect(ada.line("linen-notebook")).to_be_visible()
    _tab_to(ada, '[aria-label="One more Linen notebook"]')
    keys.press("Enter")
    expect(page.get_by_label("Quantity of Linen notebook")).to_have_value("2")
    expect(page.get_by_label("One more Linen notebook")).to_be_focused()
    _tab_to(ada, ".summary a")
    keys.press("Enter")
    page.wait_for_url("**/checkout")
    ada.sees_prices()
    for field, text in zip(
        ("email", "shipping-name", "shipping-line1", "shipping-postal_code"), ADA.values(), strict=False
    ):
        _tab_to(ada, f"#{field}")
        keys.type(text)
    _tab_to(ada, "#shipping-city")
    keys.type("Oakland")
    _tab_to(ada, "[data-shipping] input")
    keys.press("ArrowDown")
    expect(page.get_by_role("radio", name=re.compile("^Express"))).to_be_focused()
    expect(page.locator(".sums")).to_contain_text("Express delivery")
    _tab_to(ada, "[data-payment] input")
    keys.press("ArrowDown")
    _tab_to(ada, "[data-place]")
    keys.press("Enter")

    ada.sees_confirmed()


def _tab_to(visitor: Visitor, selector: str) -> None:
    """Press Tab until the element has the focus; a page has no more than 120 places to stop at."""
    wanted = visitor.page.locator(selector).first
    expect(wanted).to_be_enabled()
    for _ in range(120):
        if wanted.evaluate(
            "element => element === document.activeElement || (element.type === 'radio' && "
            "document.activeElement.name === element.name)"
        ):
            return
        visitor.page.keyboard.press("Tab")
    raise AssertionError(f"Tab never comes to {selector}")


def test_a_phone_is_enough(comes: Comes) -> None:
    visitor = comes(viewport=PHONE, is_mobile=True, has_touch=True)
    visitor.opens("/")
    visitor.page.get_by_text("Filter", exact=True).tap()
    visitor.page.get_by_role("link", name=re.compile("^Stationery")).tap()
    visitor.page.get_by_role("link", name=re.compile("^Linen notebook")).tap()
    visitor.page.get_by_role("button", name="Add to cart").tap()
    visitor.page.get_by_role("link", name="View the cart").tap()
    visitor.page.get_by_role("link", name="Check out").tap()
    for label, text in ADA.items():
        visitor.field(label).fill(text)
    visitor.sees_prices()
    visitor.page.get_by_role("radio", name=re.compile("^Invoice")).tap()
    visitor.place.tap()

    visitor.sees_confirmed()


def test_the_example_of_twenty_lines_sells_a_mug(ada: Visitor, merchant: Merchant) -> None:
    merchant.stock("enamel-mug", 40)
    ada.opens("/examples/minimal")
    ada.page.get_by_role("button", name="Buy it").click()

    expect(ada.page.locator("#said")).to_contain_text(re.compile("confirmed [0-9]{4}"))


def test_the_back_button_leads_from_an_order_to_the_cart_and_not_to_a_dead_checkout(ada: Visitor) -> None:
    ada.puts("linen-notebook")
    ada.opens("/cart")
    ada.page.get_by_role("link", name="Check out").click()
    for label, text in ADA.items():
        ada.field(label).fill(text)
    ada.sees_prices()
    ada.pays("Invoice")
    ada.place.click()
    ada.sees_confirmed()

    ada.page.go_back()

    expect(ada.page).not_to_have_url(ORDER_PAGE)
    ada.sees("Nothing here yet")
