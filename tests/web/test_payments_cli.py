"""What stands for a person: found, asked once more, or settled by their word; the books close as always."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import text

from db import payments
from db.models import PaymentRow
from shop.payments import Approved
from tests.carts.sample import at_once
from tests.harness import Client, Shop
from tests.tasks.crashes import work_to_the_end
from tests.tasks.helpers import cart_of
from tests.tasks.test_audit import audit
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok, pointers, problem

UNKNOWN = "01999999-9999-7999-8999-999999999999-authorize"
NOBODY = "no payments stand for a person\n"


def flask(shop: Shop, *args: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=["payments", *args])


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def refused(result: Result) -> str:
    """The one line that says why."""
    assert result.exit_code == 1, result.output
    (line,) = result.output.splitlines()
    return line


class Case:
    """An order of two mugs by card, and its payments."""

    def __init__(self, shop: Shop, token: str = "tok_approve") -> None:
        self.shop, self.shopper = shop, shop.shopper()
        shop.stocked(MUG=10)
        self.order_id = shop.checkout(self.shopper, {"payment_method": "card", "payment_token": token}, MUG=2)
        shop.work_until_idle()

    def key(self, kind: str) -> str:
        return f"{self.order_id}-{kind}"

    def rows(self) -> dict[str, PaymentRow]:
        with self.shop.database.reading() as session:
            found = payments.rows_of(session, [self.order_id])[self.order_id]
        return {row.key.removeprefix(f"{self.order_id}-"): row for row in found}

    def give_up_on(self, kind: str) -> None:
        """Whatever became of it, the shop does not know and asks no more."""
        self.sql(
            f"UPDATE payments SET status = 'stuck', next_at = NULL, leased_by = NULL WHERE key = '{self.key(kind)}'"
        )

    def sql(self, *statements: str) -> None:
        with self.shop.database.writing() as session:
            for statement in statements:
                session.execute(text(statement))

    def cancel(self) -> None:
        ok(self.shopper.post(f"/api/orders/{self.order_id}/cancel", json={}))

    def state(self) -> tuple[str, str]:
        order = self.shop.order(self.order_id)
        return order.status, order.payment_status

    def account(self) -> tuple[int, int, int]:
        """What the provider holds, took and gave back."""
        (found,) = [each for each in self.shop.sandbox.books() if each.order_id == self.order_id]
        return found.held_minor, found.captured_minor, found.refunded_minor

    @property
    def total(self) -> int:
        return self.shop.order(self.order_id).total_minor

    @property
    def provider_id(self) -> str:
        """What the provider calls the payment: a person reads it there."""
        found = self.shop.sandbox.look_up(self.order_id, None)
        assert isinstance(found, Approved)
        return found.provider_id

    def resolves(self, kind: str, *said: str) -> str:
        """By the command line, then all the work that follows; answers what was printed."""
        printed = done(flask(self.shop, "resolve", self.key(kind), *said, "--by", "Ada"))
        self.shop.work_until_idle()
        return printed

    def closes(self) -> None:
        assert done(flask(self.shop, "unresolved")) == NOBODY
        result = audit(self.shop)
        assert result.exit_code == 0, result.output
        assert self.shop.stock("MUG") == self.shop.ledger("MUG")


def stages(case: Case) -> list[tuple[str, str | None, str | None]]:
    merchant = merchant_of(case.shop, "orders")
    timeline = ok(merchant.get(f"/api/admin/orders/{case.order_id}"))["timeline"]
    return [(event["stage"], event["detail"], event["actor"]) for event in timeline]


def listed(shop: Shop, merchant: Client | None = None) -> list[tuple[str, str]]:
    answer = ok((merchant or merchant_of(shop, "orders")).get("/api/admin/payments/unresolved"))
    return [(item["payment"]["key"], item["why"]) for item in answer["items"]]


# ---------------------------------------------------------------- a payment that nobody knows


def test_a_shop_in_order_has_none(any_shop: Shop) -> None:
    for token in ("tok_approve", "tok_decline", "tok_action"):
        Case(any_shop, token) if token == "tok_approve" else any_shop.checkout(
            None, {"payment_method": "card", "payment_token": token}, MUG=1
        )
    any_shop.work_until_idle()

    assert done(flask(any_shop, "unresolved")) == NOBODY
    assert listed(any_shop) == []


def test_what_the_provider_never_says_stands_for_a_person(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_fail_9999")
    work_to_the_end(any_shop)
    assert case.state() == ("processing", "unknown")

    printed = done(flask(any_shop, "unresolved"))

    assert f"{case.key('authorize')}: stuck, " in printed
    assert f"order {case.order_id}" not in printed  # It has no number and no end.
    assert "order is processing, its payment unknown" in printed
    assert f"Ask sandbox's dashboard for a payment with our reference {case.order_id}" in printed
    assert f"flask payments resolve {case.key('authorize')} --charged ITS_ID, or --not-charged" in printed
    assert printed.endswith("1 payments stand for a person\n")
    assert listed(any_shop) == [(case.key("authorize"), "stuck")]
    assert audit(any_shop).exit_code == 0
    assert any_shop.stock("MUG") == 8


def test_a_payment_that_was_not_made_fails_the_order(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_fail_9999")
    work_to_the_end(any_shop)

    printed = case.resolves("authorize", "--not-charged")

    assert printed == f"{case.key('authorize')} is resolved: order {case.order_id} is failed, its payment failed\n"
    assert any_shop.order(case.order_id).failure_code == "payment_declined"
    assert any_shop.stock("MUG") == 10
    assert cart_of(case.shopper) == {"MUG": 2}
    assert ("payment_resolved", "not charged", "Ada") in stages(case)
    case.closes()


def test_a_payment_that_was_made_confirms_the_order_and_is_captured(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_timeout_after")
    case.give_up_on("authorize")

    case.resolves("authorize", "--charged", case.provider_id)

    assert case.state() == ("confirmed", "captured")
    assert case.account() == (0, case.total, 0)
    assert any_shop.stock("MUG") == 8
    assert cart_of(case.shopper) == {}
    assert [stage for stage, _, _ in stages(case)][-4:] == [
        "payment_resolved",
        "payment_authorized",
        "confirmed",
        "payment_captured",
    ]
    case.closes()


def test_a_payment_that_was_made_for_a_cancelled_order_is_given_up(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_timeout_after")
    case.cancel()
    case.give_up_on("authorize")

    case.resolves("authorize", "--charged", case.provider_id)

    assert case.state() == ("cancelled", "voided")
    assert case.account() == (0, 0, 0)
    case.closes()


def test_a_payment_that_was_not_made_for_a_cancelled_order_leaves_it_cancelled(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_fail_9999")
    case.cancel()
    case.give_up_on("authorize")

    case.resolves("authorize", "--not-charged")

    assert case.state() == ("cancelled", "voided")
    assert any_shop.stock("MUG") == 10
    case.closes()


def test_a_payment_is_asked_for_once_more_with_its_own_key(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_timeout_after")
    case.give_up_on("authorize")
    tries = case.rows()["authorize"].tries

    printed = done(flask(any_shop, "retry", case.key("authorize")))
    any_shop.work_until_idle()

    assert printed == f"{case.key('authorize')} is due; follow order {case.order_id}\n"
    assert case.state() == ("confirmed", "captured")
    assert case.account() == (0, case.total, 0)
    assert case.rows()["authorize"].tries == tries + 1
    assert ("authorize_retried", None, "flask payments") in stages(case)
    case.closes()


def test_past_the_providers_memory_it_is_looked_up_and_not_repeated(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_fail_9999")
    work_to_the_end(any_shop)

    done(flask(any_shop, "retry", case.key("authorize")))
    any_shop.work_until_idle()

    assert [call.operation for call in any_shop.sandbox.calls(case.order_id)][-1] == "look_up"
    assert case.state() == ("processing", "unknown")
    assert listed(any_shop) == [(case.key("authorize"), "stuck")]


# ---------------------------------------------------------------- captures


def test_a_capture_that_was_refused_stands_until_it_is_taken(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_capture_refused")
    assert listed(any_shop) == [(case.key("capture"), "capture_refused")]

    done(flask(any_shop, "retry", case.key("capture")))
    any_shop.work_until_idle()
    assert listed(any_shop) == [(case.key("capture"), "capture_refused")]
    case.resolves("capture", "--charged", case.provider_id)

    assert case.state() == ("confirmed", "captured")
    case.closes()


def test_a_capture_that_was_refused_stands_until_the_order_is_cancelled(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_capture_refused")
    assert "was refused already" in refused(flask(any_shop, "resolve", case.key("capture"), "--not-charged"))

    case.cancel()
    any_shop.work_until_idle()

    assert case.state() == ("cancelled", "voided")
    assert case.account() == (0, 0, 0)
    case.closes()


@pytest.mark.parametrize(("said", "why"), [("--charged", []), ("--not-charged", ["capture_refused"])])
def test_a_capture_that_nobody_knows_is_what_a_person_says(any_shop: Shop, said: str, why: list[str]) -> None:
    case = Case(any_shop, "tok_capture_timeout")
    case.give_up_on("capture")

    case.resolves("capture", said, *([case.provider_id] if said == "--charged" else []))

    assert case.state() == ("confirmed", "authorized" if why else "captured")
    assert [each[1] for each in listed(any_shop)] == why


def test_another_payment_than_the_one_that_is_known_is_refused(shop: Shop) -> None:
    case = Case(shop, "tok_capture_refused")

    line = refused(flask(shop, "resolve", case.key("capture"), "--charged", "pay_of_somebody_else"))

    assert line == f"Error: field /provider_id: this payment is called {case.provider_id} there"
    assert case.state() == ("confirmed", "authorized")


def test_money_that_is_only_reserved_for_a_day_stands_for_a_person(any_shop: Shop) -> None:
    case = Case(any_shop)
    case.sql(
        f"DELETE FROM payments WHERE key = '{case.key('capture')}'",
        f"UPDATE orders SET payment_status = 'authorized' WHERE id = '{case.order_id}'",
    )
    any_shop.clock.forward(24 * 3600 - 1)
    assert listed(any_shop) == []
    any_shop.clock.forward(2)
    assert listed(any_shop) == [(case.key("authorize"), "not_captured")]

    done(flask(any_shop, "retry", case.key("authorize")))
    any_shop.work_until_idle()

    assert case.state() == ("confirmed", "captured")
    assert case.account() == (0, case.total, 0)
    case.closes()


def test_a_capture_that_takes_a_day_stands_for_a_person(any_shop: Shop) -> None:
    case = Case(any_shop)
    case.sql(
        f"UPDATE payments SET status = 'due', next_at = 1795999999999 WHERE key = '{case.key('capture')}'",
        f"UPDATE orders SET payment_status = 'authorized' WHERE id = '{case.order_id}'",
    )
    any_shop.clock.forward(24 * 3600 + 1)
    assert listed(any_shop) == [(case.key("capture"), "not_captured")]

    done(flask(any_shop, "retry", case.key("capture")))
    any_shop.work_until_idle()

    assert case.state() == ("confirmed", "captured")
    case.closes()


# ---------------------------------------------------------------- voids and refunds


def test_a_void_that_somebody_did_at_the_provider_closes_the_books(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_capture_refused")
    case.cancel()
    case.give_up_on("void")
    assert listed(any_shop) == [(case.key("void"), "stuck")]
    any_shop.sandbox.void(case.provider_id, "by-hand")

    case.resolves("void", "--not-charged")

    assert case.state() == ("cancelled", "voided")
    assert case.account() == (0, 0, 0)
    case.closes()


def test_money_that_somebody_took_at_the_provider_before_it_was_given_up_goes_back(any_shop: Shop) -> None:
    case = Case(any_shop)
    case.sql(
        f"DELETE FROM payments WHERE key = '{case.key('capture')}'",
        f"UPDATE orders SET payment_status = 'authorized' WHERE id = '{case.order_id}'",
    )
    case.cancel()
    case.give_up_on("void")

    case.resolves("void", "--charged", case.provider_id)

    assert case.state() == ("cancelled", "refunded")
    assert case.account() == (0, case.total, case.total)
    case.closes()


def test_a_refund_that_was_refused_for_a_cancelled_order_is_given_back_by_hand(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_refused")
    case.cancel()
    any_shop.work_until_idle()
    assert listed(any_shop) == [(case.key("refund-1"), "refund_refused")]

    case.resolves("refund-1", "--refunded", "Transfer 4")

    assert case.state() == ("cancelled", "refunded")
    assert case.rows()["refund-1"].result_id == "Transfer 4"
    assert ("payment_resolved", "refunded", "Ada") in stages(case)
    case.closes()


def test_a_refund_that_was_refused_is_not_given_back_twice(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_refused")
    merchant, path = merchant_of(any_shop, "orders"), f"/api/admin/orders/{case.order_id}/refunds"
    ok(merchant.post(path, json={}), 201)
    any_shop.work_until_idle()
    ok(merchant.post(path, json={}), 201)

    for args in (("retry", case.key("refund-1")), ("resolve", case.key("refund-1"), "--refunded", "re_1")):
        assert "by another refund" in refused(flask(any_shop, *args))
    assert case.rows()["refund-1"].status == "refused"


def test_a_refund_that_nobody_knows_is_not_repeated_but_resolved(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_refund_timeout")
    case.cancel()
    any_shop.work_until_idle()
    case.give_up_on("refund-1")
    any_shop.clock.forward(25 * 3600)
    assert listed(any_shop) == [(case.key("refund-1"), "stuck")]

    assert "would refund a second time" in refused(flask(any_shop, "retry", case.key("refund-1")))
    case.resolves("refund-1", "--refunded", "re_1")

    assert case.state() == ("cancelled", "refunded")
    assert case.account() == (0, case.total, case.total)
    case.closes()


def test_a_refund_that_was_not_given_back_is_asked_for_anew(any_shop: Shop) -> None:
    case = Case(any_shop)
    case.cancel()
    case.give_up_on("refund-1")
    case.resolves("refund-1", "--not-refunded")
    assert listed(any_shop) == [(case.key("refund-1"), "refund_refused")]

    ok(merchant_of(any_shop, "orders").post(f"/api/admin/orders/{case.order_id}/refunds", json={}), 201)
    any_shop.work_until_idle()

    assert case.state() == ("cancelled", "refunded")
    assert case.account() == (0, case.total, case.total)
    case.closes()


# ---------------------------------------------------------------- what cannot be


def test_what_is_done_is_neither_retried_nor_resolved(shop: Shop) -> None:
    case = Case(shop)

    retried = refused(flask(shop, "retry", case.key("capture")))
    resolved = refused(flask(shop, "resolve", case.key("authorize"), "--not-charged"))

    assert retried == "Error: Nothing is to be retried: this capture is succeeded."
    assert resolved == "Error: Nothing is to be resolved: this authorize is succeeded."
    assert case.state() == ("confirmed", "captured")


def test_what_is_being_worked_on_is_not_resolved_but_may_be_hurried(shop: Shop) -> None:
    case = Case(shop, "tok_timeout_after")
    assert "this authorize is unknown" in refused(flask(shop, "resolve", case.key("authorize"), "--not-charged"))

    done(flask(shop, "retry", case.key("authorize")))
    shop.work_until_idle()

    assert case.state() == ("confirmed", "captured")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (("retry", UNKNOWN), f"Error: There is no payment {UNKNOWN}."),
        (("resolve", UNKNOWN, "--not-charged"), f"Error: There is no payment {UNKNOWN}."),
    ],
)
def test_an_unknown_payment_is_one_line(any_shop: Shop, args: tuple[str, ...], line: str) -> None:
    assert refused(flask(any_shop, *args)) == line


def test_an_outcome_must_fit_the_payment(shop: Shop) -> None:
    case = Case(shop, "tok_fail_9999")
    case.give_up_on("authorize")

    line = refused(flask(shop, "resolve", case.key("authorize"), "--refunded", "re_1"))

    assert line == "Error: field /outcome: of a authorize say charged or not_charged"
    for said in ((), ("--charged", "pay_1", "--not-charged")):
        assert flask(shop, "resolve", case.key("authorize"), *said).exit_code == 2


# ---------------------------------------------------------------- the same over HTTP


def api(merchant: Client, key: str, what: str, **body: Any) -> Any:
    return merchant.post(f"/api/admin/payments/{key}/{what}", json=body)


def test_the_merchant_resolves_and_retries_over_http_too(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_timeout_after")
    case.give_up_on("authorize")
    merchant = merchant_of(any_shop, "orders", name="Ada's key")
    (item,) = ok(merchant.get("/api/admin/payments/unresolved"))["items"]
    assert (item["order_id"], item["why"], item["order_status"]) == (case.order_id, "stuck", "processing")
    assert "token" not in item["payment"]
    assert case.order_id in item["advice"]

    order = ok(api(merchant, case.key("authorize"), "resolve", outcome="charged", provider_id=case.provider_id))
    assert (order["status"], order["payment_status"]) == ("confirmed", "authorized")
    order = ok(merchant.post(f"/api/admin/payments/{case.key('capture')}/retry"))
    any_shop.work_until_idle()

    assert case.state() == ("confirmed", "captured")
    assert ("payment_resolved", "charged", "Ada's key") in stages(case)
    case.closes()


def test_of_two_who_say_different_things_one_is_heard(any_shop: Shop) -> None:
    case = Case(any_shop, "tok_timeout_after")
    case.give_up_on("authorize")
    clients, provider_id = [merchant_of(any_shop, "orders") for _ in range(4)], case.provider_id
    said = [{"outcome": "charged", "provider_id": provider_id}, {"outcome": "not_charged"}]

    answers = at_once(4, lambda n: api(clients[n], case.key("authorize"), "resolve", **said[n % 2]).status_code)

    assert sorted(answers) == [200, 409, 409, 409]
    assert case.state()[0] in ("confirmed", "failed")
    assert any_shop.stock("MUG") == any_shop.ledger("MUG") == (8 if case.state()[0] == "confirmed" else 10)


def test_over_http_it_is_refused_alike(shop: Shop) -> None:
    case = Case(shop, "tok_fail_9999")
    case.give_up_on("authorize")
    merchant = merchant_of(shop, "orders")

    problem(api(merchant, UNKNOWN, "resolve", outcome="not_charged"), 404, "payment_not_found")
    problem(merchant.post(f"/api/admin/payments/{UNKNOWN}/retry"), 404, "payment_not_found")
    problem(merchant.post("/api/admin/payments/nonsense/retry"), 404, "not_found")
    missing = problem(api(merchant, case.key("authorize"), "resolve", outcome="charged"), 422, "validation_failed")
    assert pointers(missing) == ["/provider_id"]
    unfit = problem(api(merchant, case.key("authorize"), "resolve", outcome="refunded"), 422, "validation_failed")
    assert pointers(unfit) == ["/outcome"]
    problem(merchant_of(shop, "stock").get("/api/admin/payments/unresolved"), 403, "missing_scope")


def test_a_long_list_comes_in_portions_the_longest_untouched_first(any_shop: Shop) -> None:
    any_shop.stocked(MUG=10)
    keys = []
    for _ in range(3):
        body = {"payment_method": "card", "payment_token": "tok_capture_refused"}
        keys.append(f"{any_shop.checkout(any_shop.shopper(), body, MUG=1)}-capture")
        any_shop.work_until_idle()
        any_shop.clock.forward(1)

    answer = ok(merchant_of(any_shop, "orders").get("/api/admin/payments/unresolved?per_page=2"))

    assert [item["payment"]["key"] for item in answer["items"]] == keys[:2]
    assert answer["more"] is True
