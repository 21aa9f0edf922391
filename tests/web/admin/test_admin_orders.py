"""What the merchant does with an order: every way it may go, no other, and never two at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from db.models import StockMovementRow
from tests.harness import Client, Shop
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, pointers, problem

UNKNOWN = "01999999-9999-7999-8999-999999999999"
SECRET = "calls thrice a day, be kind"


class Case:
    """A confirmed order of two mugs and three pens, its shopper and the merchant."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.shopper, self.merchant = shop.shopper(), merchant_of(shop, "orders", name="Ada's key")
        shop.stocked(MUG=10, PEN=10)
        self.order_id = shop.checkout(self.shopper, MUG=2, PEN=3)
        shop.work_until_idle()
        shop.clock.at = shop.order(self.order_id).updated_at + 1000

    def do(self, what: str, headers: dict[str, str] | None = None, **body: Any) -> TestResponse:
        return self.merchant.post(f"/api/admin/orders/{self.order_id}/{what}", json=body, headers=headers)

    def seen(self) -> Any:
        return ok(self.merchant.get(f"/api/admin/orders/{self.order_id}"))

    def shown(self) -> Any:
        return ok(self.shopper.get(f"/api/orders/{self.order_id}"))

    def stocks(self) -> dict[str, int]:
        return {product_id: self.shop.stock(product_id) for product_id in ("MUG", "PEN")}


@pytest.fixture
def case(shop: Shop) -> Case:
    return Case(shop)


@pytest.fixture
def any_case(any_shop: Shop) -> Case:
    return Case(any_shop)


def stages(order: Any) -> list[str]:
    return [event["stage"] for event in order["timeline"]]


# ---------------------------------------------------------------- shipping


def test_an_order_shipped_as_a_whole_is_shipped(any_case: Case) -> None:
    response = any_case.do(
        "shipments", carrier="DHL", tracking_number="JD1", tracking_url="https://track.example.com/?id=JD1"
    )

    order = ok(response, 201)
    assert (order["status"], order["fulfillment_status"]) == ("confirmed", "shipped")
    (shipment,) = order["shipments"]
    assert (shipment["number"], shipment["carrier"], shipment["tracking_number"]) == (1, "DHL", "JD1")
    assert (shipment["tracking_url"], shipment["delivered_at"]) == ("https://track.example.com/?id=JD1", None)
    assert [(i["position"], i["product_id"], i["quantity"]) for i in shipment["items"]] == [
        (1, "MUG", 2),
        (2, "PEN", 3),
    ]
    assert [(item["quantity"], item["shipped_quantity"]) for item in order["items"]] == [(2, 2), (3, 3)]
    last = order["timeline"][-1]
    assert (last["stage"], last["actor"]) == ("shipped", "Ada's key")
    assert last["detail"] == "Shipment 1: 2 × Mug, 3 × Pen (DHL, JD1)"
    assert response.headers["ETag"] == f'"{any_case.shop.order(any_case.order_id).updated_at}"'


def test_an_order_may_travel_in_several_shipments(any_case: Case) -> None:
    first = ok(any_case.do("shipments", items=[{"position": 2, "quantity": 1}]), 201)
    second = ok(any_case.do("shipments", items=[{"position": 2, "quantity": 1}, {"position": 1, "quantity": 1}]), 201)
    rest = ok(any_case.do("shipments"), 201)

    assert [order["fulfillment_status"] for order in (first, second, rest)] == [
        "partially_shipped",
        "partially_shipped",
        "shipped",
    ]
    assert [[(i["position"], i["quantity"]) for i in parcel["items"]] for parcel in rest["shipments"]] == [
        [(2, 1)],
        [(1, 1), (2, 1)],
        [(1, 1), (2, 1)],
    ]
    assert stages(rest)[-3:] == ["partially_shipped", "partially_shipped", "shipped"]


def test_more_than_is_left_is_refused_for_every_line_concerned(any_case: Case) -> None:
    ok(any_case.do("shipments", items=[{"position": 2, "quantity": 2}]), 201)

    body = problem(
        any_case.do("shipments", items=[{"position": 1, "quantity": 3}, {"position": 2, "quantity": 2}]),
        409,
        "shipment_exceeds_order",
    )

    assert [(f["pointer"], f["product_id"], f["requested"], f["available"]) for f in body["errors"]] == [
        ("/items/0/quantity", "MUG", 3, 2),
        ("/items/1/quantity", "PEN", 2, 1),
    ]
    order = any_case.seen()
    assert len(order["shipments"]) == 1
    assert [item["shipped_quantity"] for item in order["items"]] == [0, 2]


@pytest.mark.parametrize(
    ("items", "pointer"),
    [
        ([{"position": 3, "quantity": 1}], "/items/0/position"),
        ([{"position": 1, "quantity": 1}, {"position": 1, "quantity": 1}], "/items/1/position"),
        ([], "/items"),
        ([{"position": 1, "quantity": 0}], "/items/0/quantity"),
        ([{"position": 0, "quantity": 1}], "/items/0/position"),
        ([{"position": 1}], "/items/0/quantity"),
        ([{"position": 1, "quantity": 1.5}], "/items/0/quantity"),
        ([{"position": True, "quantity": 1}], "/items/0/position"),
    ],
)
def test_a_shipment_of_lines_that_cannot_be_is_invalid(case: Case, items: Any, pointer: str) -> None:
    body = problem(case.do("shipments", items=items), 422, "validation_failed")

    assert pointers(body) == [pointer]
    assert case.seen()["shipments"] == []


@pytest.mark.parametrize(
    "url",
    ["http://track.example.com/1", "javascript:alert(1)", "https://", "https:///x", "https://[x", "https://a b", "x"],
)
def test_a_tracking_address_is_https_or_nothing(case: Case, url: str) -> None:
    assert pointers(problem(case.do("shipments", tracking_url=url), 422)) == ["/tracking_url"]


def test_what_was_shipped_as_a_whole_is_not_shipped_again(case: Case) -> None:
    ok(case.do("shipments"), 201)

    body = problem(case.do("shipments"), 409, "transition_not_allowed")

    assert body["possible"] == ["delivered", "returned"]


# ---------------------------------------------------------------- delivery


def test_an_order_is_delivered_when_everything_was_shipped_and_has_arrived(any_case: Case) -> None:
    ok(any_case.do("shipments", items=[{"position": 1, "quantity": 2}]), 201)
    early = ok(any_case.do("deliver"))
    ok(any_case.do("shipments"), 201)
    late = ok(any_case.do("deliver", shipment=2))

    assert early["fulfillment_status"] == "partially_shipped"
    assert early["shipments"][0]["delivered_at"] is not None
    assert late["fulfillment_status"] == "delivered"
    assert all(shipment["delivered_at"] for shipment in late["shipments"])
    assert [(e["stage"], e["detail"]) for e in late["timeline"][3:]] == [
        ("partially_shipped", "Shipment 1: 2 × Mug"),
        ("shipment_delivered", "Shipment 1"),
        ("shipped", "Shipment 2: 3 × Pen"),
        ("delivered", "Shipment 2"),
    ]


def test_delivering_all_marks_each_shipment_that_is_on_its_way(case: Case) -> None:
    ok(case.do("shipments", items=[{"position": 1, "quantity": 2}]), 201)
    ok(case.do("shipments"), 201)

    order = ok(case.do("deliver"))

    assert order["fulfillment_status"] == "delivered"
    assert order["timeline"][-1]["detail"] == "Shipments 1, 2"


def test_nothing_is_delivered_twice_or_before_it_was_shipped(case: Case) -> None:
    early = problem(case.do("deliver"), 409, "transition_not_allowed")
    ok(case.do("shipments", items=[{"position": 1, "quantity": 2}]), 201)
    ok(case.do("deliver", shipment=1))
    twice = problem(case.do("deliver", shipment=1), 409, "transition_not_allowed")
    all_there = problem(case.do("deliver"), 409, "transition_not_allowed")
    ok(case.do("shipments"), 201)
    ok(case.do("deliver"))
    done = problem(case.do("deliver"), 409, "transition_not_allowed")

    assert early["possible"] == ["partially_shipped", "shipped"]
    assert twice["detail"].startswith("Shipment 1 was delivered already")
    assert all_there["possible"] == ["partially_shipped", "shipped"]
    assert done["possible"] == ["returned"]


def test_a_shipment_that_is_not_there_cannot_arrive(case: Case) -> None:
    ok(case.do("shipments"), 201)

    assert pointers(problem(case.do("deliver", shipment=2), 422, "validation_failed")) == ["/shipment"]


# ---------------------------------------------------------------- coming back


@pytest.mark.parametrize("delivered", [False, True])
def test_a_returned_order_is_back_on_the_shelf(any_case: Case, delivered: bool) -> None:
    ok(any_case.do("shipments"), 201)
    if delivered:
        ok(any_case.do("deliver"))
    before = any_case.stocks()

    order = ok(any_case.do("return"))

    assert (order["status"], order["fulfillment_status"]) == ("confirmed", "returned")
    assert before == {"MUG": 8, "PEN": 7}
    assert any_case.stocks() == {"MUG": 10, "PEN": 10}
    assert {any_case.shop.ledger(product_id) for product_id in ("MUG", "PEN")} == {10}
    assert stages(order)[-1] == "returned"


def test_what_comes_back_broken_stays_off_the_shelf(case: Case) -> None:
    ok(case.do("shipments"), 201)

    order = ok(case.do("return", restock=False, note=SECRET))

    assert case.stocks() == {"MUG": 8, "PEN": 7}
    assert [(e["stage"], e["detail"]) for e in order["timeline"][-2:]] == [("returned", None), ("note", SECRET)]
    assert SECRET not in str(case.shown())
    case.shop.books_close()


def test_an_order_comes_back_once_and_only_as_a_whole(case: Case) -> None:
    unshipped = problem(case.do("return"), 409, "transition_not_allowed")
    ok(case.do("shipments", items=[{"position": 1, "quantity": 1}]), 201)
    partly = problem(case.do("return"), 409, "transition_not_allowed")
    ok(case.do("shipments"), 201)
    ok(case.do("return"))
    twice = problem(case.do("return"), 409, "transition_not_allowed")

    assert unshipped["possible"] == partly["possible"] == ["partially_shipped", "shipped"]
    assert twice["possible"] == []
    assert case.stocks() == {"MUG": 10, "PEN": 10}
    for what in ("shipments", "deliver", "cancel"):
        problem(case.do(what), 409, "transition_not_allowed")


# ---------------------------------------------------------------- cancelling


def test_a_cancelled_order_gives_its_stock_back_and_nothing_is_owed(any_case: Case) -> None:
    order = ok(any_case.do("cancel", reason="The mug is cracked."))

    assert (order["status"], order["terminal"], order["payment_status"]) == ("cancelled", True, "voided")
    assert order["failure"] == {
        "code": "cancelled",
        "message": "The mug is cracked.",
        "retryable": False,
        "stage": "fulfilling",
        "items": [],
    }
    last = order["timeline"][-1]
    assert (last["stage"], last["detail"], last["actor"]) == ("cancelled", "The mug is cracked.", "Ada's key")
    assert any_case.stocks() == {"MUG": 10, "PEN": 10}
    with any_case.shop.database.reading() as session:
        query = select(StockMovementRow).where(StockMovementRow.order_id == any_case.order_id)
        movements = session.scalars(query.order_by(StockMovementRow.id)).all()
    assert [(m.product_id, m.kind, m.quantity, m.actor) for m in movements] == [
        ("MUG", "sold", -2, None),
        ("PEN", "sold", -3, None),
        ("MUG", "returned", 2, "Ada's key"),
        ("PEN", "returned", 3, "Ada's key"),
    ]
    any_case.shop.books_close()
    shown = any_case.shown()
    assert (shown["status"], shown["failure"]["code"]) == ("cancelled", "cancelled")
    summary = ok(any_case.shopper.get("/api/orders"))["items"][0]
    assert (summary["status"], summary["failure_code"]) == ("cancelled", "cancelled")


def test_a_cancelled_order_may_leave_its_goods_off_the_shelf(case: Case) -> None:
    order = ok(case.do("cancel", restock=False))

    assert order["failure"]["message"] == "The order was cancelled."
    assert case.stocks() == {"MUG": 8, "PEN": 7}
    case.shop.books_close()


def test_stock_that_came_back_is_for_sale_at_once(case: Case) -> None:
    case.shop.change("MUG", stock_quantity=0)
    other = case.shop.shopper()
    problem(other.post("/api/cart/add", json={"product_id": "MUG", "quantity": 1}), 409, "out_of_stock")

    ok(case.do("cancel"))

    ok(other.post("/api/cart/add", json={"product_id": "MUG", "quantity": 2}))


def test_an_order_with_goods_on_their_way_is_not_cancelled(case: Case) -> None:
    ok(case.do("shipments", items=[{"position": 1, "quantity": 1}]), 201)
    partly = problem(case.do("cancel"), 409, "transition_not_allowed")
    ok(case.do("shipments"), 201)
    shipped = problem(case.do("cancel"), 409, "transition_not_allowed")

    assert partly["possible"] == ["partially_shipped", "shipped"]
    assert "ship the rest" in partly["detail"]
    assert shipped["possible"] == ["delivered", "returned"]
    assert case.seen()["status"] == "confirmed"


@pytest.mark.parametrize("what", ["shipments", "deliver", "return", "cancel"])
def test_nothing_follows_a_cancellation_or_a_failure(case: Case, what: str) -> None:
    failed = case.shop.checkout(case.shopper, MUG=5)
    case.shop.change("MUG", stock_quantity=1)
    case.shop.work_until_idle()
    ok(case.do("cancel"))

    for order_id in (case.order_id, failed):
        case.order_id = order_id
        body = problem(case.do(what), 409, "transition_not_allowed")
        assert body["possible"] == []


# ---------------------------------------------------------------- notes


def test_a_note_is_in_the_merchants_timeline_and_in_no_shoppers_answer(any_case: Case) -> None:
    order = ok(any_case.do("notes", text=f"  {SECRET}\nsecond line "), 201)
    ok(any_case.do("shipments", carrier="DHL"), 201)

    note = order["timeline"][-1]
    assert (note["stage"], note["actor"]) == ("note", "Ada's key")
    assert note["detail"] == f"{SECRET}\nsecond line"
    for path in (f"/api/orders/{any_case.order_id}", "/api/orders"):
        text = any_case.shopper.get(path).text
        assert SECRET not in text
        assert "Ada's key" not in text
        assert "note" not in text
    assert stages(any_case.shown()) == ["accepted", "stock_taken", "confirmed", "shipped"]


@pytest.mark.parametrize("text", ["", "  ", "x" * 2001, "a\x00b", 5, None])
def test_a_note_is_a_text_of_a_sensible_length(case: Case, text: Any) -> None:
    assert pointers(problem(case.do("notes", text=text), 422)) == ["/text"]


# ---------------------------------------------------------------- reading


def test_the_merchant_sees_the_whole_order_but_not_the_session(case: Case) -> None:
    response = case.merchant.get(f"/api/admin/orders/{case.order_id}")

    order, shown = ok(response), case.shown()
    same = set(shown) - {"timeline", "links", "items"}
    assert {name: order[name] for name in same} == {name: shown[name] for name in same}
    assert order["items"] == [item | {"fulfillable_quantity": item["quantity"]} for item in shown["items"]]
    assert order["links"] == {"self": f"/api/admin/orders/{case.order_id}"}
    assert stages(order) == ["accepted", "stock_taken", "confirmed"]
    assert {event["actor"] for event in order["timeline"]} == {None}
    assert response.headers["ETag"] == f'"{case.shop.order(case.order_id).updated_at}"'
    assert case.shop.order(case.order_id).session_id not in response.text


def test_the_shopper_sees_the_shipments_too(case: Case) -> None:
    before = case.shopper.get(f"/api/orders/{case.order_id}").headers["ETag"]
    shipments = ok(case.do("shipments", carrier="DHL"), 201)["shipments"]

    response = case.shopper.get(f"/api/orders/{case.order_id}", headers={"If-None-Match": before})

    shown = ok(response)
    assert shown["shipments"] == shipments
    assert (shown["fulfillment_status"], shown["items"][1]["shipped_quantity"]) == ("shipped", 3)


def test_a_pending_order_has_no_shipments_and_is_not_the_merchants_yet(case: Case) -> None:
    case.order_id = case.shop.checkout(case.shopper, MUG=1)

    assert case.shown()["shipments"] == []
    problem(case.merchant.get(f"/api/admin/orders/{case.order_id}"), 404, "order_not_found")
    problem(case.do("cancel"), 404, "order_not_found")


@pytest.mark.parametrize("what", ["shipments", "deliver", "return", "cancel", "notes"])
def test_an_order_that_does_not_exist_is_not_found(case: Case, what: str) -> None:
    case.order_id = UNKNOWN

    problem(case.do(what, **({"text": "x"} if what == "notes" else {})), 404, "order_not_found")


@pytest.mark.parametrize("what", ["shipments", "deliver", "return", "cancel", "notes"])
def test_orders_need_their_scope(case: Case, what: str) -> None:
    case.merchant = merchant_of(case.shop, "catalogue", "stock")

    problem(case.do(what), 403, "missing_scope")
    problem(case.merchant.get("/api/admin/orders"), 403, "missing_scope")
    problem(case.merchant.get(f"/api/admin/orders/{case.order_id}"), 403, "missing_scope")


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize("what", ["shipments", "deliver", "return", "cancel", "notes"])
def test_nobody_changes_an_order_they_have_not_seen(case: Case, what: str) -> None:
    seen = case.merchant.get(f"/api/admin/orders/{case.order_id}").headers["ETag"]
    ok(case.do("notes", text="meanwhile"), 201)

    problem(case.do(what, {"If-Match": seen}, **({"text": "x"} if what == "notes" else {})), 412, "precondition_failed")

    assert stages(case.seen()) == ["accepted", "stock_taken", "confirmed", "note"]


def test_each_change_makes_a_new_version_even_when_the_clock_stands_still(case: Case) -> None:
    etags = [case.do("notes", text=f"{i}").headers["ETag"] for i in range(3)]
    last = case.do("cancel", {"If-Match": etags[-1]})

    ok(last)
    assert len({*etags, last.headers["ETag"]}) == 4


# ---------------------------------------------------------------- at once


@pytest.mark.parametrize("pair", [("cancel", "cancel"), ("shipments", "shipments"), ("cancel", "shipments")])
def test_of_two_that_exclude_each_other_exactly_one_succeeds(any_case: Case, pair: tuple[str, str]) -> None:
    start = Barrier(2)
    clients = [merchant_of(any_case.shop, "orders") for _ in pair]

    def run(client: Client, what: str) -> TestResponse:
        start.wait(10)
        return client.post(f"/api/admin/orders/{any_case.order_id}/{what}", json={})

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(run, clients, pair))

    assert sorted(answer.status_code // 100 for answer in answers) == [2, 4]
    (refused,) = (answer for answer in answers if answer.status_code >= 400)
    problem(refused, 409, "transition_not_allowed")
    order = any_case.seen()
    cancelled = order["status"] == "cancelled"
    assert any_case.stocks() == ({"MUG": 10, "PEN": 10} if cancelled else {"MUG": 8, "PEN": 7})
    assert len(order["shipments"]) == (0 if cancelled else 1)
    assert len(order["timeline"]) == 4
    any_case.shop.books_close()


def test_notes_written_at_once_leave_no_gap_in_the_timeline(any_case: Case) -> None:
    start = Barrier(4)
    clients = [merchant_of(any_case.shop, "orders") for _ in range(4)]

    def write(client: Client) -> TestResponse:
        start.wait(10)
        return client.post(f"/api/admin/orders/{any_case.order_id}/notes", json={"text": "hello"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(write, clients))

    assert [answer.status_code for answer in answers] == [201] * 4
    assert stages(any_case.seen())[3:] == ["note"] * 4


def test_an_order_that_comes_back_while_others_buy_loses_no_unit(any_case: Case) -> None:
    for _ in range(3):
        any_case.shop.checkout(PEN=1, MUG=1)
    start = Barrier(2)

    def settle() -> None:
        start.wait(10)
        any_case.shop.work_until_idle()

    def cancel() -> TestResponse:
        start.wait(10)
        return any_case.do("cancel")

    with ThreadPoolExecutor(1) as pool:
        cancelled = pool.submit(cancel)
        settle()  # RQ's worker wants the main thread.

    ok(cancelled.result())
    assert any_case.stocks() == {"MUG": 7, "PEN": 7}
    any_case.shop.books_close()
