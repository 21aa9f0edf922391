"""The merchant's endpoints and what they were sent: /api/admin/webhooks and /api/admin/notices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shop.notices import EVENTS
from tasks.notices import Postman
from tests.harness import Client, Shop
from tests.tasks.receivers import Receiver, receiver
from tests.web.admin.conftest import merchant_of
from web.outgoing import MOST_ENDPOINTS

WEBHOOKS, NOTICES = "/api/admin/webhooks", "/api/admin/notices"
URL = "https://erp.example/hooks"


@pytest.fixture
def taker() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def create(merchant: Client, url: str = URL, **body: Any) -> dict[str, Any]:
    response = merchant.post(WEBHOOKS, json={"url": url, **body})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.get_json()
    return made


def buys(shop: Shop, times: int = 1) -> list[str]:
    orders = [shop.checkout(MUG=1) for _ in range(times)]
    shop.work_until_idle()
    return orders


def deliver(shop: Shop) -> None:
    postman = Postman(shop.runtime)
    while postman.round():
        pass
    postman.leave()


def listed(merchant: Client, **query: Any) -> list[dict[str, Any]]:
    response = merchant.get(NOTICES, query_string=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.get_json()["items"]
    return items


# ---------------------------------------------------------------- endpoints


def test_a_new_endpoint_shows_its_secret_once(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop, "webhooks")

    made = create(merchant, description="The ERP", events=["order.shipped", "order.confirmed", "order.shipped"])

    assert made["secret"].startswith("whsec_")
    assert len(made["secret"]) == 50
    assert (made["url"], made["description"]) == (URL, "The ERP")
    assert made["events"] == ["order.confirmed", "order.shipped"]
    assert made["is_active"] is True
    shown = merchant.get(f"{WEBHOOKS}/{made['id']}").get_json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert merchant.get(WEBHOOKS).get_json() == {"items": [shown]}
    assert "whsec_" not in merchant.get(WEBHOOKS).text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "http://erp.example/"}, "/url"),
        ({"url": "https://me:it@erp.example/"}, "/url"),
        ({"url": 5}, "/url"),
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": ["order.eaten"]}, "/events/0"),
        ({"url": URL, "secret": "whsec_mine"}, "/secret"),
        ({"url": URL, "description": "a\nb"}, "/description"),
    ],
)
def test_a_mistake_in_an_endpoint_is_named(shop: Shop, merchant: Client, body: Any, pointer: str) -> None:
    response = merchant.post(WEBHOOKS, json=body)

    assert response.status_code == 422
    assert [fault["pointer"] for fault in response.get_json()["errors"]] == [pointer]


def test_webhooks_need_their_own_scope(shop: Shop) -> None:
    merchant = merchant_of(shop, "orders", "catalogue", "stock")

    for path in (WEBHOOKS, NOTICES):
        response = merchant.get(path)
        assert response.status_code == 403
        assert "webhooks" in response.get_json()["detail"]


def test_an_endpoint_is_changed_where_it_is_said_to_be(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop)
    made = create(merchant, events=["order.shipped"], description="The ERP")
    path = f"{WEBHOOKS}/{made['id']}"
    seen = merchant.get(path).headers["ETag"]

    quiet = merchant.patch(path, json={"is_active": False}, headers={"If-Match": seen})
    late = merchant.patch(path, json={"is_active": True}, headers={"If-Match": seen})
    loud = merchant.patch(path, json={"events": None, "url": "https://new.example/"})

    assert quiet.get_json()["is_active"] is False
    assert late.status_code == 412
    assert (loud.get_json()["events"], loud.get_json()["url"]) == (None, "https://new.example/")
    assert (loud.get_json()["is_active"], loud.get_json()["description"]) == (False, "The ERP")
    assert loud.headers["ETag"] != seen
    for body in ({"url": "http://erp.example/"}, {"url": ""}, {"url": None}, {"is_active": None}, {"secret": "x"}):
        assert merchant.patch(path, json=body).status_code == 422, body


def test_an_endpoint_that_is_removed_is_gone(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop)
    path = f"{WEBHOOKS}/{create(merchant)['id']}"
    any_shop.stocked(MUG=3)
    buys(any_shop)

    assert merchant.delete(path).status_code == 204

    assert [notice["status"] for notice in listed(merchant)] == ["dropped"]
    for response in (merchant.get(path), merchant.delete(path), merchant.patch(path, json={})):
        assert (response.status_code, response.get_json()["code"]) == (404, "webhook_not_found")
    buys(any_shop)
    assert len(listed(merchant)) == 1


def test_a_rotated_secret_is_shown_once_and_the_old_one_signs_for_a_day(shop: Shop, merchant: Client) -> None:
    made = create(merchant)
    path = f"{WEBHOOKS}/{made['id']}"

    rotated = merchant.post(f"{path}/rotate").get_json()

    assert rotated["secret"] not in ("", made["secret"])
    assert merchant.get(path).get_json()["old_secret_until"] is not None
    shop.clock.forward(24 * 3600)
    assert merchant.get(path).get_json()["old_secret_until"] is None


def test_there_are_only_so_many_endpoints(shop: Shop, merchant: Client) -> None:
    for _ in range(MOST_ENDPOINTS):
        create(merchant)

    response = merchant.post(WEBHOOKS, json={"url": URL})

    assert (response.status_code, response.get_json()["code"]) == (409, "webhook_limit_exceeded")


def test_a_test_event_is_sent_on_demand(any_shop: Shop, taker: Receiver) -> None:
    merchant = merchant_of(any_shop)
    made = create(merchant, taker.url, events=["order.refunded"])

    response = merchant.post(f"{WEBHOOKS}/{made['id']}/test")
    deliver(any_shop)

    assert response.status_code == 202
    (got,) = taker.got
    assert (got.id, got.message["type"]) == (response.get_json()["id"], "webhook.test")
    shown = merchant.get(response.headers["Location"]).get_json()
    assert (shown["status"], shown["order_id"], shown["endpoint_id"]) == ("sent", None, made["id"])
    assert [(each["attempt"], each["outcome"], each["code"]) for each in shown["log"]] == [(1, "sent", 200)]
    merchant.patch(f"{WEBHOOKS}/{made['id']}", json={"is_active": False})
    assert merchant.post(f"{WEBHOOKS}/{made['id']}/test").status_code == 409


# ---------------------------------------------------------------- notices


def test_notices_are_found_by_what_is_known_of_them(any_shop: Shop, taker: Receiver) -> None:
    merchant = merchant_of(any_shop)
    any_shop.stocked(MUG=9)
    any_shop.database.audience.mails = True
    one, two = create(merchant, taker.url)["id"], create(merchant, taker.url, events=["order.failed"])["id"]
    first, second = buys(any_shop, 2)
    taker.says(500)
    deliver(any_shop)

    assert {notice["order_id"] for notice in listed(merchant)} == {first, second}
    assert {notice["channel"] for notice in listed(merchant, order=first)} == {"mail", "webhook"}
    assert [notice["endpoint_id"] for notice in listed(merchant, order=first, endpoint=one)] == [one]
    assert listed(merchant, endpoint=two) == []
    assert len(listed(merchant, status="waiting")) == 2
    assert [notice["detail"] for notice in listed(merchant, status="failed", endpoint="mail")] == [
        "not sent: SMTP_URL is not set"
    ] * 2
    assert listed(merchant, status="sent") == listed(merchant, status="dropped") == []
    assert len(listed(merchant, event="order.confirmed")) == 4
    assert listed(merchant, event="webhook.test") == []


def test_a_long_list_is_read_page_by_page(any_shop: Shop) -> None:
    merchant = merchant_of(any_shop)
    any_shop.stocked(MUG=9)
    create(merchant)
    orders = []
    for _ in range(5):
        any_shop.clock.forward(1)
        orders += buys(any_shop)

    seen, cursor = [], None
    while True:
        query = {"per_page": 2, **({"cursor": cursor} if cursor else {})}
        page = merchant.get(NOTICES, query_string=query).get_json()
        seen += [notice["order_id"] for notice in page["items"]]
        cursor = page["page"]["next_cursor"]
        if cursor is None:
            break

    assert seen == orders[::-1]


@pytest.mark.parametrize("query", [{"status": "lost"}, {"endpoint": "x"}, {"event": "order.eaten"}, {"order": "1"}])
def test_a_question_that_has_no_answer_is_refused(shop: Shop, merchant: Client, query: dict[str, str]) -> None:
    response = merchant.get(NOTICES, query_string=query)

    assert (response.status_code, response.get_json()["code"]) == (400, "invalid_parameter")


def test_one_notice_is_sent_again_under_its_id(any_shop: Shop, taker: Receiver) -> None:
    merchant = merchant_of(any_shop)
    any_shop.stocked(MUG=9)
    create(merchant, taker.url)
    buys(any_shop)
    deliver(any_shop)
    (notice,) = listed(merchant)

    response = merchant.post(f"{NOTICES}/{notice['id']}/redeliver")
    deliver(any_shop)

    assert (response.status_code, response.get_json()["status"]) == (202, "waiting")
    assert taker.ids == [notice["id"]] * 2
    assert [each["attempt"] for each in merchant.get(f"{NOTICES}/{notice['id']}").get_json()["log"]] == [1, 2]


def test_after_an_outage_everything_is_sent_again(any_shop: Shop, taker: Receiver) -> None:
    merchant = merchant_of(any_shop)
    any_shop.stocked(MUG=9)
    made = create(merchant, taker.url)
    taker.says(410)
    buys(any_shop)
    deliver(any_shop)
    off = merchant.get(f"{WEBHOOKS}/{made['id']}").get_json()
    assert (off["is_active"], off["switched_off"]) == (False, "it answered 410 Gone")
    body = {"since": "2020-01-01"}
    refused = merchant.post(f"{NOTICES}/redeliver", json={**body, "endpoint_id": made["id"]})
    assert refused.status_code == 409
    assert merchant.post(f"{NOTICES}/redeliver", json=body).get_json() == {"redelivered": 0}

    on = merchant.patch(f"{WEBHOOKS}/{made['id']}", json={"is_active": True}).get_json()
    taker.says(200)
    later = merchant.post(f"{NOTICES}/redeliver", json={"since": "2099-01-01"}).get_json()
    again = merchant.post(f"{NOTICES}/redeliver", json={**body, "endpoint_id": made["id"]}).get_json()
    deliver(any_shop)

    assert (on["switched_off"], on["failing_since"]) == (None, None)
    assert (later, again) == ({"redelivered": 0}, {"redelivered": 1})
    assert [notice["status"] for notice in listed(merchant)] == ["sent"]
    assert taker.ids == [listed(merchant)[0]["id"]] * 2


def test_what_has_nobody_to_go_to_is_not_sent_again(shop: Shop, merchant: Client) -> None:
    shop.stocked(MUG=3)
    made = create(merchant)
    buys(shop)
    merchant.delete(f"{WEBHOOKS}/{made['id']}")
    (notice,) = listed(merchant)

    assert merchant.post(f"{NOTICES}/{notice['id']}/redeliver").status_code == 409
    for path in (f"{NOTICES}/nothing", f"{NOTICES}/nothing/redeliver"):
        answer = merchant.post(path) if path.endswith("redeliver") else merchant.get(path)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "notice_not_found")


@pytest.mark.parametrize("since", [None, True, 1, 1.5, [], {}, "yesterday"])
def test_a_time_that_is_none_is_refused(merchant: Client, since: Any) -> None:
    answer = merchant.post(f"{NOTICES}/redeliver", json={"since": since})

    assert (answer.status_code, answer.get_json()["code"]) == (422, "validation_failed")
    assert answer.get_json()["errors"][0]["pointer"] == "/since"


def test_every_event_has_words_for_the_merchant() -> None:
    assert all(name.startswith("order.") and words.endswith((".", "why.")) for name, words in EVENTS.items())


def test_the_audit_finds_what_was_told_and_did_not_happen(shop: Shop, merchant: Client) -> None:
    from db import audit, notices
    from shop.notices import News

    shop.stocked(MUG=3)
    create(merchant)
    (order_id,) = buys(shop)
    check = audit.CHECKS["notices against orders"]
    with shop.database.reading() as session:
        assert [each for each in check(session) if isinstance(each, audit.Violation)] == []

    with shop.database.writing() as session:
        news = [News(order_id, event) for event in EVENTS if event not in ("order.confirmed", "order.requires_action")]
        notices.announce(session, news, shop.clock())

    with shop.database.reading() as session:
        found = {each.message for each in check(session) if isinstance(each, audit.Violation)}
    assert found == {f"tells {each.event} of order {order_id}, which is confirmed" for each in news}
