"""`flask keys`: who may use the admin API."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from db import api_keys
from web.admin import keys
from web.admin.keys import SCOPES
from web.commands import Group
from web.schemas import instant
from web.services import services


@click.group("keys", cls=Group)
def keys_command() -> None:
    """Make, list and revoke keys to the admin API."""


@keys_command.command("create")
@click.argument("name")
@click.option("--scope", required=True, help=f"Comma separated: {', '.join(SCOPES)}.")
@with_appcontext
def create(name: str, scope: str) -> None:
    """Make a key called NAME and print it, once: only its hash is kept."""
    scopes = sorted({part.strip() for part in scope.split(",") if part.strip()})
    if not scopes or not set(scopes) <= set(SCOPES):
        raise click.ClickException(f"{scope!r}: the scopes there are: {', '.join(SCOPES)}")
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable() or name == keys.FROM_SETTINGS:
        raise click.ClickException("use a name of 1 to 100 printable characters")
    at = services()
    new = keys.make()
    with at.database.writing() as session:
        if api_keys.named(session, name):
            raise click.ClickException(f"there is, or was, a key called {name}; use another name")
        api_keys.add(session, new.id, name, new.hash, scopes, at.now())
    click.echo(new.text)
    click.echo(f"{name}: {', '.join(scopes)}. This key is shown once; send it as Authorization: Bearer …", err=True)


@keys_command.command("list")
@with_appcontext
def list_keys() -> None:
    """List the keys: name, id, scopes, when made and revoked."""
    with services().database.reading() as session:
        rows = api_keys.every(session)
    for row in rows:
        state = f"revoked {instant(row.revoked_at)}" if row.revoked_at else "good"
        click.echo(f"{row.name}  oc_{row.id}_…  {','.join(row.scopes)}  made {instant(row.created_at)}  {state}")
    if not rows:
        click.echo("no keys yet; flask keys create NAME --scope catalogue,stock,orders makes one", err=True)


@keys_command.command("revoke")
@click.argument("name")
@with_appcontext
def revoke(name: str) -> None:
    """Revoke the key called NAME, at once and for good."""
    at = services()
    with at.database.writing() as session:
        if not api_keys.revoke(session, name, at.now()):
            raise click.ClickException(f"there is no good key called {name}")
    click.echo(f"{name} is revoked")
