"""The postman: at least once, under one id, whatever dies or hangs; and nobody waits for anybody else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from standardwebhooks import Webhook

from db import notice_list
from db.models import AttemptRow, EndpointRow, NoticeRow
from shop.errors import Unavailable
from shop.notices import DELAYS_MS, HOPELESS_AFTER_MS, LONGEST_RETRY_AFTER_MS, MOST_TRIES, News, again_in_ms
from tasks import failpoints
from tasks import notices as post
from tasks.hooks import Hooks, retry_after_ms
from tasks.notices import KEPT_MS, Postman
from tests.harness import Shop
from tests.servers import until
from tests.tasks.crashes import Killed, die
from tests.tasks.helpers import sql_away
from tests.tasks.receivers import Post, Receiver, Reply, receiver
from web import outgoing
from web.stores import now_ms

HOUR_MS = 3_600_000


@pytest.fixture
def taker() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def listens(shop: Shop, taker: Receiver, *events: str) -> EndpointRow:
    """The merchant adds the taker as an endpoint."""
    return outgoing.add(shop.services, taker.url, "", events or None)


def buys(shop: Shop) -> str:
    """An order on invoice that is confirmed at once."""
    order_id = shop.checkout(MUG=1)
    shop.work_until_idle()
    return order_id


def deliver(shop: Shop, postman: Postman | None = None) -> None:
    """Rounds until nothing is on its way."""
    at_work = postman or Postman(shop.runtime)
    while at_work.round():
        pass
    if postman is None:
        at_work.leave()


def notice(shop: Shop, notice_id: str) -> NoticeRow:
    with shop.database.reading() as session:
        return notice_list.get(session, notice_id)


def log(shop: Shop, notice_id: str) -> list[AttemptRow]:
    with shop.database.reading() as session:
        return list(notice_list.attempts(session, notice_id))


def only(shop: Shop) -> NoticeRow:
    with shop.database.reading() as session:
        return session.scalars(select(NoticeRow)).one()


def endpoint(shop: Shop, endpoint_id: str) -> EndpointRow:
    with shop.database.reading() as session:
        return session.get_one(EndpointRow, endpoint_id)


# ---------------------------------------------------------------- what arrives


def test_a_confirmed_order_is_posted_and_signed(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    to = listens(any_shop, taker)
    order_id = buys(any_shop)

    deliver(any_shop)

    (got,) = taker.got
    assert got.id == f"{order_id}_confirmed_{to.id}"
    assert got.headers["content-type"] == "application/json"
    assert got.message["type"] == "order.confirmed"
    order = got.message["data"]["order"]
    row = any_shop.order(order_id)
    assert (order["id"], order["number"], order["status"]) == (order_id, row.number, "confirmed")
    assert (order["email"], order["currency"], order["total_amount"]) == ("ada@example.com", "USD", "16.07")
    assert [(item["sku"], item["quantity"], item["subtotal"]) for item in order["items"]] == [("SKU-MUG", 1, "10.00")]
    at = datetime.fromtimestamp(any_shop.clock() // 1000, UTC)
    assert got.headers["webhook-timestamp"] == str(any_shop.clock() // 1000)
    assert got.headers["webhook-signature"] == Webhook(to.secret).sign(got.id, at, got.body.decode())
    sent = notice(any_shop, got.id)
    assert (sent.status, sent.attempts, sent.next_at, sent.detail) == ("sent", 1, None, "200 thanks")
    assert [(each.outcome, each.code, each.answer) for each in log(any_shop, got.id)] == [("sent", 200, "200 thanks")]


def test_the_library_of_the_standard_takes_our_messages(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    shop.clock.at = now_ms()
    to = listens(shop, taker)
    buys(shop)

    deliver(shop)

    (got,) = taker.got
    assert Webhook(to.secret).verify(got.body, got.headers) == got.message


def test_after_a_rotation_both_secrets_sign_for_a_day(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    old = listens(shop, taker).secret
    shop.clock.at = now_ms()
    new = outgoing.rotate(shop.services, only_endpoint(shop).id).secret
    buys(shop)

    deliver(shop)

    (got,) = taker.got
    assert old != new
    for secret in (old, new):
        assert Webhook(secret).verify(got.body, got.headers) == got.message

    shop.clock.forward(24 * 3600)
    buys(shop)
    deliver(shop)

    assert len(taker.got[1].headers["webhook-signature"].split(" ")) == 1


def only_endpoint(shop: Shop) -> EndpointRow:
    with shop.database.reading() as session:
        return session.scalars(select(EndpointRow)).one()


def test_many_orders_are_each_told_once(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=100)
    to = listens(any_shop, taker)
    orders = [any_shop.checkout(MUG=1) for _ in range(20)]
    any_shop.work_until_idle()

    deliver(any_shop)

    assert sorted(taker.ids) == sorted(f"{order_id}_confirmed_{to.id}" for order_id in orders)


def test_two_postmen_send_nothing_twice(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=100)
    listens(any_shop, taker)
    for _ in range(12):
        any_shop.checkout(MUG=1)
    any_shop.work_until_idle()
    postmen = [Postman(any_shop.runtime), Postman(any_shop.runtime)]

    at_work = [threading.Thread(target=deliver, args=(any_shop, postman)) for postman in postmen]
    for thread in at_work:
        thread.start()
    for thread in at_work:
        thread.join()
    deliver(any_shop)

    assert len(taker.got) == len(set(taker.ids)) == 12
    for postman in postmen:
        postman.leave()


# ---------------------------------------------------------------- what is not taken


def test_what_is_refused_is_sent_again_later_under_the_same_id(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    to = listens(any_shop, taker)
    buys(any_shop)
    taker.says(500, b"out\nof order")

    deliver(any_shop)

    waits = only(any_shop)
    assert (waits.status, waits.attempts, waits.detail) == ("waiting", 1, "500 out of order")
    assert waits.next_at is not None
    assert 5_000 <= waits.next_at - any_shop.clock() <= 5_250
    assert endpoint(any_shop, to.id).failing_since == any_shop.clock()

    taker.says(204)
    deliver(any_shop)
    assert len(taker.got) == 1
    any_shop.clock.forward(6)
    deliver(any_shop)

    assert taker.ids == [waits.id, waits.id]
    assert notice(any_shop, waits.id).status == "sent"
    assert [(each.attempt, each.outcome, each.code) for each in log(any_shop, waits.id)] == [
        (1, "failed", 500),
        (2, "sent", 204),
    ]
    assert endpoint(any_shop, to.id).failing_since is None


def test_an_order_that_changed_meanwhile_is_told_as_it_is_now(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    listens(shop, taker, "order.confirmed")
    shopper = shop.shopper()
    order_id = shop.checkout(shopper, MUG=1)
    shop.work_until_idle()
    taker.says(503)
    deliver(shop)

    shopper.post(f"/api/orders/{order_id}/cancel", json={})
    taker.says(200)
    shop.clock.forward(6)
    deliver(shop)

    assert [post.message["data"]["order"]["status"] for post in taker.got] == ["confirmed", "cancelled"]
    assert taker.events == ["order.confirmed", "order.confirmed"]


def test_nobody_is_asked_for_ever(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    listens(shop, taker)
    buys(shop)
    began = shop.clock()
    taker.says(500)

    for _ in range(MOST_TRIES):
        deliver(shop)
        last = only(shop)
        shop.clock.at = last.next_at or shop.clock.at

    assert (last.status, last.attempts, last.next_at) == ("failed", MOST_TRIES, None)
    assert 23.5 * HOUR_MS <= shop.clock() - began <= 25 * HOUR_MS
    shop.clock.forward(24 * 3600)
    deliver(shop)
    assert len(taker.got) == MOST_TRIES


def test_who_is_gone_is_switched_off_at_once(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    to = listens(any_shop, taker)
    buys(any_shop)
    taker.says(410)

    deliver(any_shop)
    buys(any_shop)
    deliver(any_shop)

    off = endpoint(any_shop, to.id)
    assert (off.is_active, off.switched_off) == (False, "it answered 410 Gone")
    assert only(any_shop).status == "failed"
    assert len(taker.got) == 1


def test_who_takes_nothing_for_days_is_switched_off(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=9)
    to = listens(any_shop, taker)
    taker.says(500)
    buys(any_shop)
    deliver(any_shop)
    any_shop.clock.forward(HOPELESS_AFTER_MS / 1000 - 1)

    deliver(any_shop)
    assert endpoint(any_shop, to.id).is_active
    any_shop.clock.forward(HOUR_MS)
    deliver(any_shop)

    off = endpoint(any_shop, to.id)
    assert (off.is_active, off.switched_off) == (False, "it took nothing for 5 days")


def test_a_redirect_is_not_followed(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    listens(shop, taker)
    buys(shop)
    taker.says(307, location=f"{taker.url}/elsewhere")

    deliver(shop)

    assert [post.path for post in taker.got] == ["/hooks"]
    assert (only(shop).status, only(shop).detail) == ("waiting", "307")


def test_who_asks_for_time_is_given_it(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    listens(shop, taker)
    buys(shop)
    taker.says(429, retry_after="120")

    deliver(shop)

    assert only(shop).next_at == shop.clock() + 120_000


def test_where_nobody_answers_it_is_said_why(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    row = listens(shop, taker)
    with shop.database.writing() as session:
        session.get_one(EndpointRow, row.id).url = "http://127.0.0.1:9/"
    buys(shop)

    deliver(shop)

    (entry,) = log(shop, only(shop).id)
    assert (entry.outcome, entry.code) == ("failed", None)
    assert entry.answer.startswith("no answer: NewConnectionError: ")
    assert "0x" not in entry.answer


def test_an_answer_that_no_database_takes_is_kept_as_one_that_it_does(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    listens(any_shop, taker)
    buys(any_shop)
    taker.says(200, b"\x00\xff\xed\xa0\x80" + "é\u2028\x1b[31m".encode() * 200)

    deliver(any_shop)

    assert only(any_shop).status == "sent"
    assert "\x00" not in (only(any_shop).detail or "")


def test_a_long_answer_is_cut_and_not_taken_for_the_next(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=9)
    listens(shop, taker)
    taker.says(200, b"x" * 300_000)
    postman = Postman(shop.runtime)

    for _ in range(3):
        buys(shop)
        deliver(shop, postman)

    assert len(taker.got) == 3
    with shop.database.reading() as session:
        rows = session.scalars(select(NoticeRow)).all()
    assert [(row.status, row.attempts, len(row.detail or "")) for row in rows] == [("sent", 1, 200)] * 3
    postman.leave()


def test_a_hung_endpoint_holds_up_nobody_else(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=100)
    relent = threading.Event()
    with receiver() as hung:

        def wait(_: Post) -> Reply:
            relent.wait(20)
            return 200, {}, b""

        hung.answer = wait
        for _ in range(3):
            listens(shop, hung)
        listens(shop, taker)
        orders = [shop.checkout(MUG=1) for _ in range(10)]
        shop.work_until_idle()
        postman = Postman(shop.runtime)

        def all_told() -> bool:
            postman.round()
            return len(taker.got) == len(orders)

        until(all_told, 10, "the others to be told")

        assert len(hung.got) == 3 * post.EACH
        relent.set()
        deliver(shop, postman)
    assert len(hung.got) == len(set(hung.ids)) == 30
    postman.leave()


def test_an_endpoint_that_does_not_answer_in_time_has_failed(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    relent = threading.Event()

    def wait(_: Post) -> Reply:
        relent.wait(20)
        return 200, {}, b""

    taker.answer = wait
    listens(shop, taker)
    buys(shop)

    deliver(shop, Postman(shop.runtime, hooks=Hooks(seconds=0.2)))
    relent.set()

    assert only(shop).status == "waiting"
    assert "no answer: ReadTimeoutError" in (only(shop).detail or "")


# ---------------------------------------------------------------- deaths


@pytest.mark.parametrize("point", ["notices.writing", "notices.written", "notices.claimed"])
def test_killed_before_it_sends_another_postman_does(any_shop: Shop, taker: Receiver, point: str) -> None:
    any_shop.stocked(MUG=3)
    listens(any_shop, taker)
    buys(any_shop)

    dies_at(point, lambda: deliver(any_shop, Postman(any_shop.runtime)))
    assert taker.got == []
    any_shop.clock.forward(6)
    deliver(any_shop)

    assert taker.ids == [only(any_shop).id]
    assert only(any_shop).status == "sent"


@pytest.mark.parametrize("point", ["notices.sent", "notices.answered"])
def test_killed_before_it_notes_the_answer_the_same_is_sent_again(any_shop: Shop, taker: Receiver, point: str) -> None:
    any_shop.stocked(MUG=3)
    listens(any_shop, taker)
    buys(any_shop)

    dies_at(point, lambda: deliver(any_shop, Postman(any_shop.runtime)))
    deliver(any_shop)
    assert len(taker.got) == 1
    any_shop.clock.forward(6)
    deliver(any_shop)

    assert taker.ids == [only(any_shop).id] * 2
    assert (only(any_shop).status, only(any_shop).attempts) == ("sent", 2)


def dies_at(point: str, work: Callable[[], None]) -> None:
    failpoints.arm(point, die)
    with pytest.raises(Killed):
        work()
    failpoints.disarm()


def test_what_cannot_be_noted_while_sql_is_away_is_noted_when_it_is_back(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    listens(shop, taker)
    buys(shop)
    postman = Postman(shop.runtime)
    postman.round()
    until(lambda: taker.got, what="the message")

    with sql_away(shop):
        until(lambda: not postman.step(), what="the postman to see that SQL is away")
        with pytest.raises(Unavailable):
            postman.round()
    deliver(shop, postman)

    assert len(taker.got) == 1
    assert only(shop).status == "sent"


def test_a_postman_who_is_told_to_stop_notes_what_was_answered(shop: Shop, taker: Receiver) -> None:
    shop.stocked(MUG=3)
    listens(shop, taker)
    buys(shop)
    stop = threading.Event()
    at_work = threading.Thread(target=Postman(shop.runtime).run, args=(stop,))

    at_work.start()
    until(lambda: taker.got, what="the message")
    stop.set()
    at_work.join()

    assert only(shop).status == "sent"


# ---------------------------------------------------------------- keeping house


def test_what_waits_for_an_endpoint_that_is_switched_off_is_given_up(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    to = listens(any_shop, taker)
    buys(any_shop)
    with any_shop.database.writing() as session:
        session.get_one(EndpointRow, to.id).is_active = False
    any_shop.clock.forward(61)

    deliver(any_shop)

    assert (only(any_shop).status, only(any_shop).detail) == ("failed", "not sent: its endpoint is switched off")
    assert taker.got == []


def test_what_waits_for_an_endpoint_that_is_gone_is_dropped(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    to = listens(any_shop, taker)
    buys(any_shop)
    with any_shop.database.writing() as session:
        session.delete(session.get_one(EndpointRow, to.id))
    any_shop.clock.forward(61)

    deliver(any_shop)

    assert only(any_shop).status == "dropped"


def test_what_is_long_over_is_forgotten(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    listens(any_shop, taker)
    buys(any_shop)
    deliver(any_shop)
    any_shop.clock.forward(KEPT_MS / 1000 + 1)
    buys(any_shop)

    later = any_shop.clock()

    dies_at("notices.tidying", lambda: deliver(any_shop))
    any_shop.clock.forward(6)
    deliver(any_shop)

    assert only(any_shop).created_at == later
    with any_shop.database.reading() as session:
        assert {each.notice_id for each in session.scalars(select(AttemptRow))} == {only(any_shop).id}


# ---------------------------------------------------------------- the rules


@given(st.floats(0, 1), st.integers(0, 10**9))
def test_tries_come_ever_later_and_end_after_a_day(chance: float, asked: int) -> None:
    waits = [again_in_ms(tries, chance) for tries in range(1, MOST_TRIES + 1)]

    *between, last = waits
    assert last is None
    assert all(least <= found <= least * 1.05 for least, found in zip(DELAYS_MS, between, strict=True) if found)
    assert all(sooner <= later for sooner, later in pairwise(DELAYS_MS))
    assert 23.5 * HOUR_MS <= sum(found or 0 for found in between) <= 25 * HOUR_MS
    for tries in range(1, MOST_TRIES):
        asked_for = again_in_ms(tries, chance, asked)
        assert asked_for == max(waits[tries - 1] or 0, min(asked, LONGEST_RETRY_AFTER_MS))


def test_a_notice_is_called_by_what_it_tells_and_whom() -> None:
    assert News("o", "order.shipped", 2).id_for("ep_a") == "o_shipped-2_ep_a"
    assert News("o", "order.requires_action").id_for("mail") == "o_requires_action_mail"


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("120", 120_000),
        ("9999999999999", 999_999_999_000),
        ("-5", None),
        ("Thu, 01 Jan 1970 00:01:00 GMT", 50_000),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(header: str | None, ms: int | None) -> None:
    assert retry_after_ms(header, 10_000) == ms
