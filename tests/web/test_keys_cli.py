"""flask keys: a key is shown once, kept as a hash, and works from then until it is revoked."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import select

from db.models import ApiKeyRow
from tests.harness import Shop
from web.admin.keys import FROM_SETTINGS, hash_of, take_apart


def flask_keys(shop: Shop, *arguments: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=["keys", *arguments])


def rows(shop: Shop) -> list[ApiKeyRow]:
    with shop.database.reading() as session:
        return list(session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.name)))


def status(shop: Shop, key: str) -> int:
    """404 for a key that is good: there is nothing at this address."""
    headers = {"Authorization": f"Bearer {key}"}
    return shop.app.test_client().get("/api/admin/nothing", headers=headers).status_code


def test_a_new_key_is_printed_once_and_only_its_hash_is_kept(any_shop: Shop) -> None:
    result = flask_keys(any_shop, "create", "back office", "--scope", "orders, stock,orders")

    assert result.exit_code == 0
    key = result.stdout.strip()
    parts = take_apart(key)
    assert parts is not None
    assert result.stdout == f"{key}\n"
    assert "back office: orders, stock" in result.stderr
    assert key not in result.stderr
    (row,) = rows(any_shop)
    assert (row.id, row.hash, row.scopes) == (parts[0], hash_of(parts[1]), ["orders", "stock"])
    assert parts[1] not in repr(vars(row))
    assert parts[1] not in flask_keys(any_shop, "list").output


def test_a_key_works_from_its_making_until_it_is_revoked(any_shop: Shop) -> None:
    key = flask_keys(any_shop, "create", "Ada", "--scope", "catalogue").stdout.strip()
    made = status(any_shop, key)

    revoked = flask_keys(any_shop, "revoke", "Ada")

    assert (made, status(any_shop, key)) == (404, 401)
    assert (revoked.exit_code, revoked.output) == (0, "Ada is revoked\n")


def test_keys_are_listed_with_what_they_may_and_whether_they_are_good(shop: Shop) -> None:
    empty = flask_keys(shop, "list")
    flask_keys(shop, "create", "Ada", "--scope", "catalogue,stock")
    shop.clock.forward(60)
    flask_keys(shop, "create", "Bob", "--scope", "orders")
    flask_keys(shop, "revoke", "Ada")

    result = flask_keys(shop, "list")

    assert (empty.exit_code, empty.stdout) == (0, "")
    assert "flask keys create" in empty.stderr
    ada, bob = result.stdout.splitlines()
    first, second = rows(shop)
    assert ada == (
        f"Ada  oc_{first.id}_…  catalogue,stock  made 2026-11-18T11:06:40.000Z  revoked 2026-11-18T11:07:40.000Z"
    )
    assert bob == f"Bob  oc_{second.id}_…  orders  made 2026-11-18T11:07:40.000Z  good"


@pytest.mark.parametrize("scope", ["", " , ", "everything", "orders,everything", "Orders"])
def test_a_scope_that_there_is_not_is_refused(shop: Shop, scope: str) -> None:
    result = flask_keys(shop, "create", "Ada", "--scope", scope)

    assert result.exit_code == 1
    assert result.stderr == f"Error: {scope!r}: the scopes there are: catalogue, stock, orders, webhooks\n"
    assert rows(shop) == []


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines", "bell\a", FROM_SETTINGS])
def test_a_name_that_says_nothing_or_something_else_is_refused(shop: Shop, name: str) -> None:
    result = flask_keys(shop, "create", name, "--scope", "orders")

    assert result.exit_code == 1
    assert result.stderr == "Error: use a name of 1 to 100 printable characters\n"
    assert rows(shop) == []


@pytest.mark.parametrize("revoke_first", [False, True])
def test_a_name_is_given_once_even_after_it_was_revoked(any_shop: Shop, revoke_first: bool) -> None:
    flask_keys(any_shop, "create", "Ada", "--scope", "orders")
    if revoke_first:
        flask_keys(any_shop, "revoke", "Ada")

    result = flask_keys(any_shop, "create", " Ada ", "--scope", "orders")

    assert result.exit_code == 1
    assert result.stderr == "Error: there is, or was, a key called Ada; use another name\n"
    assert len(rows(any_shop)) == 1


def test_what_is_revoked_or_was_never_there_cannot_be_revoked(any_shop: Shop) -> None:
    flask_keys(any_shop, "create", "Ada", "--scope", "orders")
    flask_keys(any_shop, "revoke", "Ada")
    at = rows(any_shop)[0].revoked_at
    any_shop.clock.forward(60)

    results = [flask_keys(any_shop, "revoke", name) for name in ("Ada", "Bob")]

    assert [result.exit_code for result in results] == [1, 1]
    assert results[0].stderr == "Error: there is no good key called Ada\n"
    assert rows(any_shop)[0].revoked_at == at


def test_a_key_needs_a_scope(shop: Shop) -> None:
    result = flask_keys(shop, "create", "Ada")

    assert result.exit_code == 2
    assert "Missing option '--scope'" in result.stderr


def test_a_database_that_is_away_is_one_line(shop: Shop) -> None:
    shop.database.close()
    Path(str(shop.database.engine.url.database)).write_text("no database" * 1000)

    result = flask_keys(shop, "list")

    assert result.exit_code == 1
    assert result.stderr == "Error: The order store is away for a moment. (file is not a database)\n"
