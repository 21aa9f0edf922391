"""What the merchant and the person on call type: `flask audit`, `flask reconcile`."""

from __future__ import annotations

import time
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext

from shop.errors import Unavailable
from tasks import audit
from web.cli_keys import keys_command
from web.cli_notices import notices_command, webhooks_command
from web.cli_orders import orders_command
from web.cli_payments import payments_command
from web.cli_products import products_command
from web.commands import Command
from web.doctor import doctor_command
from web.services import services

MOST_NAMED = 100
"""Violations named for each check; the rest is counted."""


def register_commands(app: Flask) -> None:
    app.cli.add_command(audit_command)
    app.cli.add_command(reconcile_command)
    app.cli.add_command(backup_command)
    app.cli.add_command(keys_command)
    app.cli.add_command(doctor_command)
    app.cli.add_command(notices_command)
    app.cli.add_command(webhooks_command)
    app.cli.add_command(orders_command)
    app.cli.add_command(payments_command)
    app.cli.add_command(products_command)


@click.command("audit", cls=Command)
@with_appcontext
def audit_command() -> None:
    """Prove the promises P1-P7 over the real data, and that the books agree. Exit 1 if not.

    Reads only and holds nothing in memory: safe on a live shop of any size.
    """
    at = services()
    broken = _check("accepted checkouts", audit.accepted(at.inbox, at.database, at.now()))
    for name, check in audit.CHECKS.items():
        with at.database.reading() as session:
            broken += _check(name, check(session))
    click.echo(f"{broken} violations" if broken else "every promise holds")
    raise SystemExit(1 if broken else 0)


def _check(name: str, findings: audit.Findings) -> int:
    """Run a check, say what it looked at, name what it found; answers how many violations that were."""
    started, rows, standing, broken = time.monotonic(), 0, 0, 0
    for found in findings:
        if isinstance(found, audit.Counted):
            rows, standing = found.rows, found.standing
            continue
        broken += 1
        if broken <= MOST_NAMED:
            click.echo(f"  {found.promise} broken: {found.subject}: {found.message}")
    if broken > MOST_NAMED:
        click.echo(f"  ... and {broken - MOST_NAMED} more")
    stands = f"; {standing} stand for a person: flask payments unresolved" if standing else ""
    click.echo(f"{name}: {rows} checked in {time.monotonic() - started:.1f} s, {broken or 'no'} violations{stands}")
    return broken


@click.command("reconcile", cls=Command)
@with_appcontext
def reconcile_command() -> None:
    """Settle again what an older, restored database does not know. Exit 1 if something cannot be read.

    Accepted checkouts are kept for a week after they were settled; a backup must not be older.
    """
    at = services()
    back = lost = 0
    for order_id, ok in audit.reconcile(at.inbox, at.database):
        click.echo(f"  {order_id}: {'waits again' if ok else 'cannot be read'}")
        back, lost = back + ok, lost + (not ok)
    if back:
        at.bell.ring()
    click.echo(f"{back} checkouts wait again, {lost} cannot be read")
    raise SystemExit(1 if lost else 0)


@click.command("backup", cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@with_appcontext
def backup_command(file: Path) -> None:
    """Copy the SQLite database to FILE while the shop runs. Never replaces a file."""
    database = services().database
    if not database.is_sqlite():
        where = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=True)
        raise click.ClickException(f"this shop is on PostgreSQL: pg_dump --format=custom --file={file} {where}")
    try:
        database.backup(file)
    except (OSError, Unavailable) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {file.stat().st_size} bytes, checked")
