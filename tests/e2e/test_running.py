"""The whole shop as processes: started, used, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from db.models import ProductRow, StockMovementRow
from db.session import Database
from tests.processes import RunningShop, Shopper, running
from tests.servers import until, valkey
from web.settings import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningShop]:
    """An open shop; whatever the tests did to it, its audit finds nothing in the end."""
    with running(RunningShop(tmp_path_factory.mktemp("shop") / "var")) as found:
        yield found
        command = [sys.executable, "-m", "flask", "--app", "app", "audit"]
        audit = subprocess.run(command, cwd=ROOT, env=found.environment, capture_output=True, text=True)
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert audit.stdout.endswith("every promise holds\n")


def set_stock(shop: RunningShop, product_id: str, quantity: int) -> None:
    """Count a product's stock, with the movement that says so."""
    database = Database(f"sqlite:///{shop.var_dir}/shop.db")
    with database.writing() as session:
        row = session.get(ProductRow, product_id)
        assert row is not None
        moved = quantity - row.stock_quantity
        session.add(StockMovementRow(product_id=product_id, kind="adjusted", quantity=moved, at=row.updated_at))
        row.stock_quantity = quantity
    database.close()


def stock(shop: RunningShop, product_id: str) -> int:
    found: int = shop.shopper().ask("GET", f"/api/products/{product_id}").body["stock_quantity"]
    return found


def test_fifty_shoppers_for_the_last_unit_make_one_order_and_keep_their_carts(shop: RunningShop) -> None:
    set_stock(shop, "enamel-mug", 50)
    shoppers = [shop.shopper() for _ in range(50)]
    for shopper in shoppers:
        until(lambda who=shopper: who.add("enamel-mug").status == 200, what="the new stock to be seen")
    set_stock(shop, "enamel-mug", 1)

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda shopper: shopper.check_out(), shoppers))
    ends = [
        shopper.outcome(answer.body["id"]) if answer.status == 202 else answer.body
        for shopper, answer in zip(shoppers, answers, strict=True)
    ]

    confirmed = [end for end in ends if end.get("status") == "confirmed"]
    refused = Counter(
        end["failure"]["code"] if "failure" in end else end["code"] for end in ends if end not in confirmed
    )
    assert len(confirmed) == 1
    assert sum(refused.values()) == 49
    assert set(refused) <= {"insufficient_stock", "out_of_stock"}
    assert stock(shop, "enamel-mug") == 0
    carts = [shopper.ask("GET", "/api/cart").body["total_quantity"] for shopper in shoppers]
    assert sorted(carts) == [0] + [1] * 49


def test_twenty_equal_requests_with_one_key_make_one_order(shop: RunningShop) -> None:
    shopper = shop.shopper()
    shopper.add("linen-notebook")
    twins = [Shopper(shop.address, shopper.token) for _ in range(20)]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda twin: twin.check_out(**{"Idempotency-Key": "one"}), twins))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.body["id"] for answer in answers}) == 1
    assert sum(answer.headers.get("Idempotent-Replayed") == "true" for answer in answers) == 19
    assert len(shopper.ask("GET", "/api/orders").body["items"]) == 1


def test_twenty_requests_without_a_key_on_one_cart_make_one_order_and_clear_refusals(shop: RunningShop) -> None:
    shopper = shop.shopper()
    shopper.add("linen-notebook")
    twins = [Shopper(shop.address, shopper.token) for _ in range(20)]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda twin: twin.check_out(), twins))

    accepted = [answer.body["id"] for answer in answers if answer.status == 202]
    refused = [answer.body for answer in answers if answer.status == 409]
    assert len(accepted) == 1
    assert len(refused) == 19
    assert {body["code"] for body in refused} == {"already_checked_out"}
    assert {body["order_id"] for body in refused} == set(accepted)


def test_waiting_for_an_order_is_answered_when_it_is_settled(shop: RunningShop) -> None:
    shopper = shop.shopper()
    shopper.add("linen-notebook")

    answer = shopper.check_out(Prefer="wait=20")

    assert answer.status == 200
    assert answer.body["status"] == "confirmed"
    assert answer.headers["Preference-Applied"] == "wait=20"


@pytest.mark.parametrize(
    ("role", "which"),
    [
        ("web", slice(1, 2)),
        ("web", slice(0, 1)),
        ("worker", slice(1, 2)),
        ("worker", slice(0, 1)),
        ("valkey", slice(None)),
    ],
    ids=["a web process", "the web", "a worker process", "the worker", "valkey"],
)
def test_a_killed_process_loses_no_accepted_checkout_and_is_replaced(
    shop: RunningShop, role: str, which: slice
) -> None:
    set_stock(shop, "beech-spoon", 500)
    shoppers = [shop.shopper() for _ in range(8)]
    accepted: list[tuple[Shopper, str]] = []

    def shop_on(shopper: Shopper) -> None:
        for _ in range(5):
            try:
                shopper.add("beech-spoon")
                answer = shopper.check_out()
            except OSError:
                continue  # Told nothing, promised nothing.
            assert answer.status in (202, 409, 503), answer.body
            if answer.status == 202:
                accepted.append((shopper, answer.body["id"]))

    before = shop.pids()[role]
    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(shop_on, shopper) for shopper in shoppers]
        until(lambda: len(accepted) >= 8, what="checkouts under way")
        shop.kill(role, which)
        for each in work:
            each.result()

    assert {shopper.outcome(order_id)["status"] for shopper, order_id in accepted} == {"confirmed"}
    until(lambda: len(shop.pids()[role]) == len(before), what=f"{role} to be replaced")
    survivor = shop.shopper()
    until(lambda: _sells(survivor), what="the shop to sell again")


def _sells(shopper: Shopper) -> bool:
    try:
        return shopper.add("beech-spoon").status == 200 and shopper.check_out(Prefer="wait=5").status == 200
    except OSError:
        return False


def test_a_second_start_in_the_same_folder_says_where_the_first_is(shop: RunningShop) -> None:
    code, said = RunningShop(shop.var_dir).refused()

    assert code == 2
    assert said == f"oncecart: a shop is running here already, at {shop.address}\n"


def test_a_taken_port_is_one_clear_line(shop: RunningShop, tmp_path: Path) -> None:
    code, said = RunningShop(tmp_path / "var", port=shop.port).refused()

    assert code == 2
    assert said.startswith(f"oncecart: PORT: cannot listen on 127.0.0.1:{shop.port}")
    assert said.count("\n") == 1


def test_an_unwritable_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    code, said = RunningShop(tmp_path / "file" / "var").refused()

    assert code == 2
    assert said.startswith("oncecart: VAR_DIR: cannot write to ")
    assert said.count("\n") == 1


def test_a_bad_rules_file_is_one_clear_line_with_its_place(tmp_path: Path) -> None:
    text = (Path("shop.toml")).read_text().replace('base = "4.90"', "base = 4.90")
    bad = tmp_path / "bad.toml"
    bad.write_text(text)
    line = text.splitlines().index("base = 4.90") + 1

    code, said = RunningShop(tmp_path / "var", settings={"SHOP_FILE": str(bad)}).refused()

    assert code == 2
    assert said.startswith(f"oncecart: bad.toml:{line}: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "value"), [("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru"), ("appendonly", "no")]
)
def test_a_redis_that_may_lose_data_is_refused_in_one_line(tmp_path: Path, setting: str, value: str) -> None:
    with valkey() as url:
        from redis import Redis

        with Redis.from_url(url) as client:
            client.config_set(setting, value)

        code, said = RunningShop(tmp_path / "var", settings={"REDIS_URL": url}).refused()

    assert code == 2
    assert said.startswith(f"oncecart: REDIS_URL: the server has {setting} {value}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_closing_takes_less_than_five_seconds_and_leaves_nothing_behind(tmp_path: Path, sig: int) -> None:
    with running(RunningShop(tmp_path / "var")) as shop:
        process, started = shop.process, time.monotonic()
        assert process is not None

        process.send_signal(sig)
        said, _ = process.communicate(timeout=15)

        assert process.returncode == 0, said
        assert time.monotonic() - started < 5
        assert shop.left_behind() == []


def test_a_killed_starter_takes_everything_with_it(tmp_path: Path) -> None:
    with running(RunningShop(tmp_path / "var")) as shop:
        assert shop.process is not None

        shop.process.kill()

        until(lambda: shop.left_behind() == [], 15, "everything to end")


def test_the_web_and_the_worker_start_alone_against_given_stores(tmp_path: Path) -> None:
    with valkey() as url:
        database_url = f"sqlite:///{tmp_path}/own.db"
        own = {"REDIS_URL": url, "DATABASE_URL": database_url, "SECRET_KEY": "a-secret-of-our-own"}
        subprocess.run([sys.executable, "-m", "db.migrate"], env={**os.environ, **own}, check=True)
        web = RunningShop(tmp_path / "var", settings=own, command=[sys.executable, "app.py"])
        worker = RunningShop(
            tmp_path / "var", settings=own, command=[sys.executable, "worker.py", "checkout", "payments"]
        )
        try:
            worker.launch()
            web.open()

            assert web.shopper().ask("GET", "/api/products").body["items"] == []
            assert web.shopper().ask("GET", "/readyz").body["ready"] is True
        finally:
            worker.close()
            web.close()


def test_the_whole_shop_runs_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    database = Database(postgres_url)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE own")
    database.close()
    own = postgres_url.removesuffix("/postgres") + "/own"

    with running(RunningShop(tmp_path / "var", settings={"DATABASE_URL": own})) as shop:
        shopper = shop.shopper()
        shopper.add("enamel-mug")
        answer = shopper.check_out(Prefer="wait=20")

        assert answer.body["status"] == "confirmed"
        assert answer.body["number"] == 1001
        assert not (shop.var_dir / "shop.db").exists()
