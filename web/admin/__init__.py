"""The merchant's side of the API, under /api/admin: catalogue, stock and orders, guarded by API keys."""

from __future__ import annotations

from web.admin import bulk, catalogue, orders, payments, stock, webhooks  # noqa: F401 - their routes
from web.admin.auth import SCOPE_OF, register_guard
from web.admin.logins import register_logins
from web.api import Api


def register_admin(app: Api) -> None:
    """Every route under /api/admin, and the guard in front of them."""
    register_logins(app)
    register_guard(app)
    for blueprint in SCOPE_OF:
        app.register_api(blueprint)
