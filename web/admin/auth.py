"""The guard of the admin API: no key, no answer; not even whether an address exists."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, g, request

from shop.errors import Forbidden, Unauthenticated
from web.admin.keys import Caller
from web.admin.logins import caller_by_cookie, logins
from web.api import Blueprint, Tag

PREFIX: Final = "/api/admin"
MOST_BODY_BYTES: Final = 4 * 1024 * 1024
"""What somebody with a key may send: a thousand products."""

catalogue = Blueprint(
    "admin_catalogue", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="admin: catalogue")], abp_security=[{"key": []}]
)
stock = Blueprint(
    "admin_stock", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="admin: stock")], abp_security=[{"key": []}]
)
orders = Blueprint(
    "admin_orders", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="admin: orders")], abp_security=[{"key": []}]
)
webhooks = Blueprint(
    "admin_webhooks", __name__, url_prefix=PREFIX, abp_tags=[Tag(name="admin: webhooks")], abp_security=[{"key": []}]
)
SCOPE_OF: Final = {catalogue: "catalogue", stock: "stock", orders: "orders", webhooks: "webhooks"}
"""The scope that a blueprint's routes need; a route under /api/admin that is in none of them is closed to all."""
_SCOPES: Final = {blueprint.name: scope for blueprint, scope in SCOPE_OF.items()}


def register_guard(app: Flask) -> None:
    @app.before_request
    def _guard() -> Response | None:
        if not _guarded(request.path):
            return None
        if request.method == "OPTIONS":
            # A browser asks without the key whether it may send one: the same answer for every address.
            return Response(status=204)
        caller = _caller()
        if caller is None:
            raise Unauthenticated("This needs a valid API key.")
        g.caller = caller
        g.setdefault("log", {})["api_key"] = caller.name
        needed = _SCOPES.get(request.blueprint or "")
        if request.url_rule is not None and needed not in caller.scopes:
            raise Forbidden(f"This key lacks the scope {needed}." if needed else "This route is closed.")
        g.most_body_bytes = MOST_BODY_BYTES
        request.max_content_length = MOST_BODY_BYTES + 1
        return None


def _guarded(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _caller() -> Caller | None:
    """Whose key this request brings, or which login to the ops page, if it is good. Raises Unavailable."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    text = text.strip()
    if not scheme:
        return caller_by_cookie()
    if scheme.lower() != "bearer" or not text:
        return None
    found = logins().caller(text)
    return found[1] if found else None


def actor() -> str:
    """Who is behind this request, for the ledger and the timelines."""
    caller: Caller = g.caller
    return caller.name
