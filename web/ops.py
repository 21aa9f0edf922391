"""What operators and developers look at: health, readiness, the API's description and the problem pages."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from flask import Blueprint as FlaskBlueprint
from flask import Response, current_app, render_template, request, send_from_directory
from markupsafe import Markup, escape
from werkzeug.exceptions import NotFound

from db import payments
from shop.errors import CODES, FAILURE_CODES, Code, Unavailable
from tasks.queues import queues_of
from web.api import Blueprint, Info, SecurityScheme, Tag
from web.explanations import example, explanations
from web.schemas import CheckOut, HealthOut, ReadyOut
from web.services import Services, services

INFO = Info(
    title="Oncecart",
    version="1",
    description=(
        "A cart and checkout backend. A checkout is accepted in milliseconds with 202 and settled exactly once "
        "by a background worker; follow `/api/orders/{id}` for its outcome. Sessions travel in a cookie or in "
        "X-Session-Token. Amounts are exact decimal strings. Every refusal is problem+json with a stable code."
    ),
)
SECURITY: dict[str, SecurityScheme | dict[str, Any]] = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key; `flask keys create` makes one."}
}
OPERATIONS = Tag(name="operations", description="For load balancers and monitors.")
_CODE = re.compile(r"`([^`]+)`")
PAYMENT_CODES = ("payment_declined", "payment_unavailable", "payment_action_timeout", "cancelled")
GROUPS = {
    400: "The request cannot be understood",
    405: "The request cannot be understood",
    413: "The request cannot be understood",
    415: "The request cannot be understood",
    422: "The request asks for what there is not",
    401: "Who may, and who may not",
    403: "Who may, and who may not",
    404: "There is no such thing",
    409: "Understood, but not as things stand",
    412: "Understood, but not as things stand",
    428: "Understood, but not as things stand",
}
"""What the list of problems says of the codes of a status; of any other: not now."""
HEARTBEAT_SECONDS = 10
OLDEST_SECONDS = 30

operations = Blueprint("operations", __name__)
pages = FlaskBlueprint("pages", __name__)


@operations.get("/healthz", tags=[OPERATIONS], responses={200: HealthOut})
def healthz() -> HealthOut:
    """Say that this web process answers. Point load balancers here: it needs no store."""
    return HealthOut(status="ok")


@operations.get("/readyz", tags=[OPERATIONS], responses={200: ReadyOut, 503: ReadyOut})
def readyz() -> tuple[ReadyOut, int]:
    """Check Redis, SQL, each queue's worker, the oldest waiting checkout and payment. 503 if any is bad."""
    at = services()
    checks = {"redis": _redis(at), "sql": _sql(at), "inbox": _inbox(at), "payments": _payments(at)}
    for queue in queues_of(at.settle_shards):
        checks[f"worker:{queue}"] = _worker(at, queue)
    ready = all(check.ok for check in checks.values())
    return ReadyOut(ready=ready, checks=checks), 200 if ready else 503


def _redis(at: Services) -> CheckOut:
    try:
        waiting, full = at.inbox.size(), at.inbox.is_nearly_full()
    except Unavailable as error:
        return CheckOut(ok=False, detail=str(error))
    if full:
        return CheckOut(ok=False, detail="nearly full: new checkouts are refused; raise maxmemory")
    return CheckOut(ok=True, detail=f"answers; {waiting} checkouts wait")


def _sql(at: Services) -> CheckOut:
    try:
        at.database.ping()
    except Unavailable as error:
        return CheckOut(ok=False, detail=str(error))
    return CheckOut(ok=True, detail="answers")


def _inbox(at: Services) -> CheckOut:
    try:
        age = at.inbox.oldest_age_seconds()
    except Unavailable as error:
        return CheckOut(ok=False, detail=str(error))
    refused = "; new checkouts are refused" if age > at.inbox.max_seconds else ""
    return CheckOut(ok=age < OLDEST_SECONDS, detail=f"the oldest waiting checkout is {age:.1f} s old{refused}")


def _payments(at: Services) -> CheckOut:
    try:
        with at.database.reading() as session:
            waited = payments.due(session, at.now()) or 0
    except Unavailable as error:
        return CheckOut(ok=False, detail=str(error))
    detail = f"the oldest due payment has waited {waited / 1000:.1f} s"
    return CheckOut(ok=waited < OLDEST_SECONDS * 1000, detail=detail)


def _worker(at: Services, queue: str) -> CheckOut:
    try:
        last = at.heartbeats.last(queue)
    except Unavailable as error:
        return CheckOut(ok=False, detail=str(error))
    if last is None:
        return CheckOut(ok=False, detail="no worker has been seen for a minute")
    silent = max(0.0, at.now() / 1000 - last)
    return CheckOut(ok=silent < HEARTBEAT_SECONDS, detail=f"last heartbeat {silent:.1f} s ago")


# ---------------------------------------------------------------- pages


@pages.get("/api/openapi.json")
def openapi() -> Response:
    return Response(msgspec.json.encode(current_app.api_doc), mimetype="application/json")  # type: ignore[attr-defined]


@pages.get("/api/docs")
def docs() -> str:
    return render_template("docs.html")


def _swagger() -> Path:
    return Path(str(files("flask_openapi3_swagger"))) / "templates" / "swagger"


@pages.get("/api/docs/assets/<path:name>")
def docs_asset(name: str) -> Response:
    return send_from_directory(_swagger(), name)


@pages.get("/problems/")
def problem_index() -> str:
    return render_template("problems.html", groups=[(name, _of(name)) for name in dict.fromkeys(map(_group, CODES))])


def _marked(text: str) -> Markup:
    """What stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped just now


def _of(group: str) -> list[tuple[str, Code]]:
    return [(code, known) for code, known in CODES.items() if _group(code) == group]


def _group(code: str) -> str:
    if code in FAILURE_CODES and code in PAYMENT_CODES:
        return "What can become of an accepted checkout"
    told = explanations().get(code)
    return GROUPS.get(told.status if told else 0, "Not now")


@pages.get("/problems/<code>")
def problem_page(code: str) -> Response | str:
    """What a problem's code means, for people or (Accept: application/json) for programs."""
    known = CODES.get(code)
    if known is None:
        raise NotFound("There is no such problem.")
    told = explanations().get(code)
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        body = {"code": code, "title": known.title, "advice": known.advice, "retryable": known.retryable}
        if told:
            body |= {"status": told.status, "why": told.why, "example": example(code)}
        return Response(msgspec.json.encode(body), mimetype="application/json")
    return render_template(
        "problem.html",
        code=code,
        known=known,
        advice=_marked(known.advice),
        told=told,
        why=_marked(told.why) if told else "",
        failure=code in FAILURE_CODES,
        reason=HTTPStatus(told.status).phrase if told else "",
        answer=json.dumps(example(code), indent=2, ensure_ascii=False) if told else "",
    )
