"""`flask orders export`: every order in a file, exact, in portions, and harmless to a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import update

from db.models import OrderItemRow, OrderRow, ProductRow
from shop.errors import Unavailable
from tests.harness import ADDRESS, Shop
from tests.web.admin.conftest import merchant_of
from tests.web.answers import ok
from web import cli_orders
from web.csv_cells import guarded, unguarded
from web.settings import ROOT

EVIL = '=HYPERLINK("https://evil.example.com")'


def export(shop: Shop, *options: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=["orders", "export", *options])


def rows(shop: Shop, *options: str) -> list[dict[str, str]]:
    result = export(shop, *options)
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout_bytes.decode(), newline="")))


def objects(shop: Shop, *options: str) -> list[Any]:
    result = export(shop, "--format", "jsonl", *options)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def sold(shop: Shop) -> list[str]:
    """Three orders: confirmed, failed, confirmed."""
    shop.stocked(MUG=9, PEN=9)
    return sell(shop)


def sell(shop: Shop) -> list[str]:
    ids = [shop.checkout(MUG=2, PEN=1)]
    shop.work_until_idle()
    ids.append(shop.checkout(PEN=5))
    with shop.database.writing() as session:
        session.execute(update(ProductRow).where(ProductRow.id == "PEN").values(stock_quantity=0))
    shop.work_until_idle()
    ids.append(shop.checkout(MUG=1))
    shop.work_until_idle()
    return ids


def place(shop: Shop, order_id: str, **columns: Any) -> None:
    with shop.database.writing() as session:
        session.execute(update(OrderRow).where(OrderRow.id == order_id).values(**columns))


# ---------------------------------------------------------------- what is in it


def test_a_row_for_each_order_oldest_first(any_shop: Shop) -> None:
    any_shop.stocked(MUG=9, PEN=9)
    ids = sell(any_shop)

    found = rows(any_shop)

    assert [row["id"] for row in found] == ids
    first = found[0]
    total = any_shop.order(ids[0]).total_minor
    assert first["total_amount"] == f"{total // 100}.{total % 100:02d}"
    assert (first["number"], first["status"], first["payment_status"], first["currency"]) == (
        "1001",
        "confirmed",
        "pending",
        "USD",
    )
    assert (first["items"], first["units"], first["units_shipped"]) == ("2", "3", "0")
    assert (first["shipping_name"], first["shipping_country"], first["shipping_line2"]) == ("Ada Lovelace", "US", "")
    assert first["billing_city"] == "Oakland"
    assert (found[1]["number"], found[1]["status"], found[1]["failure_code"]) == ("", "failed", "out_of_stock")


def test_a_row_for_each_line(shop: Shop, sold: list[str]) -> None:
    found = rows(shop, "--lines", "--status", "confirmed")

    assert [(row["id"], row["position"], row["product_id"], row["quantity"]) for row in found] == [
        (sold[0], "1", "MUG", "2"),
        (sold[0], "2", "PEN", "1"),
        (sold[2], "1", "MUG", "1"),
    ]
    assert (found[0]["price_at_time"], found[0]["subtotal"]) == ("10.00", "20.00")


def test_json_lines_are_whole_orders_as_the_merchant_reads_them(shop: Shop, sold: list[str]) -> None:
    merchant = merchant_of(shop, "orders")
    ok(merchant.post(f"/api/admin/orders/{sold[0]}/shipments", json={"carrier": "DHL"}), 201)

    found = objects(shop)

    assert found == [ok(merchant.get(f"/api/admin/orders/{order_id}")) for order_id in sold]
    assert found[0]["shipments"][0]["carrier"] == "DHL"


def test_amounts_have_their_own_currencys_digits(shop: Shop, sold: list[str]) -> None:
    place(shop, sold[0], currency="JPY", total_minor=1234)
    place(shop, sold[2], currency="KWD", total_minor=1234)

    assert [row["total_amount"] for row in rows(shop, "--status", "confirmed")] == ["1234", "1.234"]


def test_a_pick_up_has_no_shipping_address(shop: Shop, sold: list[str]) -> None:
    place(shop, sold[0], shipping_address=None)

    assert rows(shop)[0]["shipping_name"] == ""
    assert objects(shop)[0]["shipping_info"] is None


def test_an_empty_shop_exports_a_head_alone(shop: Shop) -> None:
    assert export(shop).stdout.startswith("number,id,created_at,status")
    assert len(export(shop).stdout.splitlines()) == 1
    assert export(shop, "--format", "jsonl").stdout == ""


# ---------------------------------------------------------------- which orders


def test_only_what_was_created_between_is_exported(shop: Shop, sold: list[str]) -> None:
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    for day, order_id in enumerate(sold):
        place(shop, order_id, created_at=int(at.timestamp() * 1000) + day * 24 * 3600 * 1000)

    def exported(*options: str) -> list[int]:
        return [sold.index(row["id"]) for row in rows(shop, *options)]

    assert exported("--since", "2026-11-23") == [1, 2]
    assert exported("--until", "2026-11-23") == [0, 1]
    assert exported("--since", "2026-11-23", "--until", "2026-11-23") == [1]
    assert exported("--since", "2026-11-22T12:00:00Z", "--until", "2026-11-23T12:00:00Z") == [0]
    assert exported("--until", "2026-11-23T14:00:00+02:00") == [0]


@pytest.mark.parametrize("portion", [1, 2, 3])
def test_portions_leave_nothing_out(shop: Shop, sold: list[str], monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
    same = shop.order(sold[0]).created_at
    for order_id in sold:
        place(shop, order_id, created_at=same)
    monkeypatch.setattr(cli_orders, "PORTION", portion)

    assert [row["id"] for row in rows(shop)] == sorted(sold)
    assert len(rows(shop, "--lines")) == 4
    assert [order["id"] for order in objects(shop)] == sorted(sold)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--since", "yesterday"), "'yesterday': write a date (2026-11-22"),
        (("--until", "2026-02-30"), "there is no such time"),
        (("--since", "2026-11-23", "--until", "2026-11-21"), "--since is after --until"),
        (("--status", "paid"), "'paid' is not one of"),
        (("--format", "xml"), "'xml' is not one of"),
        (("--format", "jsonl", "--lines"), "--lines is for CSV"),
    ],
)
def test_bad_options_are_refused_in_a_line(shop: Shop, options: tuple[str, ...], says: str) -> None:
    result = export(shop, *options)

    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


# ---------------------------------------------------------------- where it goes


def test_a_file_is_in_place_once_it_is_whole(
    shop: Shop, sold: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "orders.csv"
    assert export(shop, "--output", str(file)).exit_code == 0
    whole = file.read_bytes()

    def away(*_: Any) -> Any:
        raise Unavailable("The order store is away for a moment.")

    monkeypatch.setattr(cli_orders.orders, "items", away)
    result = export(shop, "--output", str(file))

    assert whole.count(b"\r\n") == 4
    assert (result.exit_code, result.stderr) == (1, "Error: The order store is away for a moment.\n")
    assert file.read_bytes() == whole
    assert [path.name for path in tmp_path.glob("*orders*")] == ["orders.csv"]


def test_a_folder_that_is_not_there_is_refused_in_a_line(shop: Shop, tmp_path: Path) -> None:
    result = export(shop, "--output", str(tmp_path / "nowhere" / "orders.csv"))

    assert result.exit_code == 1
    assert result.stderr.endswith("No such file or directory\n")


def test_a_pipe_is_written_and_not_replaced(shop: Shop, sold: list[str], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    assert export(shop, "--output", str(pipe)).exit_code == 0

    assert os.read(reader, 10_000).count(b"\r\n") == 4
    os.close(reader)
    assert pipe.is_fifo()


def test_who_has_seen_enough_ends_it_quietly(shop: Shop, sold: list[str], tmp_path: Path) -> None:
    settings = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'shop.db'}",
        "REDIS_URL": "redis://localhost:1/0",
        "VAR_DIR": str(tmp_path),
    }
    command = [sys.executable, "-m", "flask", "--app", "app", "orders", "export"]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.close()

    _, complaints = process.communicate(timeout=60)

    assert complaints == b""
    assert process.returncode == 1


# ---------------------------------------------------------------- formulas


def test_what_a_spreadsheet_would_run_is_only_text(shop: Shop) -> None:
    shop.product("MUG", name="=1+1", sku="-SKU")
    shopper = shop.shopper()
    order_id = shop.checkout(shopper, MUG=1)
    shop.work_until_idle()
    place(shop, order_id, shipping_address={**ADDRESS, "name": EVIL, "phone": "+1 555", "line1": "'@home"})

    (row,) = rows(shop)
    (line,) = rows(shop, "--lines")
    (order,) = objects(shop)

    assert row["shipping_name"] == f"'{EVIL}"
    assert unguarded(row["shipping_name"]) == EVIL
    assert (row["shipping_phone"], row["shipping_line1"]) == ("'+1 555", "''@home")
    assert (line["name"], line["sku"]) == ("'=1+1", "'-SKU")
    assert order["shipping_info"]["name"] == EVIL


def test_a_text_with_quotes_and_line_breaks_stays_one_cell(shop: Shop, sold: list[str]) -> None:
    name = 'Ada "Countess", of\r\nLovelace; é'
    with shop.database.writing() as session:
        session.execute(update(OrderItemRow).values(name=name))

    assert {row["name"] for row in rows(shop, "--lines")} == {name}


@given(st.text() | st.text(alphabet="'=+-@\t\r\n a0"))
@example("")
@example("'")
@example("''=")
@example("'a")
@example("=\n")
def test_a_guarded_cell_reads_back_and_never_runs(cell: str) -> None:
    safe = guarded(cell)

    assert unguarded(safe) == cell
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert safe in (cell, f"'{cell}")


@pytest.mark.parametrize("cell", ["Ada", "12.50", "'quoted'", "a=b", " =1", ""])
def test_a_harmless_cell_stays_as_it_is(cell: str) -> None:
    assert guarded(cell) == unguarded(cell) == cell
