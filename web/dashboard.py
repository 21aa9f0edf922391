"""The ops page at /ops: whoever has an API key with the scope `orders` logs in and sees the shop at work.

Its pages are shells that static/ops fills: with figures from here, once a second and from Redis alone, and with
orders, stock and payments from the admin API, whose routes also do what is done.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from flask import Blueprint, Flask, Response, g, redirect, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from carts.figures import Seen, added, batch_counts, confirm_counts
from db import figures
from shop.errors import Forbidden, Unauthenticated, Unavailable
from shop.figures import CONFIRM_BOUNDS_MS, quantile
from tasks.queues import queues_of
from web.admin.logins import COOKIE, LIFETIME_MS, Login, caller_by_cookie, login, logins
from web.problems import problem
from web.schemas import OrderPath
from web.services import services

SCOPE: Final = "orders"
"""What a key needs for the ops page; what it does with stock needs the scope `stock` as well."""
WINDOW_SECONDS: Final = 300
NOW_SECONDS: Final = 60
"""What is told of just now is told of so long."""
RETRY_AFTER_SECONDS: Final = 2
_OURS = re.compile(r"/ops(/[A-Za-z0-9-]+){0,2}")

dashboard = Blueprint("dashboard", __name__, url_prefix="/ops")


def register_dashboard(app: Flask) -> None:
    app.register_blueprint(dashboard)


# ---------------------------------------------------------------- logging in and out


@dashboard.get("/login")
def login_page() -> WerkzeugResponse:
    return redirect(_wanted()) if login(sql_may_be_away=True) else _login_page()


@dashboard.post("/login")
def log_in() -> WerkzeugResponse:
    """Exchange a key for a cookie. The key itself is kept nowhere."""
    _check_origin()
    found = logins().caller(request.form.get("key", "").strip())
    if found is None:
        return _login_page("This is no key of this shop, or it was revoked.", 401)
    if SCOPE not in found[1].scopes:
        return _login_page(f"This key lacks the scope {SCOPE}.", 403)
    response = redirect(_wanted(), 303)
    response.set_cookie(
        COOKIE,
        logins().cookie(*found),
        max_age=LIFETIME_MS // 1000,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return response


@dashboard.post("/logout")
def log_out() -> WerkzeugResponse:
    _check_origin()
    found = login(sql_may_be_away=True)
    if found and not hmac.compare_digest(request.form.get("word", "").encode(), found.word.encode()):
        raise Forbidden("This did not come from our own page.")
    response = redirect("/ops/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict", secure=request.is_secure)
    return response


def _check_origin() -> None:
    """Raise Forbidden for a form that a browser sends from somewhere else."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # The browser knows best: behind a proxy we may not know what we are called.
    ours = site in ("same-origin", "none") if site else origin is None or urlsplit(origin).netloc == request.host
    if not ours:
        raise Forbidden("This did not come from our own page.")


def _wanted() -> str:
    """Where to go on after the login: a page of ours, and nothing else."""
    wanted = request.values.get("next", "")
    return wanted if _OURS.fullmatch(wanted) and wanted not in ("/ops/login", "/ops/logout") else "/ops"


def _login_page(fault: str = "", status: int = 200) -> Response:
    g.own_error_page = status >= 400
    return _shown(render_template("ops/login.html", fault=fault, next=_wanted()), status)


def _shown(page: str, status: int = 200) -> Response:
    response = Response(page, status, mimetype="text/html")
    response.headers["Cache-Control"] = "no-store"
    return response


# ---------------------------------------------------------------- pages


@dashboard.get("")
def live_page() -> WerkzeugResponse:
    return _page("live")


@dashboard.get("/orders")
def orders_page() -> WerkzeugResponse:
    return _page("orders")


@dashboard.get("/orders/<order_id>")
def order_page(order_id: str) -> WerkzeugResponse:
    try:
        OrderPath(order_id=order_id)
    except ValidationError as error:
        raise NotFound("There is no such order.") from error
    return _page("order", order_id=order_id)


@dashboard.get("/stock")
def stock_page() -> WerkzeugResponse:
    return _page("stock")


@dashboard.get("/payments")
def payments_page() -> WerkzeugResponse:
    return _page("payments")


def _page(name: str, **given: Any) -> WerkzeugResponse:
    """A page's shell for who is logged in, with SQL away too; anybody else may log in."""
    found: Login | None = login(sql_may_be_away=True)
    if found is None or SCOPE not in found.caller.scopes:
        return redirect(f"/ops/login?next={quote(request.path)}", 303)
    return _shown(render_template(f"ops/{name}.html", login=found, here=name, **given))


# ---------------------------------------------------------------- figures


@dashboard.get("/live.json")
def live() -> Response:
    """The last five minutes, or what is new since a second of them. Asks Redis alone."""
    _check_login()
    at = services()
    now = at.now() // 1000
    since = max(request.args.get("since", 0, int), now - WINDOW_SECONDS)
    # The store's clock may be ahead of ours.
    seen = at.figures.look(queues_of(at.settle_shards), range(min(since, now - NOW_SECONDS) // 60, (now + 5) // 60 + 1))
    return _json(_live(seen, since))


def _live(seen: Seen, since: int) -> dict[str, Any]:
    now = seen.at // 1000
    recent = added(of for second, of in seen.seconds.items() if second >= now - NOW_SECONDS)
    batches = sum(batch_counts(recent))
    return {
        "at": seen.at,
        "accepted": seen.accepted,
        "totals": {name: seen.totals.get(name, 0) for name in ("settled", "confirmed", "paid", "failed", "cancelled")},
        "waiting": seen.waiting,
        "oldest_ms": seen.oldest_ms,
        "confirm": _confirm(recent),
        "batch": round(recent["settled"] / batches, 1) if batches else None,
        "seconds": [_second(second, of) for second, of in sorted(seen.seconds.items()) if second >= since],
        "workers": list(_workers(seen)),
        "processes": [
            {"role": role, "began": began, "died": seen.of_roles("died").get(role, 0)}
            for role, began in sorted(seen.of_roles("began").items())
        ],
        "store": {"used_bytes": seen.used_bytes, "max_bytes": seen.most_bytes},
    }


def _second(second: int, of: Mapping[str, int]) -> dict[str, Any]:
    batches = sum(batch_counts(of))
    return {
        "at": second,
        **{name: of.get(name, 0) for name in ("settled", "confirmed", "paid", "failed")},
        "batch": round(of.get("settled", 0) / batches, 1) if batches else None,
        **_confirm(of),
    }


def _confirm(of: Mapping[str, int]) -> dict[str, float | None]:
    counts = confirm_counts(of)
    return {f"p{part}": quantile(part / 100, counts, CONFIRM_BOUNDS_MS) for part in (50, 99)}


def _workers(seen: Seen) -> Iterator[dict[str, Any]]:
    for queue, workers in seen.workers.items():
        if not workers:
            yield {"queue": queue, "name": None, "silent_ms": None}
        for name, beat in sorted(workers.items(), key=lambda worker: -worker[1]):
            yield {"queue": queue, "name": name, "silent_ms": max(0, round(seen.at - beat * 1000))}


@dashboard.get("/attention.json")
def attention() -> Response:
    """What is under way and what stands for a person, from SQL; asked for now and then."""
    _check_login()
    at = services()
    with at.database.reading() as session:
        found = figures.attention(session, at.now())
    return _json({**msgspec.to_builtins(found), "most": figures.MOST})


def _check_login() -> None:
    """Raise Unauthenticated for a page that is logged in no more, or is not ours."""
    caller = caller_by_cookie(sql_may_be_away=True)
    if caller is None or SCOPE not in caller.scopes:
        raise Unauthenticated("Log in at /ops.")


def _json(body: Mapping[str, Any]) -> Response:
    response = Response(msgspec.json.encode(body), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


@dashboard.errorhandler(Unavailable)
def _away(error: Unavailable) -> Response:
    if request.path.endswith(".json"):
        response = problem(error.code, 503, str(error))
    else:
        response = _login_page("The database is away for a moment. Try again.", 503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response
