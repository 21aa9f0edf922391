"""A merchant: a client with a key to the admin API, made as `flask keys create` makes one."""

from __future__ import annotations

import secrets

import pytest

from db import api_keys
from tests.harness import Client, Shop
from web.admin import keys
from web.admin.keys import SCOPES


def key_for(shop: Shop, *scopes: str, name: str | None = None) -> str:
    """The text of a new key with these scopes (none given: all of them), called `name`."""
    new = keys.make()
    with shop.database.writing() as session:
        named = name or f"key-{secrets.token_hex(4)}"
        api_keys.add(session, new.id, named, new.hash, sorted(scopes or SCOPES), shop.clock())
    return new.text


def merchant_of(shop: Shop, *scopes: str, name: str | None = None) -> Client:
    """A client that sends a new key of this shop with each request; every answer is held against OpenAPI."""
    client = shop.shopper()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key_for(shop, *scopes, name=name)}"
    return client


@pytest.fixture
def merchant(shop: Shop) -> Client:
    """Whoever has a key with every scope, called `Ada's key`."""
    return merchant_of(shop, name="Ada's key")
