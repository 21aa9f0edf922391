"""Errors as HTTP: every non-2xx of the shop is RFC 9457 `application/problem+json`, made here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from flask import Flask, Response, g, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from carts.connection import RETRY_AFTER_SECONDS
from shop import errors
from shop.errors import CODES, Fault, ShopError
from web.requests import request_id
from web.schemas import UNION_TAGS

STATUS: dict[type[ShopError], int] = {
    errors.Invalid: 400,
    errors.ValidationFailed: 422,
    errors.IdempotencyKeyReused: 422,
    errors.PaymentMethodUnsupported: 422,
    errors.CardNumberRefused: 422,
    errors.ShippingUnavailable: 422,
    errors.UnsupportedMediaType: 415,
    errors.PreconditionRequired: 428,
    errors.ChangedMeanwhile: 412,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
}
HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "unsupported_media_type",
    500: "internal_error",
    503: "service_unavailable",
}
MEDIA_TYPE = "application/problem+json"
MOST_FAULTS = 50
"""Named in one problem: a small body can hold thousands of unknown fields."""

log = structlog.get_logger()


def problem(code: str, status: int, detail: str, faults: Sequence[Fault] = (), **extra: Any) -> Response:
    """A problem document; `extra` members stand beside the standard ones."""
    known = CODES[code]
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": known.title,
        "status": status,
        "detail": detail,
        "code": code,
        "retryable": known.retryable,
        "request_id": request_id(),
        **extra,
    }
    if faults:
        body["errors"] = [fault_out(fault) for fault in faults]
    return Response(msgspec.json.encode(body), status, mimetype=MEDIA_TYPE)


def fault_out(fault: Fault) -> dict[str, Any]:
    members = {name: getattr(fault, name) for name in Fault.__slots__}
    return {name: value for name, value in members.items() if value is not None}


def validation_faults(error: ValidationError, parameters: bool) -> list[Fault]:
    """Each thing pydantic found wrong, with a JSON pointer into the body or the parameter's name."""
    faults = []
    for found in error.errors(include_url=False, include_input=False, include_context=False)[:MOST_FAULTS]:
        path = [str(part) for part in found["loc"] if part not in UNION_TAGS]
        message = found["msg"].removeprefix("Value error, ")
        kind = "validation_failed"
        if parameters:
            faults.append(Fault("invalid_parameter", message, parameter=path[0] if path else None))
        else:
            pointer = "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)
            faults.append(Fault(kind, message, pointer))
    return faults


def _later(answer: Response, error: ShopError) -> Response:
    """An answer that says when to come back."""
    answer.headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_AFTER_SECONDS))
    if answer.status_code == 503:  # Our trouble, not the client's.
        log.warning("request.unavailable", error=str(error), cause=repr(error.__cause__))
    return answer


def register_problems(app: Flask) -> None:
    """The one place that turns errors into HTTP. Routes never catch."""

    @app.errorhandler(ShopError)
    def _refused(error: ShopError) -> Response:
        status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
        answer = problem(error.code, status, str(error), error.faults, **error.extra)
        if status == 401:
            answer.headers["WWW-Authenticate"] = 'Bearer realm="Oncecart admin"'
        return _later(answer, error) if status in (429, 503) else answer

    @app.errorhandler(HTTPException)
    def _framework(error: HTTPException) -> Response:
        if error.code is None or error.code < 400:  # a redirect is no problem
            return error.get_response()  # type: ignore[return-value]
        code = HTTP_CODES.get(error.code, "bad_request")
        answer = problem(code, error.code, error.description or CODES[code].title)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
        return answer

    @app.after_request
    def _no_other(response: Response) -> Response:
        """Some refusals never were exceptions, such as a static file's failed If-Match."""
        if response.status_code < 400 or (response.mimetype or "").endswith("json") or g.get("own_error_page"):
            return response
        response.close()
        code = HTTP_CODES.get(response.status_code, "bad_request")
        return problem(code, response.status_code, CODES[code].title)

    @app.errorhandler(Exception)
    def _bug(error: Exception) -> Response:
        log.exception("request.threw", path=request.path, error=repr(error))
        return problem("internal_error", 500, "Something broke on our side. Nothing you sent is to blame.")
