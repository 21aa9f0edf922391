"""Traces: a checkout from its request to its settled and paid order, as spans of OpenTelemetry.

Off, which is the default, nothing here is more than a look at a list, and OpenTelemetry is never imported. The
request's place in its trace (W3C traceparent) is kept beside the accepted checkout, where the workers find it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import wraps
from typing import Any

import structlog

from shop.errors import Unavailable

EXPORT_PATH = "/v1/traces"
CLOSE_MS = 1000
log = structlog.get_logger()

Found = Callable[[Collection[str]], Mapping[str, str]]
"""The traceparents of accepted checkouts, by order id. May raise Unavailable."""


def _harmless(work: Callable[..., Any]) -> Callable[..., Any]:
    """What is traced stands whatever becomes of its span."""

    @wraps(work)
    def attempted(*given: Any) -> Any:
        try:
            return work(*given)
        except Exception:
            log.exception("traces.threw", what=work.__name__)
            return None

    return attempted


class Traces:
    """Makes spans and hands them to an exporter. Nothing it does raises into the work that is traced."""

    def __init__(self, service: str, exporter: Any, *, at_once: bool = False) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self._provider.add_span_processor((SimpleSpanProcessor if at_once else BatchSpanProcessor)(exporter))
        self._tracer = self._provider.get_tracer("oncecart")
        self._carrier = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what is left."""
        self._provider.force_flush(CLOSE_MS)
        self._provider.shutdown()

    # ------------------------------------------------------------ requests

    @_harmless
    def begin_request(self, method: str, path: str, traceparent: str | None, tracestate: str | None) -> Any:
        """The span of a request, in the trace its client has begun or in a new one. End it with `end_request`."""
        from opentelemetry.trace import SpanKind

        carried = {"traceparent": traceparent or "", "tracestate": tracestate or ""}
        return self._tracer.start_span(
            method,
            context=self._carrier.extract({name: value for name, value in carried.items() if value}),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": path},
        )

    @_harmless
    def end_request(self, span: Any, method: str, route: str | None, status: int, request_id: str) -> None:
        from opentelemetry.trace import StatusCode

        if route:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("shop.request_id", request_id)
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    @_harmless
    def traceparent(self, span: Any) -> str | None:
        """A span's place, to go on from elsewhere; None when its trace is not kept."""
        from opentelemetry.trace import set_span_in_context

        if not span.get_span_context().trace_flags.sampled:
            return None
        carrier: dict[str, str] = {}
        self._carrier.inject(carrier, set_span_in_context(span))
        return carrier.get("traceparent")

    # ------------------------------------------------------------ the workers

    @_harmless
    def settled(self, statuses: Mapping[str, str], started_ns: int, found: Found) -> None:
        """A batch that was settled, and each order's part of it: in the trace of its request, linked to the batch."""
        from opentelemetry.trace import Link

        places = _places(found, statuses)
        contexts = {order_id: self._carrier.extract({"traceparent": place}) for order_id, place in places.items()}
        links = [Link(_place_of(context)) for context in contexts.values()]
        batch = self._tracer.start_span(
            "settle batch", links=links, start_time=started_ns, attributes={"shop.orders": len(statuses)}
        )
        for order_id, context in contexts.items():
            span = self._tracer.start_span(
                "settle order",
                context=context,
                links=[Link(batch.get_span_context())],
                start_time=started_ns,
                attributes={"shop.order_id": order_id, "shop.order_status": statuses[order_id]},
            )
            span.end()
        batch.end()

    @_harmless
    def called_provider(
        self, order_id: str, provider: str, call: str, answer: str, began_ns: int, found: Found
    ) -> None:
        """A provider was told something about an order's payment."""
        from opentelemetry.trace import SpanKind

        told = {"shop.provider": provider, "shop.call": call, "shop.answer": answer}
        self._of_order(f"payment {call}", order_id, told, began_ns, found, SpanKind.CLIENT)

    @_harmless
    def paid(self, statuses: Mapping[str, str], began_ns: int, found: Found) -> None:
        """Orders came by their payments to an end, or to where their shoppers must act."""
        for order_id, status in statuses.items():
            self._of_order("pay order", order_id, {"shop.order_status": status}, began_ns, found)

    def _of_order(
        self, name: str, order_id: str, told: Mapping[str, str], began_ns: int, found: Found, kind: Any = None
    ) -> None:
        from opentelemetry.trace import SpanKind

        for place in _places(found, [order_id]).values():
            span = self._tracer.start_span(
                name,
                context=self._carrier.extract({"traceparent": place}),
                kind=kind or SpanKind.INTERNAL,
                start_time=began_ns,
                attributes={"shop.order_id": order_id, **told},
            )
            span.end()


def _places(found: Found, order_ids: Collection[str]) -> Mapping[str, str]:
    with suppress(Unavailable):  # A trace is not worth a settlement.
        return found(order_ids)
    return {}


def _place_of(context: Any) -> Any:
    from opentelemetry.trace import get_current_span

    return get_current_span(context).get_span_context()


def connect_traces(endpoint: str, service: str) -> Traces | None:
    """Traces sent to a collector by OTLP over HTTP; None without an endpoint."""
    if not endpoint:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Traces(service, OTLPSpanExporter(endpoint=endpoint.rstrip("/") + EXPORT_PATH))


def now_ns() -> int:
    """The clock of spans."""
    return time.time_ns()
