"""Every token of the sandbox, with a death, another worker or a cancel at every step of the pay stage (P1-P5, P7)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tasks import failpoints
from tasks.failpoints import POINTS
from tests.harness import Shop
from tests.tasks.crashes import (
    INSIDE,
    Nth,
    buys,
    cancel,
    check,
    die,
    shopper,
    stock_closes,
    with_point,
    work,
    work_to_the_end,
)

MANUAL = [
    "tok_approve",
    "tok_decline",
    "tok_slow_20",
    "tok_timeout_before",
    "tok_timeout_after",
    "tok_fail_2",
    "tok_unreachable_2",
    "tok_action",
    "tok_action_approved",
    "tok_action_approved_30000",
    "tok_action_refused",
    "tok_wrong_amount",
    "tok_capture_refused",
    "tok_capture_timeout",
    "tok_void_timeout",
    "tok_refund_refused",
    "tok_refund_timeout",
    "tok_nobody_knows",
]
AUTOMATIC = [
    "tok_approve",
    "tok_timeout_after",
    "tok_action_approved",
    "tok_wrong_amount",
    "tok_capture_refused",
    "tok_capture_timeout",
    "tok_refund_refused",
    "tok_refund_timeout",
]
EVERY = [*((token, "manual") for token in MANUAL), *((token, "automatic") for token in AUTOMATIC)]
SOME = ["tok_approve", "tok_decline", "tok_timeout_after", "tok_action_approved"]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def opened(shop: Shop, capture: str = "manual") -> Shop:
    """A thousand mugs; money is taken as `capture` says."""
    shop.stocked(MUG=1000)
    methods = [method.model_copy(update={"capture": capture}) for method in shop.rules.payment.methods]
    payment = shop.rules.payment.model_copy(update={"methods": methods})
    rules = shop.rules.model_copy(update={"payment": payment})
    shop.runtime = replace(shop.runtime, rules=rules)
    shop.pay_runtime = replace(shop.pay_runtime, rules=rules)
    return shop


def points(token: str) -> list[str]:
    """Every step of paying; for some tokens those of the settlement too, which does not know one from another."""
    return [point for point in POINTS if point.startswith(("pay.", "settle.") if token in SOME else "pay.")]


def deaths(shop: Shop, token: str, point: str, most: int) -> None:
    """An order for each time that its course comes to the point, which kills it there."""
    for n in range(1, most + 1):
        client = shopper(shop)
        order_id = buys(shop, client, token)
        nth = Nth(n, die)
        with_point(point, nth, lambda: work_to_the_end(shop))
        check(shop, order_id, client)
        if not nth.happened:
            break


@pytest.mark.parametrize(("token", "capture"), EVERY)
def test_a_job_that_is_killed_anywhere_leaves_books_that_close(shop: Shop, token: str, capture: str) -> None:
    opened(shop, capture)

    for point in points(token):
        deaths(shop, token, point, most=2)

    stock_closes(shop)


def interrupted(shop: Shop, token: str, point: str, meanwhile: Callable[[Shop, str], None], most: int) -> None:
    """An order for each time that its course comes to the point, where something else happens meanwhile."""
    for n in range(1, most + 1):
        client = shopper(shop)
        order_id = buys(shop, client, token)
        nth = Nth(n, lambda order_id=order_id: meanwhile(shop, order_id))
        with_point(point, nth, lambda: work_to_the_end(shop))
        check(shop, order_id, client)
        if not nth.happened:
            break


@pytest.mark.parametrize(("token", "capture"), EVERY)
def test_a_cancel_at_any_moment_ends_in_exactly_one_of_the_two(shop: Shop, token: str, capture: str) -> None:
    opened(shop, capture)

    for point in (each for each in points(token) if each not in INSIDE):
        interrupted(shop, token, point, cancel, most=2 if token in SOME else 1)

    stock_closes(shop)


def another_worker(shop: Shop, _order_id: str) -> None:
    """Whoever is at the point sleeps for so long that another takes its work over and does it."""
    shop.clock.forward(4)
    work(shop)
    shop.clock.forward(4)
    work(shop)


@pytest.mark.parametrize(("token", "capture"), EVERY)
def test_a_worker_that_is_overtaken_does_nothing_twice(shop: Shop, token: str, capture: str) -> None:
    opened(shop, capture)

    for point in (each for each in points(token) if each not in INSIDE):
        interrupted(shop, token, point, another_worker, most=2 if token in SOME else 1)

    stock_closes(shop)


def test_a_repeated_job_changes_nothing(shop: Shop) -> None:
    opened(shop)
    bought = []
    for token in MANUAL:
        client = shopper(shop)
        bought.append((buys(shop, client, token), client))
    work_to_the_end(shop)
    calls = len(list(shop.sandbox.calls()))

    for _ in range(3):
        work(shop)
        shop.clock.forward(7200)

    assert len(list(shop.sandbox.calls())) == calls
    for order_id, client in bought:
        check(shop, order_id, client)
    stock_closes(shop)


@pytest.mark.parametrize("token", SOME)
def test_the_same_holds_on_every_pair_of_stores(any_shop: Shop, token: str) -> None:
    opened(any_shop)

    for point in ("settle.committed", "pay.writing", "pay.leased", "pay.asked", "pay.called", "pay.telling"):
        deaths(any_shop, token, point, most=1)
    for point, meanwhile in itertools.product(["pay.asking", "pay.asked", "pay.telling"], [cancel, another_worker]):
        interrupted(any_shop, token, point, meanwhile, most=1)

    stock_closes(any_shop)
