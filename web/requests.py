"""What every request goes through: an id, a log line, security headers."""

from __future__ import annotations

import re
import time
from typing import Final

import structlog
from flask import Flask, Response, g, request
from uuid_utils import uuid7

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
MOST_BODY_BYTES = 64 * 1024

log = structlog.get_logger()

HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PRIVATE = ("/api/cart", "/api/checkout", "/api/orders")


def request_id() -> str:
    """This request's id: the client's X-Request-Id when it is a plain one, else ours."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _SAFE_ID.fullmatch(given) else f"req_{uuid7().hex}"
    found: str = g.request_id
    return found


def register_requests(app: Flask) -> None:
    @app.before_request
    def _begin() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def _finish(response: Response) -> Response:
        asked = request._get_current_object()  # type: ignore[attr-defined] # a look through the proxy costs each time
        headers, path = response.headers, asked.path
        # Looked up once and added: Werkzeug's setdefault goes through all headers for each.
        present = {name.lower() for name in headers.keys()}  # noqa: SIM118 - a Headers yields pairs
        headers.add("X-Request-Id", request_id())
        for name, value in HEADERS:
            if name.lower() not in present:
                headers.add(name, value)
        if "content-security-policy" not in present:
            headers.add("Content-Security-Policy", PAGE_POLICY if response.mimetype == "text/html" else DATA_POLICY)
        if asked.is_secure and "strict-transport-security" not in present:
            headers.add("Strict-Transport-Security", "max-age=31536000")
        if path.startswith(PRIVATE) and "cache-control" not in present:
            headers["Cache-Control"] = "private, no-cache"
        if path.startswith("/api/admin"):
            headers["Cache-Control"] = "no-store"
        ms = round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 2)
        log.info(
            "request",
            request_id=request_id(),
            method=asked.method,
            path=path,
            route=asked.url_rule.rule if asked.url_rule else None,
            status=response.status_code,
            ms=ms,
            **g.get("log", {}),
        )
        return response
