"""`flask orders`: all orders as a file, for bookkeeping and for whoever packs."""

from __future__ import annotations

import csv
import errno
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import click
from flask.cli import with_appcontext
from sqlalchemy.orm import Session

from db import order_list, orders
from db.models import OrderItemRow, OrderRow
from db.order_list import Filter
from shop.errors import Unavailable
from shop.money import exponent, format_amount
from shop.orders import TRANSITIONS
from web.admin.order_views import whole_orders
from web.csv_cells import guarded
from web.instants import below_instant, from_instant
from web.schemas import AddressOut, instant
from web.services import services

PORTION = 500
"""Orders read in one short transaction: a long one would keep SQLite's log from being folded in."""
_ADDRESS = tuple(AddressOut.model_fields)
_ORDER_COLUMNS = (
    "number",
    "id",
    "created_at",
    "status",
    "payment_status",
    "fulfillment_status",
    "failure_code",
    "email",
)
_ORDER_HEAD = (
    *_ORDER_COLUMNS,
    *("currency", "subtotal", "shipping_amount", "tax_amount", "total_amount"),
    *("shipping_method", "payment_method", "items", "units", "units_shipped"),
    *(f"shipping_{name}" for name in _ADDRESS),
    *(f"billing_{name}" for name in _ADDRESS),
)
_LINE_HEAD = (
    *_ORDER_COLUMNS,
    *("currency", "position", "product_id", "sku", "name", "quantity", "shipped_quantity"),
    *("price_at_time", "tax_amount", "subtotal"),
)
Cells = list[str]


class Moment(click.ParamType[int]):
    """A date or an instant, in ms; what a date means is for `read` to say."""

    name = "date|instant"

    def __init__(self, read: Callable[[str], int]) -> None:
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


@click.group("orders")
def orders_command() -> None:
    """What there is to do with all orders."""


@orders_command.command("export")
@click.option("--since", type=Moment(from_instant), help="Orders created from this date (UTC) or instant on.")
@click.option("--until", type=Moment(below_instant), help="Up to this date's end (UTC), or before this instant.")
@click.option("--status", type=click.Choice(sorted(TRANSITIONS["status"])))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option("--lines", is_flag=True, help="CSV: a row for each line of an order, not for each order.")
@click.option("--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=str), default="-", help="A file.")
@with_appcontext
def export_command(
    since: int | None, until: int | None, status: str | None, form: str, lines: bool, output: str
) -> None:
    """Write every order, oldest first, as CSV or as JSON lines. Reads only, in small portions.

    In CSV a text that a spreadsheet would run as a formula gets an apostrophe in front.
    """
    if lines and form != "csv":
        raise click.UsageError("--lines is for CSV; JSON lines have each order's lines in it")
    if since is not None and until is not None and since > until:
        raise click.UsageError("--since is after --until")
    wanted = Filter(status=status, created_from=since, created_below=until)
    head = _csv([list(_LINE_HEAD if lines else _ORDER_HEAD)]) if form == "csv" else b""
    write = _json_lines if form == "jsonl" else _line_rows if lines else _order_rows
    try:
        with _opened(output) as file:
            file.write(head)
            for portion in _portions(wanted, write):
                file.write(portion)
                file.flush()  # Whoever reads along sees it, and one who has gone is noticed.
    except Unavailable as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # Whoever read along has seen enough; click ends quietly.
            raise
        raise click.ClickException(f"{output}: {error.strerror}") from error


@contextmanager
def _opened(output: str) -> Iterator[IO[bytes]]:
    """Where the export goes. A file is in place once it is whole; a device or a pipe is written as it is."""
    path = Path(output)
    if output == "-" or (path.exists() and not path.is_file()):
        with click.open_file(output, "wb") as file:
            yield file
        return
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _portions(wanted: Filter, write: Callable[[Session, Sequence[OrderRow]], bytes]) -> Iterator[bytes]:
    """Every order that is wanted and is there now, oldest first, as `write` puts it."""
    if wanted.created_below is None:  # In a busy shop it would run after the newest orders and never end.
        with services().database.reading() as session:
            newest = order_list.page(session, Filter(), "-created_at", 1)
        wanted = replace(wanted, created_below=newest[0].created_at + 1 if newest else 0)
    rows: Sequence[OrderRow] = ()
    after: order_list.Place | None = None
    while after is None or len(rows) == PORTION:
        with services().database.reading() as session:
            rows = order_list.page(session, wanted, "created_at", PORTION, after, whole=True)
            written = write(session, rows) if rows else b""
        yield written
        after = (rows[-1].created_at, rows[-1].id) if rows else (0, "")


def _json_lines(session: Session, rows: Sequence[OrderRow]) -> bytes:
    return "".join(f"{order.model_dump_json()}\n" for order in whole_orders(session, rows)).encode()


def _order_rows(session: Session, rows: Sequence[OrderRow]) -> bytes:
    items = orders.items(session, [row.id for row in rows])
    return _csv([_order_cells(row, items[row.id]) for row in rows])


def _order_cells(row: OrderRow, items: Sequence[OrderItemRow]) -> Cells:
    digits = exponent(row.currency)
    amounts = (row.subtotal_minor, row.shipping_minor, row.tax_minor, row.total_minor)
    return [
        *_known(row),
        *(format_amount(amount, digits) for amount in amounts),
        *_texts(row.shipping_method, row.payment_method),
        *(str(len(items)), str(sum(i.quantity for i in items)), str(sum(i.shipped_quantity for i in items))),
        *_texts(*((row.shipping_address or {}).get(name) for name in _ADDRESS)),
        *_texts(*(row.billing_address.get(name) for name in _ADDRESS)),
    ]


def _line_rows(session: Session, rows: Sequence[OrderRow]) -> bytes:
    items = orders.items(session, [row.id for row in rows])
    return _csv([_line_cells(row, item) for row in rows for item in items[row.id]])


def _line_cells(row: OrderRow, item: OrderItemRow) -> Cells:
    digits = exponent(row.currency)
    return [
        *_known(row),
        str(item.position),
        *_texts(item.product_id, item.sku, item.name),
        *(str(item.quantity), str(item.shipped_quantity)),
        *(format_amount(minor, digits) for minor in (item.price_at_time_minor, item.tax_minor, item.subtotal_minor)),
    ]


def _known(row: OrderRow) -> Cells:
    """What every row says of its order, up to the currency."""
    texts = (row.status, row.payment_status, row.fulfillment_status, row.failure_code, row.email, row.currency)
    return ["" if row.number is None else str(row.number), row.id, instant(row.created_at), *_texts(*texts)]


def _texts(*values: str | None) -> Cells:
    return [guarded(value or "") for value in values]


def _csv(rows: Sequence[Cells]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
