"""What every request goes through: an id, a log line, security headers."""

from __future__ import annotations

import re
import time

import structlog
from flask import Flask, Response, g, request
from uuid_utils import uuid7

_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
MOST_BODY_BYTES = 64 * 1024

log = structlog.get_logger()

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
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
        response.headers["X-Request-Id"] = request_id()
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        is_page = response.mimetype == "text/html"
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else DATA_POLICY)
        if request.is_secure:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        if request.path.startswith(PRIVATE):
            response.headers["Cache-Control"] = "private, no-cache"
        if request.path.startswith("/api/admin"):
            response.headers["Cache-Control"] = "no-store"
        ms = round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 2)
        log.info(
            "request",
            request_id=request_id(),
            method=request.method,
            path=request.path,
            route=request.url_rule.rule if request.url_rule else None,
            status=response.status_code,
            ms=ms,
            **g.get("log", {}),
        )
        return response
