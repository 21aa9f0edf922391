"""Logins to the ops page: an API key, exchanged for a cookie that ends by itself.

The cookie is signed and names the key, so a key that is revoked ends its logins at once. It is no key: it counts
only beside a header that no other site can send, with a word that only our own pages know.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask, current_app, request
from itsdangerous import BadData, URLSafeSerializer

from db import api_keys
from shop.errors import Unavailable
from web.admin import keys
from web.admin.keys import ALL_SCOPES, Caller
from web.services import Services

COOKIE: Final = "oncecart_ops"
HEADER: Final = "X-Ops-Token"
"""Carries the login's word. No other origin is allowed to send it: it is in no list of CORS."""
LIFETIME_MS: Final = 8 * 3600_000
"""A working day."""
REMEMBERED_MS: Final = 10_000
_NOBODY_HASH: Final = keys.hash_of("")


@dataclass(frozen=True, slots=True)
class Login:
    """A good cookie: whose it is, and the word that its pages send back."""

    key_id: str
    caller: Caller
    word: str


class Logins:
    """Makes cookies and reads them. The last secret signs, the others are still believed."""

    def __init__(self, services: Services) -> None:
        self._serializer = URLSafeSerializer([*services.secrets], salt="oncecart.ops")
        self._admin_api_key = services.admin_api_key
        self._database = services.database
        self._now = services.now
        self._seen: dict[str, tuple[int, Caller | None]] = {}

    def caller(self, text: str) -> tuple[str, Caller] | None:
        """The id of an API key and what it may do; None for one that is not good. Raises Unavailable."""
        if self._admin_api_key and keys.same(text, self._admin_api_key):
            return keys.FROM_SETTINGS, Caller(keys.FROM_SETTINGS, ALL_SCOPES)
        parts = keys.take_apart(text)
        if parts is None:
            return None
        with self._database.reading() as session:
            row = api_keys.get(session, parts[0])
        # An unknown id costs the same comparison as a known one.
        good = keys.same(keys.hash_of(parts[1]), row.hash if row else _NOBODY_HASH)
        return (row.id, Caller(row.name, frozenset(row.scopes))) if row and good else None

    def cookie(self, key_id: str, caller: Caller) -> str:
        """For who has just brought the key."""
        return str(
            self._serializer.dumps(
                {
                    "key": key_id,
                    "name": caller.name,
                    "scopes": sorted(caller.scopes),
                    "proof": self._proof(key_id),
                    "word": secrets.token_hex(16),
                    "at": self._now(),
                }
            )
        )

    def _proof(self, key_id: str) -> str:
        """Another key in the settings ends the logins of the one before."""
        return keys.hash_of(f"ops:{self._admin_api_key}")[:16] if key_id == keys.FROM_SETTINGS else ""

    def read(self, cookie: str, *, sql_may_be_away: bool = False) -> Login | None:
        """Whose a cookie is; None when it is forged, too old, or its key is revoked. Raises Unavailable.

        Whoever only looks at figures may do so with SQL away, and on a key that was good seconds ago.
        """
        try:
            found: dict[str, Any] = self._serializer.loads(cookie)
        except BadData:
            return None
        if not 0 <= self._now() - found["at"] < LIFETIME_MS or found["proof"] != self._proof(found["key"]):
            return None
        caller = self._now_as(found, sql_may_be_away)
        return Login(found["key"], caller, found["word"]) if caller else None

    def _now_as(self, found: dict[str, Any], sql_may_be_away: bool) -> Caller | None:
        if found["key"] == keys.FROM_SETTINGS:
            return Caller(keys.FROM_SETTINGS, ALL_SCOPES) if self._admin_api_key else None
        if not sql_may_be_away:
            return self._looked_up(found["key"])
        at, caller = self._seen.get(found["key"], (0, None))
        if self._now() - at < REMEMBERED_MS:
            return caller
        try:
            return self._looked_up(found["key"])
        except Unavailable:
            return Caller(found["name"], frozenset(found["scopes"]))

    def _looked_up(self, key_id: str) -> Caller | None:
        with self._database.reading() as session:
            row = api_keys.get(session, key_id)
        caller = Caller(row.name, frozenset(row.scopes)) if row else None
        if row:  # Only of keys that there are: what is remembered stays small.
            self._seen[key_id] = self._now(), caller
        else:
            self._seen.pop(key_id, None)
        return caller


def register_logins(app: Flask) -> None:
    app.extensions["logins"] = Logins(app.extensions["oncecart"])


def logins() -> Logins:
    found: Logins = current_app.extensions["logins"]
    return found


def login(*, sql_may_be_away: bool = False) -> Login | None:
    """The login of this request for a page, by its cookie alone."""
    cookie = request.cookies.get(COOKIE)
    return logins().read(cookie, sql_may_be_away=sql_may_be_away) if cookie else None


def caller_by_cookie(*, sql_may_be_away: bool = False) -> Caller | None:
    """Who a page's own request comes from: its cookie counts only beside the word that the page was given."""
    word = request.headers.get(HEADER, "")
    found = login(sql_may_be_away=sql_may_be_away) if word else None
    return found.caller if found and hmac.compare_digest(word.encode(), found.word.encode()) else None
