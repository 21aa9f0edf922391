"""The outbox: what happens to an order and what is told of it are one transaction, or neither is."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from db import endpoints, notices
from db.models import NoticeRow
from shop.errors import Unavailable
from shop.notices import EVENTS, News
from tests.harness import CHECKOUT_BODY, Client, Shop
from tests.tasks.crashes import work_to_the_end
from tests.web.admin.conftest import merchant_of


def listens(shop: Shop, *events: str) -> str:
    """An endpoint that hears these events, all of them without any."""
    with shop.database.writing() as session:
        row = endpoints.add(
            session,
            id="ep_aaaaaaaaaaaa",
            url="https://erp.example/",
            description="",
            events=[*events] or None,
            secret="whsec_AAAA",
            created_at=shop.clock(),
            updated_at=shop.clock(),
        )
    shop.database.audience.forget()
    return row.id


def buys(shop: Shop, client: Client, token: str | None = None) -> str:
    paid = {"payment_method": "card", "payment_token": token} if token else {}
    order_id = shop.checkout(client, {**CHECKOUT_BODY, **paid}, MUG=2)
    work_to_the_end(shop)
    return order_id


def told(shop: Shop, target: str | None = None) -> list[tuple[str, int]]:
    """Event and number of what is told, in the order in which it was."""
    with shop.database.reading() as session:
        query = select(NoticeRow.event, NoticeRow.number).order_by(NoticeRow.created_at, NoticeRow.id)
        query = query.where(NoticeRow.target == target) if target else query
        return [(event, number) for event, number in session.execute(query)]


def mailed(shop: Shop) -> list[tuple[str, int]]:
    return told(shop, "mail")


@pytest.fixture
def merchant(any_shop: Shop) -> Client:
    return merchant_of(any_shop)


@pytest.fixture
def stocked(any_shop: Shop) -> Shop:
    any_shop.stocked(MUG=10)
    return any_shop


def post(client: Client, path: str, body: dict[str, Any]) -> None:
    response = client.post(f"/api/admin/orders/{path}", json=body)
    assert response.status_code in (200, 201), response.text


def test_where_nobody_listens_nothing_is_written(stocked: Shop, merchant: Client) -> None:
    order_id = buys(stocked, stocked.shopper())
    post(merchant, f"{order_id}/shipments", {})

    assert told(stocked) == []


def test_an_order_on_its_way_from_checkout_to_return(stocked: Shop, merchant: Client) -> None:
    endpoint = listens(stocked)
    stocked.database.audience.mails = True

    order_id = buys(stocked, stocked.shopper())
    for path, body in (
        ("shipments", {"items": [{"position": 1, "quantity": 1}]}),
        ("deliver", {}),
        ("shipments", {}),
        ("deliver", {}),
        ("return", {}),
    ):
        stocked.clock.forward(60)
        post(merchant, f"{order_id}/{path}", body)

    assert told(stocked, endpoint) == [
        ("order.confirmed", 0),
        ("order.shipped", 1),
        ("order.shipped", 2),
        ("order.delivered", 0),
        ("order.returned", 0),
    ]
    assert mailed(stocked) == [("order.confirmed", 0), ("order.shipped", 1), ("order.shipped", 2)]


def test_a_payment_that_is_confirmed_at_the_bank(stocked: Shop) -> None:
    endpoint = listens(stocked)
    stocked.database.audience.mails = True

    buys(stocked, stocked.shopper(), "tok_action_approved")

    assert told(stocked, endpoint) == [("order.requires_action", 0), ("order.confirmed", 0)]
    assert mailed(stocked) == [("order.confirmed", 0)]


def test_who_may_have_left_is_told_that_the_payment_failed_and_who_waits_is_not(stocked: Shop) -> None:
    endpoint = listens(stocked, "order.failed")
    stocked.database.audience.mails = True

    buys(stocked, stocked.shopper(), "tok_decline")
    assert (told(stocked, endpoint), mailed(stocked)) == ([("order.failed", 0)], [])
    stocked.clock.forward(60)
    buys(stocked, stocked.shopper(), "tok_action_refused")

    assert told(stocked, endpoint) == [("order.failed", 0)] * 2
    assert mailed(stocked) == [("order.failed", 0)]


def test_a_checkout_that_fails_at_once_is_told_to_endpoints_alone(stocked: Shop) -> None:
    endpoint = listens(stocked)
    stocked.database.audience.mails = True
    order_id = stocked.checkout(MUG=2)
    stocked.change("MUG", is_active=False)

    stocked.work_until_idle()

    assert stocked.order(order_id).status == "failed"
    assert told(stocked, endpoint) == [("order.failed", 0)]
    assert mailed(stocked) == []


@pytest.mark.parametrize("token", [None, "tok_approve"])
def test_refunds_are_told_one_by_one_when_they_are_done(stocked: Shop, merchant: Client, token: str | None) -> None:
    endpoint = listens(stocked, "order.refunded")
    stocked.database.audience.mails = True
    order_id = buys(stocked, stocked.shopper(), token)
    if token is None:
        post(merchant, f"{order_id}/payments", {})

    for amount in ("1.00", "2.00"):
        stocked.clock.forward(60)
        post(merchant, f"{order_id}/refunds", {"amount": amount})
        assert (len(told(stocked, endpoint)) == 0) == (token is not None and amount == "1.00")
        work_to_the_end(stocked)

    assert told(stocked, endpoint) == [("order.refunded", 1), ("order.refunded", 2)]
    assert mailed(stocked) == [("order.confirmed", 0), ("order.refunded", 1), ("order.refunded", 2)]


@pytest.mark.parametrize("who", ["shopper", "merchant"])
def test_a_cancel_is_told_whoever_does_it(stocked: Shop, merchant: Client, who: str) -> None:
    endpoint = listens(stocked, "order.cancelled")
    stocked.database.audience.mails = True
    shopper = stocked.shopper()
    order_id = buys(stocked, shopper)
    stocked.clock.forward(60)

    if who == "shopper":
        assert shopper.post(f"/api/orders/{order_id}/cancel", json={}).status_code == 200
        assert shopper.post(f"/api/orders/{order_id}/cancel", json={}).status_code == 200
    else:
        post(merchant, f"{order_id}/cancel", {})

    assert told(stocked, endpoint) == [("order.cancelled", 0)]
    assert mailed(stocked) == [("order.confirmed", 0), ("order.cancelled", 0)]


def test_what_is_refused_tells_nothing(stocked: Shop, merchant: Client) -> None:
    order_id = buys(stocked, stocked.shopper())
    listens(stocked)

    response = merchant.post(f"/api/admin/orders/{order_id}/deliver", json={})

    assert response.status_code == 409
    assert told(stocked) == []


def test_what_is_rolled_back_was_never_told(stocked: Shop) -> None:
    order_id = buys(stocked, stocked.shopper())
    listens(stocked)

    def fails() -> None:
        with stocked.database.writing() as session:
            notices.announce(session, [News(order_id, "order.confirmed")], stocked.clock())
            raise Unavailable("the disk is full")

    with pytest.raises(Unavailable):
        fails()

    assert told(stocked) == []


def test_the_same_is_told_once(stocked: Shop) -> None:
    listens(stocked)
    order_id = buys(stocked, stocked.shopper())

    for _ in range(2):
        with stocked.database.writing() as session:
            notices.announce(session, [News(order_id, "order.confirmed")] * 40, stocked.clock())

    assert told(stocked) == [("order.confirmed", 0)]


def test_an_endpoint_that_is_switched_off_hears_nothing(stocked: Shop) -> None:
    endpoint = listens(stocked)
    with stocked.database.writing() as session:
        endpoints.change(session, endpoints.lock(session, endpoint), {"is_active": False}, stocked.clock())
    stocked.database.audience.forget()

    buys(stocked, stocked.shopper())

    assert told(stocked) == []


def test_another_process_hears_of_an_endpoint_in_a_moment(stocked: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    at = [0.0]
    monkeypatch.setattr(notices.time, "monotonic", lambda: at[0])
    other = notices.Audience()
    with stocked.database.reading() as session:
        at[0] = 1.0
        assert other.listeners(session) == ()
    listens(stocked, "order.failed")

    with stocked.database.reading() as session:
        at[0] += notices.KNOWN_SECONDS - 0.1
        assert other.listeners(session) == ()
        at[0] += 0.2
        (found,) = other.listeners(session)

    assert [event for event in EVENTS if found.hears(event)] == ["order.failed"]


def test_every_endpoint_is_looked_for_by_itself(stocked: Shop) -> None:
    """A long line before one hides nobody behind it."""
    now = stocked.clock()
    with stocked.database.writing() as session:
        for n in range(50):
            notices.add(session, f"busy-{n}", "webhook.test", "ep_busy", now - 1000)
        notices.add(session, "late", "webhook.test", "ep_late", now)
        notices.add(session, "tomorrow", "webhook.test", "ep_late", now + 1)

    with stocked.database.writing() as session:
        found = notices.due(session, {"ep_busy": 2, "ep_late": 2}, now)
        works = notices.claim(session, [each.id for each in found], now)
        again = notices.claim(session, [each.id for each in found], now)

    assert [each.target for each in found] == ["ep_busy", "ep_busy", "ep_late"]
    assert {(work.target, work.tries, work.attempt) for work in works} == {("ep_busy", 1, 1), ("ep_late", 1, 1)}
    assert again == []


def test_a_removed_endpoint_is_waited_for_no_more(stocked: Shop) -> None:
    endpoint = listens(stocked)
    buys(stocked, stocked.shopper())

    with stocked.database.writing() as session:
        endpoints.remove(session, endpoints.lock(session, endpoint), stocked.clock())

    with stocked.database.reading() as session:
        row = session.scalars(select(NoticeRow)).one()
        assert (row.status, row.next_at) == ("dropped", None)
        assert endpoints.count(session) == 0
        assert session.scalar(select(func.count()).select_from(NoticeRow)) == 1
