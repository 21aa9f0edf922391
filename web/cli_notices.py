"""`flask webhooks` and `flask notices`: who is told of orders, and what could not be told."""

from __future__ import annotations

import time

import click
from flask.cli import with_appcontext

from db import endpoints, notice_list
from db.models import NoticeRow
from db.notice_list import Filter
from shop.notices import EVENTS, MAIL
from shop.webhooks import wrong_url
from web import outgoing
from web.commands import Group
from web.instants import FORMS, from_instant
from web.schemas import instant
from web.services import services

MOST_LISTED = 1000
PATIENCE_SECONDS = 15.0
LOOK_SECONDS = 0.2


@click.group("webhooks", cls=Group)
def webhooks_command() -> None:
    """Say where the shop tells your other systems of orders."""


@webhooks_command.command("add")
@click.argument("url")
@click.option("--description", default="", help="For you: what it is.")
@click.option("--event", "events", multiple=True, type=click.Choice([*EVENTS]), help="May be repeated; none: all.")
@with_appcontext
def add_command(url: str, description: str, events: tuple[str, ...]) -> None:
    """Tell URL what becomes of orders from now on, and print the secret that the messages are signed with, once."""
    if wrong := wrong_url(url):
        raise click.ClickException(f"{url}: {wrong}")
    row = outgoing.add(services(), url, description, events or None)
    click.echo(row.secret)
    click.echo(f"{row.id}: {url}. Its secret is shown this once.", err=True)


@webhooks_command.command("list")
@with_appcontext
def list_command() -> None:
    """List the endpoints: id, address, what they hear, and how they are."""
    with services().database.reading() as session:
        rows = endpoints.every(session)
    for row in rows:
        state = "on" if row.is_active else f"off: {row.switched_off or 'you switched it off'}"
        if row.is_active and row.failing_since:
            state = f"on, but has taken nothing since {instant(row.failing_since)}"
        click.echo(f"{row.id}  {row.url}  {','.join(row.events or ['all events'])}  {state}")
    if not rows:
        click.echo("no endpoints yet; flask webhooks add URL makes one", err=True)


@webhooks_command.command("remove")
@click.argument("endpoint_id")
@with_appcontext
def remove_command(endpoint_id: str) -> None:
    """Remove an endpoint for good."""
    outgoing.remove(services(), endpoint_id)
    click.echo(f"{endpoint_id} is removed")


@webhooks_command.command("rotate")
@click.argument("endpoint_id")
@with_appcontext
def rotate_command(endpoint_id: str) -> None:
    """Print a new secret for an endpoint, once; for 24 hours the old one signs too."""
    click.echo(outgoing.rotate(services(), endpoint_id).secret)


@webhooks_command.command("test")
@click.argument("endpoint_id")
@with_appcontext
def test_command(endpoint_id: str) -> None:
    """Send a test event and say what came of it; the worker must run. Exit 1 if it was not taken."""
    row = outgoing.test(services(), endpoint_id)
    until = time.monotonic() + PATIENCE_SECONDS
    while row.attempts == 0 or row.detail is None:
        if time.monotonic() > until:
            raise click.ClickException(f"{row.id} still waits: does the worker of the payments run?")
        time.sleep(LOOK_SECONDS)
        with services().database.reading() as session:
            row = notice_list.get(session, row.id)
    click.echo(f"{row.id}: {row.status}: {row.detail}")
    raise SystemExit(0 if row.status == "sent" else 1)


@click.group("notices", cls=Group)
def notices_command() -> None:
    """See to what could not be told, to endpoints or by mail."""


@notices_command.command("failed")
@with_appcontext
def failed_command() -> None:
    """List what was given up, the newest first."""
    with services().database.reading() as session:
        rows = notice_list.page(session, Filter(status="failed"), MOST_LISTED + 1)
    for row in rows[:MOST_LISTED]:
        click.echo(f"{row.id}  {_whom(row)}  {instant(row.created_at)}  {row.attempts} attempts  {row.detail}")
    more = "more than " if len(rows) > MOST_LISTED else ""
    click.echo(f"{more}{len(rows[:MOST_LISTED]) or 'no'} notices were given up")


def _whom(row: NoticeRow) -> str:
    return f"{row.event} by mail" if row.target == MAIL else f"{row.event} to {row.target}"


@notices_command.command("redeliver")
@click.argument("notice_id", required=False)
@click.option("--failed-since", help=f"All that were given up and written since: {FORMS}.")
@click.option("--endpoint", help="Only those of this endpoint.")
@with_appcontext
def redeliver_command(notice_id: str | None, failed_since: str | None, endpoint: str | None) -> None:
    """Send NOTICE_ID once more, or all that were given up since some time; under the same ids."""
    if (notice_id is None) == (failed_since is None):
        raise click.UsageError("name a notice, or say --failed-since")
    if notice_id is not None:
        outgoing.redeliver(services(), notice_id)
        click.echo(f"{notice_id} is due")
        return
    try:
        since = from_instant(str(failed_since))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--failed-since") from error
    click.echo(f"{outgoing.redeliver_failed(services(), since, endpoint)} notices are due")
