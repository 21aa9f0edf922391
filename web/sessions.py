"""Who is shopping: a random id in a signed token, as a cookie or in X-Session-Token.

Signed with a timestamp (itsdangerous), so that forged and expired tokens are told apart from good
ones without asking any store. Neither is an error: the shopper simply starts a new session.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import timedelta
from functools import cache, lru_cache

from flask import Flask, Response, current_app, g, request
from itsdangerous import BadData, TimestampSigner

COOKIE = "oncecart_session"
HEADER = "X-Session-Token"
_ID = re.compile(rb"[0-9a-f]{32}")
RENEW_AFTER_SECONDS = 24 * 3600
REMEMBERED = 4096
"""Tokens of which a process knows that they are good: a shopper's requests come in a row."""


class Signer(TimestampSigner):
    """itsdangerous' signer, which works out the key of each secret once instead of for each token."""

    @cache  # noqa: B019 - a signer lives as long as its process
    def derive_key(self, secret_key: str | bytes | None = None) -> bytes:
        return super().derive_key(secret_key)


class Sessions:
    """Reads and signs session tokens; the first secret signs, the later ones are still believed."""

    def __init__(self, secrets_oldest_first: list[str], lifetime_days: int) -> None:
        self._signer = Signer(secrets_oldest_first, salt="oncecart.session", sep=".")
        self._unsign = lru_cache(REMEMBERED)(self._unsigned)
        self.lifetime = timedelta(days=lifetime_days)

    def sign(self, session_id: str) -> str:
        return self._signer.sign(session_id).decode()

    def _unsigned(self, token: str) -> tuple[bytes, float]:
        """The value of a token and when it was signed, in seconds. Raises BadData, ValueError or OverflowError."""
        value, signed_at = self._signer.unsign(token.encode(errors="replace"), return_timestamp=True)
        return value, signed_at.timestamp()

    def read(self, token: str) -> tuple[str, float] | None:
        """The session id of a token and its age in seconds; None when it is forged or too old."""
        try:
            value, signed_at = self._unsign(token)
        except (BadData, ValueError, OverflowError):
            return None
        # Not by max_age: that takes a token for expired when the host that signed it is a moment ahead of us.
        age = time.time() - signed_at
        if not _ID.fullmatch(value) or age > self.lifetime.total_seconds():
            return None
        return value.decode(), age


def session_id() -> str:
    """The session of this request; a new one, announced in the answer, when it brought none that is good.

    A header wins over a cookie: who sends one means it.
    """
    if "session_id" in g:
        found: str = g.session_id
        return found
    sessions: Sessions = current_app.extensions["sessions"]
    known = None
    for token in (request.headers.get(HEADER), request.cookies.get(COOKIE)):
        known = known or (sessions.read(token) if token else None)
    if known is None:
        g.session_id, g.session_fresh, g.session_new = secrets.token_hex(16), True, True
    else:
        g.session_id, g.session_fresh = known[0], known[1] > RENEW_AFTER_SECONDS
    return str(g.session_id)


def register_sessions(app: Flask, sessions: Sessions) -> None:
    app.extensions["sessions"] = sessions

    @app.after_request
    def _announce(response: Response) -> Response:
        if g.get("session_fresh"):
            token = sessions.sign(g.session_id)
            response.headers[HEADER] = token
            response.set_cookie(
                COOKIE,
                token,
                max_age=sessions.lifetime,
                httponly=True,
                samesite="Lax",
                secure=request.is_secure,
            )
        return response
