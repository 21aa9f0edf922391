"""`flask payments`: what stands for a person, and what they say about it."""

from __future__ import annotations

from typing import Any

import click
from flask.cli import with_appcontext

from db.models import OrderRow
from db.resolving import Unresolved
from shop import resolving as rules
from shop.money import exponent, format_amount
from web import resolving
from web.commands import Group
from web.resolving import Outcome
from web.schemas import instant
from web.services import services

MOST_LISTED = 1000
BY = "flask payments"


@click.group("payments", cls=Group)
def payments_command() -> None:
    """See to the payments that nobody but a person can decide."""


@payments_command.command("unresolved")
@with_appcontext
def unresolved_command() -> None:
    """List what stands for a person and what to do about each, the longest untouched first."""
    found, more = resolving.unresolved(services(), MOST_LISTED)
    for each in found:
        for line in _lines(each):
            click.echo(line)
    click.echo(f"{'more than ' if more else ''}{len(found) or 'no'} payments stand for a person")


def _lines(found: Unresolved) -> list[str]:
    row, order = found.row, found.order
    amount = f"{format_amount(row.amount_minor, exponent(row.currency))} {row.currency}"
    number = f"#{order.number} " if order.number else ""
    said = [f"  {row.provider} said: {row.detail}"] if row.detail else []
    return [
        f"{row.key}: {rules.why(found.operation)}, {amount}, since {instant(row.updated_at)}",
        f"  order {number}is {order.status}, its payment {order.payment_status}",
        *said,
        f"  {rules.advice(row.key, found.operation, order.id, row.provider)}",
    ]


def _by(command: Any) -> Any:
    return click.option("--by", default=BY, show_default=True, help="Who says so, for the order's timeline.")(command)


@payments_command.command("retry")
@click.argument("key")
@_by
@with_appcontext
def retry_command(key: str, by: str) -> None:
    """Have the provider of payment KEY asked once more, with the same key."""
    order_id = resolving.retry(services(), key, by)
    click.echo(f"{key} is due; follow order {order_id}")


@payments_command.command("resolve")
@click.argument("key")
@click.option("--charged", metavar="PROVIDER_ID", help="Money was taken, or reserved: what the provider calls it.")
@click.option("--not-charged", is_flag=True, help="Nothing was, and nothing will be.")
@click.option("--refunded", metavar="REFUND_ID", help="Of a refund: it was given back; what the provider calls it.")
@click.option("--not-refunded", is_flag=True, help="Of a refund: it was not, and will not be.")
@_by
@with_appcontext
def resolve_command(
    key: str, charged: str | None, not_charged: bool, refunded: str | None, not_refunded: bool, by: str
) -> None:
    """Say what you saw of payment KEY at its provider; order, stock and cart follow."""
    said: list[tuple[Outcome, str | None]] = []
    if charged is not None:
        said.append(("charged", charged))
    if refunded is not None:
        said.append(("refunded", refunded))
    if not_charged:
        said.append(("not_charged", None))
    if not_refunded:
        said.append(("not_refunded", None))
    if len(said) != 1:
        raise click.UsageError("say one of --charged, --not-charged, --refunded and --not-refunded")
    outcome, provider_id = said[0]
    order_id = resolving.resolve(services(), key, outcome, provider_id, by)
    with services().database.reading() as session:
        order = session.get_one(OrderRow, order_id)
    click.echo(f"{key} is resolved: order {order_id} is {order.status}, its payment {order.payment_status}")
