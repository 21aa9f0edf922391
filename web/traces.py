"""The span of each request, where tracing is on; see tasks/tracing.py."""

from __future__ import annotations

from flask import Flask, Response, current_app, g, request

from tasks.tracing import Traces
from web.requests import request_id

_TRACES = "traces"


def register_traces(app: Flask, traces: Traces) -> None:
    """Registered first of all, so that a span begins before anything else and sees the answer as it is sent."""
    app.extensions[_TRACES] = traces

    @app.before_request
    def _begin() -> None:
        given = request.headers
        g.span = traces.begin_request(request.method, request.path, given.get("traceparent"), given.get("tracestate"))

    @app.after_request
    def _end(response: Response) -> Response:
        if span := g.pop("span", None):
            rule = request.url_rule.rule if request.url_rule else None
            traces.end_request(span, request.method, rule, response.status_code, request_id())
        return response


def traceparent() -> str | None:
    """Where this request is in its trace, for what is accepted by it; None where nothing is traced."""
    if g.get("span") is None:
        return None
    traces: Traces = current_app.extensions[_TRACES]
    place: str | None = traces.traceparent(g.span)
    return place
