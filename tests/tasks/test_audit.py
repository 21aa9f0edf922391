"""flask audit finds what breaks a promise, and nothing else; flask reconcile mends a restored database."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from redis import Redis
from sqlalchemy import text

from carts import keys
from db.session import Database
from shop.rules import Rules
from tasks.checkout import settle
from tests.harness import Clock, Shop
from tests.tasks.helpers import cart_of
from web.settings import Settings


def audit(shop: Shop) -> Result:
    return shop.app.test_cli_runner().invoke(args=["audit"])


def reconcile(shop: Shop) -> Result:
    return shop.app.test_cli_runner().invoke(args=["reconcile"])


def run(shop: Shop, statement: str) -> None:
    """Do what the code never does."""
    with shop.database.writing() as session:
        session.execute(text(statement))


@pytest.fixture
def busy(any_shop: Shop) -> Shop:
    """A shop with confirmed, failed and waiting checkouts and a full cart."""
    any_shop.stocked(MUG=4, CUP=9)
    for _ in range(3):
        any_shop.checkout(MUG=1, CUP=2)
    any_shop.checkout(any_shop.shopper(), {"expected_total": "999"}, MUG=1)
    any_shop.work_until_idle()
    shopper = any_shop.shopper()
    any_shop.change("MUG", price_minor=1000)
    any_shop.checkout(shopper, CUP=3)
    run(any_shop, "UPDATE products SET is_active = (1 = 0) WHERE id = 'CUP'")
    settle()
    run(any_shop, "UPDATE products SET is_active = (1 = 1) WHERE id = 'CUP'")
    any_shop.clock.forward(60)
    any_shop.checkout(any_shop.shopper(), CUP=1)
    return any_shop


def test_a_shop_as_the_code_leaves_it_keeps_every_promise(busy: Shop) -> None:
    result = audit(busy)

    assert result.exit_code == 0, result.output
    assert result.output.endswith("every promise holds\n")
    assert "stock against the ledger: 2 checked" in result.output
    assert "amounts of orders: 5 checked" in result.output
    assert "accepted checkouts: 6 checked" in result.output


def test_an_empty_shop_keeps_every_promise(any_shop: Shop) -> None:
    assert audit(any_shop).exit_code == 0


CONFIRMED = "(SELECT min(id) FROM orders WHERE status = 'confirmed')"
DAMAGE = {
    "stock changed without a movement": (
        "UPDATE products SET stock_quantity = 77 WHERE id = 'MUG'",
        "P4 broken: product MUG",
    ),
    "a movement lost": (f"DELETE FROM stock_movements WHERE order_id = {CONFIRMED}", "P4 broken: confirmed order"),
    "a movement for a failed order": (
        (
            "INSERT INTO stock_movements (product_id, kind, quantity, order_id, at) "
            "SELECT 'CUP', 'sold', -3, id, 0 FROM orders WHERE status = 'failed' LIMIT 1"
        ),
        "P4 broken: failed order",
    ),
    "a movement for no line": (
        (
            f"INSERT INTO products (id, sku, name, description, price_minor, category_id, stock_quantity, image_url, "
            f"images, specifications, tax_class, weight_grams, options, is_active, created_at, updated_at) "
            f"SELECT 'HAT', 'SKU-HAT', name, description, price_minor, category_id, 0, image_url, "
            f"images, specifications, tax_class, weight_grams, options, is_active, created_at, updated_at "
            f"FROM products WHERE id = 'MUG'; INSERT INTO stock_movements (product_id, kind, quantity, order_id, at) "
            f"SELECT 'HAT', 'sold', 0, {CONFIRMED}, 0"
        ),
        "HAT moved for it, but it has no such line",
    ),
    "a total that is not the sum": (
        f"UPDATE orders SET total_minor = total_minor + 1 WHERE id = {CONFIRMED}",
        "P6 broken",
    ),
    "a line that costs something else": (
        f"UPDATE order_items SET subtotal_minor = 1 WHERE order_id = {CONFIRMED} AND position = 1",
        "P6 broken",
    ),
    "a tax that is not the sum": (
        f"UPDATE order_items SET tax_minor = tax_minor + 1 WHERE order_id = {CONFIRMED}",
        "tax is",
    ),
    "a failed order with a number": ("UPDATE orders SET number = 1005 WHERE status = 'failed'", "P2 broken: order"),
    "a gap in the numbers": (f"UPDATE orders SET number = 2000 WHERE id = {CONFIRMED}", "P2 broken: order numbers"),
    "a timeline with a gap": (
        f"DELETE FROM order_events WHERE seq = 2 AND order_id = {CONFIRMED}",
        "P1 broken: order",
    ),
    "a timeline without its end": (
        f"UPDATE order_events SET stage = 'accepted' WHERE seq = 3 AND order_id = {CONFIRMED}",
        "its timeline does not say so",
    ),
    "a status that moved by itself": (
        f"UPDATE orders SET status = 'failed', number = NULL WHERE id = {CONFIRMED}",
        "is failed in SQL and confirmed in Redis",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_found_and_named(busy: Shop, what: str) -> None:
    statements, says = DAMAGE[what]
    for statement in statements.split("; "):
        run(busy, statement)

    result = audit(busy)

    assert result.exit_code == 1
    assert says in result.output


def keep_a_cart(redis: Redis) -> None:
    for name in list(redis.scan_iter("accepted:*")):
        redis.hset(f"{name.removesuffix(':cart')}:cart", "id", "x")


LOSSES: dict[str, tuple[Callable[[Redis], object], str]] = {
    "an id that left the inbox": (lambda redis: redis.delete("accepted"), "neither waits nor was settled"),
    "a cart that was kept": (keep_a_cart, "P7 broken"),
}


@pytest.mark.parametrize("what", LOSSES)
def test_losses_in_redis_are_found_and_named(busy: Shop, what: str) -> None:
    damage, says = LOSSES[what]
    damage(busy.redis)

    result = audit(busy)

    assert result.exit_code == 1
    assert says in result.output


def test_a_checkout_that_waits_for_more_than_a_minute_is_named(busy: Shop) -> None:
    busy.redis.hset(f"accepted:{busy.runtime.inbox.peek(1)[0].order_id}", "accepted_at", busy.clock() - 61_000)

    result = audit(busy)

    assert result.exit_code == 1
    assert "P1 broken" in result.output
    assert "has waited for 61 s" in result.output


def test_more_violations_than_anyone_reads_are_counted(any_shop: Shop) -> None:
    any_shop.stocked(**{f"P{number}": 1 for number in range(130)})
    run(any_shop, "UPDATE products SET stock_quantity = 5")

    result = audit(any_shop)

    assert result.output.count("P4 broken") == 100
    assert "... and 30 more" in result.output
    assert "130 violations" in result.output


def test_a_restored_older_database_is_reconciled(shop: Shop) -> None:
    shop.stocked(MUG=5)
    early = shop.checkout(MUG=1)
    shop.work_until_idle()
    path = Path(str(shop.database.engine.url.database))
    kept = shop.app.test_cli_runner().invoke(args=["backup", str(path.with_suffix(".backup"))])
    assert kept.exit_code == 0, kept.output
    shopper = shop.shopper()
    late = shop.checkout(shopper, MUG=2)
    latest = shop.checkout(MUG=2)
    shop.work_until_idle()
    assert [shop.order(i).status for i in (early, late, latest)] == ["confirmed"] * 3

    shop.database.close()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    shutil.copy(path.with_suffix(".backup"), path)
    assert audit(shop).exit_code == 1
    mended = reconcile(shop)
    shop.work_until_idle()

    assert mended.exit_code == 0
    assert "2 checkouts wait again" in mended.output
    assert [shop.order(i).status for i in (early, late, latest)] == ["confirmed"] * 3
    assert shop.stock("MUG") == 0
    assert cart_of(shopper) == {}
    assert audit(shop).exit_code == 0
    assert "0 checkouts wait again" in reconcile(shop).output


def test_a_reconciled_checkout_that_fails_now_gives_its_cart_back(any_shop: Shop) -> None:
    any_shop.stocked(MUG=2)
    shopper = any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=2)
    any_shop.work_until_idle()
    for table in ("stock_movements", "order_items", "order_events", "orders"):
        column = "id" if table == "orders" else "order_id"
        run(any_shop, f"DELETE FROM {table} WHERE {column} = '{order_id}'")

    reconcile(any_shop)
    settle()

    assert any_shop.order(order_id).status == "failed"
    assert cart_of(shopper) == {"MUG": 2}


def test_a_checkout_that_cannot_be_read_is_named_and_left(any_shop: Shop) -> None:
    any_shop.stocked(MUG=2)
    order_id = any_shop.checkout(MUG=1)
    any_shop.redis.hset(f"accepted:{order_id}", "snapshot", "{")
    any_shop.redis.delete("accepted")

    result = reconcile(any_shop)

    assert result.exit_code == 1
    assert f"{order_id}: cannot be read" in result.output


def test_a_backup_replaces_no_file_and_leaves_nothing_unfinished(shop: Shop, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("mine")

    result = shop.app.test_cli_runner().invoke(args=["backup", str(there)])
    nowhere = shop.app.test_cli_runner().invoke(args=["backup", str(tmp_path / "no" / "such" / "folder")])

    assert (result.exit_code, nowhere.exit_code) == (1, 1)
    assert "exists already" in result.output
    assert "Error: The database cannot be copied to" in nowhere.output
    assert there.read_text() == "mine"
    assert not list(tmp_path.glob("*unfinished"))


def test_a_backup_of_postgresql_names_the_command(
    rules: Rules, fake_pair: tuple[Redis, Redis], postgresql: Database, clock: Clock, settings: Settings
) -> None:
    shop = Shop(rules, *fake_pair, postgresql, clock, settings)

    result = shop.app.test_cli_runner().invoke(args=["backup", "shop.dump"])

    assert result.exit_code == 1
    assert "pg_dump --format=custom --file=shop.dump postgresql://shop@" in result.output


@pytest.mark.parametrize("hours", [1, 30])
def test_a_payment_from_before_a_restore_is_found_again_and_not_made_twice(any_shop: Shop, hours: int) -> None:
    any_shop.stocked(MUG=2)
    order_id = any_shop.checkout(body={"payment_method": "card", "payment_token": "tok_approve"}, MUG=2)
    any_shop.work_until_idle()
    for table in ("payments", "stock_movements", "order_items", "order_events", "orders"):
        column = "id" if table == "orders" else "order_id"
        run(any_shop, f"DELETE FROM {table} WHERE {column} = '{order_id}'")
    run(any_shop, "UPDATE products SET stock_quantity = 2")
    # The carts' store has a clock of its own, which does not stand still for tests.
    any_shop.redis.hset(keys.accepted(order_id), "accepted_at", any_shop.clock())
    any_shop.clock.forward(hours * 3600)

    reconcile(any_shop)
    any_shop.work_until_idle()

    order = any_shop.order(order_id)
    assert (order.status, order.payment_status) == ("confirmed", "captured")
    assert [(a.charges, a.captured_minor) for a in any_shop.sandbox.books()] == [(1, order.total_minor)]
    assert audit(any_shop).exit_code == 0
