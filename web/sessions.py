"""Who is shopping: a random id in a signed token, as a cookie or in X-Session-Token.

Signed with a timestamp (itsdangerous), so that forged and expired tokens are told apart from good
ones without asking any store. Neither is an error: the shopper simply starts a new session.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import timedelta

from flask import Flask, Response, current_app, g, request
from itsdangerous import BadData, TimestampSigner

COOKIE = "oncecart_session"
HEADER = "X-Session-Token"
_ID = re.compile(rb"[0-9a-f]{32}")
RENEW_AFTER_SECONDS = 24 * 3600


class Sessions:
    """Reads and signs session tokens; the first secret signs, the later ones are still believed."""

    def __init__(self, secrets_oldest_first: list[str], lifetime_days: int) -> None:
        self._signer = TimestampSigner(secrets_oldest_first, salt="oncecart.session", sep=".")
        self.lifetime = timedelta(days=lifetime_days)

    def sign(self, session_id: str) -> str:
        return self._signer.sign(session_id).decode()

    def read(self, token: str) -> tuple[str, float] | None:
        """The session id of a token and its age in seconds; None when it is forged or too old."""
        try:
            value, signed_at = self._signer.unsign(token.encode(errors="replace"), return_timestamp=True)
        except (BadData, ValueError, OverflowError):
            return None
        # Not by max_age: that takes a token for expired when the host that signed it is a moment ahead of us.
        age = time.time() - signed_at.timestamp()
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
        g.session_id, g.session_fresh = secrets.token_hex(16), True
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
