"""Deaths at the places that real processes come to too seldom to wait for them: see tests/fire/places.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from tasks import checkout as checkout_job
from tasks import failpoints
from tasks import pay as pay_job
from tests.harness import Shop
from tests.tasks.crashes import Nth, buys, check, die, shopper, stock_closes, with_point, work, work_to_the_end


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.disarm()


def dies_at(shop: Shop, point: str) -> None:
    """The jobs run once, and die there."""
    death = Nth(1, die)
    with_point(point, death, lambda: work(shop))
    assert death.happened


@pytest.mark.parametrize("point", ["settle.leaving", "settle.left"])
def test_a_settlement_that_dies_as_a_long_run_ends_leaves_the_rest_to_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    shop.stocked(MUG=1000)
    shop.runtime = replace(shop.runtime, settle_batch=1)
    clients = [shopper(shop) for _ in range(3)]
    order_ids = [buys(shop, client, "tok_approve") for client in clients]
    monkeypatch.setattr(checkout_job, "LONGEST_RUN_SECONDS", -1.0)

    dies_at(shop, point)
    work_to_the_end(shop)

    assert [check(shop, *each) for each in zip(order_ids, clients, strict=True)] == ["confirmed"] * 3
    stock_closes(shop)


@pytest.mark.parametrize("point", ["pay.leaving", "pay.left"])
def test_a_pay_job_that_dies_as_a_long_run_ends_leaves_the_rest_to_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    shop.stocked(MUG=1000)
    client = shopper(shop)
    order_id = buys(shop, client, "tok_approve")

    with monkeypatch.context() as patched:
        patched.setattr(pay_job, "LONGEST_RUN_SECONDS", -1.0)
        dies_at(shop, point)
    work_to_the_end(shop)

    assert check(shop, order_id, client) == "confirmed"
    stock_closes(shop)


@pytest.mark.parametrize("point", ["pay.setting_aside", "pay.set_aside"])
@pytest.mark.parametrize("token", ["tok_approve", "tok_timeout_after", "tok_action_approved"])
def test_a_pay_job_that_dies_over_an_answer_that_cannot_be_written_asks_again_later(
    shop: Shop, token: str, point: str
) -> None:
    shop.stocked(MUG=1000)
    client = shopper(shop)
    order_id = buys(shop, client, token)
    refuse = f"CREATE TRIGGER refuse BEFORE INSERT ON order_events WHEN NEW.order_id = '{order_id}'"
    never = "NEW.stage NOT IN ('accepted', 'stock_taken') BEGIN SELECT RAISE(ABORT, 'refused'); END"

    with shop.database.writing() as session:
        session.execute(text(f"{refuse} AND {never}"))
    dies_at(shop, point)
    with shop.database.writing() as session:
        session.execute(text("DROP TRIGGER refuse"))
    work_to_the_end(shop)

    assert check(shop, order_id, client) == "confirmed"
    stock_closes(shop)
