"""`flask products`: the whole catalogue from a file, and into one."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import click
from flask.cli import with_appcontext

from db import exports
from db.intake import CHANGED, Counts, Intake
from shop.catalogue import Draft
from shop.errors import Unavailable
from web import feeds, shopify
from web.feeds import ReadRow
from web.services import Services, services
from web.tables import Remark, TableFile, UnreadableFile

MOST_NAMED = 1000
"""Remarks printed; the rest is counted."""
ACTOR = "flask products import"
UNCATEGORIZED = "Uncategorized"
IDS_AT_ONCE = 1000


@click.group("products")
def products_command() -> None:
    """Bring products in from CSV files, and out."""


# ---------------------------------------------------------------- import


@products_command.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["auto", "oncecart", "shopify"]), default="auto", show_default=True)
@click.option("--dry-run", is_flag=True, help="Say what would happen and write nothing.")
@click.option("--keep-going", is_flag=True, help="Write the good rows even if others have errors.")
@click.option("--set-stock", is_flag=True, help="The stock of existing products becomes the file's.")
@click.option("--category", help=f"For new products without one; Shopify's go to {UNCATEGORIZED} else.")
@with_appcontext
def import_command(
    file: Path, form: str, dry_run: bool, keep_going: bool, set_stock: bool, category: str | None
) -> None:
    """Import products from a CSV FILE (- is standard input): ours, or Shopify's product export.

    Products are known by their SKU: new ones are made, others changed where they differ, none is removed. All
    rows are written or none; exit 1 if any has an error. A file may be imported again at any time.

    Shoppers go on meanwhile. On SQLite new orders wait for their confirmation while the rows are written: a few
    seconds for 100,000 rows, a minute or two for a million. None is lost. Bring a very large file in when the shop
    is quiet, or in parts.
    """
    at, started, report, written = services(), time.monotonic(), _Report(), False
    try:
        with _opened(file) as source, _progress(source) as followed:
            table = TableFile(cast(BinaryIO, followed))
            shopifys = form == "shopify" or (form == "auto" and shopify.is_shopify(table.header))
            rows = shopify.read(table, at.rules) if shopifys else feeds.read(table, at.rules)
            category = category or (UNCATEGORIZED if shopifys else None)
            tax_class = at.rules.tax.classes[0]
            with Intake(at.database, at.now(), tax_class=tax_class, category=category, set_stock=set_stock) as intake:
                intake.stage(report.good(rows))
                counts, written = _take_in(intake, report, dry_run, keep_going)
                if written:
                    _forget(at, (taken.product_id for taken in intake.taken(CHANGED)))
    except (UnreadableFile, Unavailable, OSError) as error:
        raise click.ClickException(f"{error}; {'all' if written else 'nothing'} was written") from error
    report.close()
    click.echo(_summary(counts, report.bad_rows, time.monotonic() - started, dry_run, written))
    raise SystemExit(1 if counts.faulty or report.bad_rows else 0)


def _take_in(intake: Intake, report: _Report, dry_run: bool, keep_going: bool) -> tuple[Counts, bool]:
    """What becomes of the rows, and whether they were written."""
    counts = intake.plan()
    for fault in intake.faults():
        report.tell(Remark(fault.line, f"{fault.field}: {fault.message}"))
    if dry_run or ((counts.faulty or report.bad_rows) and not keep_going):
        return counts, False
    planned, counts = counts, intake.apply(drop_faulty=keep_going, actor=ACTOR)
    if counts.faulty > planned.faulty:  # Somebody took an id or made a product since.
        for fault in intake.faults():
            report.tell(Remark(fault.line, f"{fault.field}: {fault.message}"))
    return counts, keep_going or not counts.faulty


def _forget(at: Services, product_ids: Iterator[str]) -> None:
    while some := list(islice(product_ids, IDS_AT_ONCE)):
        at.catalogue.forget(some)


def _summary(counts: Counts, bad_rows: int, seconds: float, dry_run: bool, written: bool) -> str:
    good = counts.new + counts.changed + counts.unchanged
    errors = counts.faulty + bad_rows
    nothing = "" if written else "; dry run, nothing was written" if dry_run else "; nothing was written"
    return (
        f"{good + errors:,} rows: {counts.new:,} new, {counts.changed:,} changed, {counts.unchanged:,} unchanged, "
        f"{errors:,} errors ({seconds:.1f} s){nothing}"
    )


class _Report:
    """What is wrong or odd, on stderr as it is found; a long list is cut and counted."""

    def __init__(self) -> None:
        self.bad_rows = 0
        """Rows that could not be read; of those with several faults each counts once."""
        self._told = 0
        self._last_bad = 0

    def good(self, rows: Iterable[ReadRow | Remark]) -> Iterator[tuple[int, Draft, str]]:
        """The rows that can be read; what is said of the others is told."""
        for row in rows:
            if isinstance(row, ReadRow):
                yield row.line, row.draft, row.new_id
                continue
            self.tell(row)
            if row.is_fault and row.line != self._last_bad:
                self.bad_rows += 1
                self._last_bad = row.line

    def tell(self, remark: Remark) -> None:
        self._told += 1
        if self._told <= MOST_NAMED:
            click.echo(f"line {remark.line}: {'' if remark.is_fault else 'note: '}{remark.message}", err=True)

    def close(self) -> None:
        if self._told > MOST_NAMED:
            click.echo(f"... and {self._told - MOST_NAMED:,} more", err=True)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if str(file) == "-":
        yield sys.stdin.buffer
    else:
        with file.open("rb") as source:
            yield source


@contextmanager
def _progress(source: BinaryIO) -> Iterator[Any]:
    """The source, and on a terminal a bar that follows how much of it was read."""
    if not sys.stderr.isatty() or not source.seekable():
        yield source
        return
    size = source.seek(0, 2)
    source.seek(0)
    with click.progressbar(length=size, label="Reading", file=sys.stderr) as bar:
        yield _Followed(source, bar)


class _Followed:
    """A file of which a bar shows how much was read."""

    def __init__(self, source: BinaryIO, bar: Any) -> None:
        self._source = source
        self._bar = bar

    def readline(self, limit: int) -> bytes:
        line = self._source.readline(limit)
        self._bar.update(len(line))
        return line


# ---------------------------------------------------------------- export


@products_command.command("export")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; left out: standard output.")
@click.option("--active-only", is_flag=True, help="Only what shoppers can see.")
@with_appcontext
def export_command(output: Path | None, active_only: bool) -> None:
    """Export products as CSV: what `flask products import` reads, for spreadsheets and other shops."""
    at = services()
    pieces = feeds.write(exports.products(at.database, active_only), at.rules.digits)
    try:
        if output is None:
            out = sys.stdout.buffer
            for piece in pieces:
                out.write(piece.encode())
            out.flush()
        else:
            unfinished = output.with_name(f".{output.name}.unfinished")
            with unfinished.open("wb") as file:
                for piece in pieces:
                    file.write(piece.encode())
            unfinished.replace(output)  # Half a catalogue must not look like a whole one.
    except (OSError, Unavailable) as error:
        raise click.ClickException(str(error)) from error
