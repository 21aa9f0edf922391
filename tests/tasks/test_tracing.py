"""One trace from the request to the settled and paid order, and nothing at all where tracing is off."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from carts import keys
from shop.errors import BadSettings, Unavailable
from tasks import runtime
from tasks.pay import pay
from tasks.tracing import Traces, connect_traces
from tests.collector import collecting
from tests.harness import Shop
from tests.web.answers import ok
from web import settings as settings_module
from web.settings import ROOT, read_settings
from web.traces import register_traces

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CARD = {"payment_method": "card", "payment_token": "tok_approve"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(shop: Shop, exporter: InMemorySpanExporter) -> Iterator[Shop]:
    """A shop of which every span is kept."""
    shop.stocked(MUG=10)
    traces = Traces("test", exporter, at_once=True)
    register_traces_first(shop, traces)
    shop.runtime = replace(shop.runtime, traces=traces)
    shop.pay_runtime = replace(shop.pay_runtime, traces=traces)
    runtime.start(shop.runtime)
    yield shop
    traces.close()


def register_traces_first(shop: Shop, traces: Traces) -> None:
    """As create_app does: before all other hooks."""
    hooks, answers = shop.app.before_request_funcs.pop(None, []), shop.app.after_request_funcs.pop(None, [])
    register_traces(shop.app, traces)
    shop.app.before_request_funcs.setdefault(None, []).extend(hooks)
    shop.app.after_request_funcs.setdefault(None, []).extend(answers)


def by_name(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format(span.context.trace_id, "032x")


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def check_out(shop: Shop, body: dict[str, Any] | None = None, traceparent: str | None = None) -> str:
    shopper = shop.shopper()
    if traceparent:
        shopper.environ_base["HTTP_TRACEPARENT"] = traceparent
    return shop.checkout(shopper, body, MUG=1)


def test_a_checkout_is_one_trace_to_its_settled_order(traced: Shop, exporter: InMemorySpanExporter) -> None:
    order_id = check_out(traced)
    traced.work_until_idle()

    spans = by_name(exporter)

    (request,), (batch,), (order,) = spans["POST /api/checkout"], spans["settle batch"], spans["settle order"]
    assert trace_of(order) == trace_of(request) != trace_of(batch)
    assert order.parent is not None
    assert order.parent.span_id == span_id(request)
    assert [link.context.span_id for link in order.links] == [span_id(batch)]
    assert [link.context.span_id for link in batch.links] == [span_id(request)]
    assert dict(order.attributes or {}) == {"shop.order_id": order_id, "shop.order_status": "confirmed"}


def test_a_paid_order_is_in_the_trace_of_its_request(traced: Shop, exporter: InMemorySpanExporter) -> None:
    order_id = check_out(traced, CARD)
    traced.work_until_idle()
    runtime.start(traced.pay_runtime)
    pay()

    spans = by_name(exporter)

    request = spans["POST /api/checkout"][0]
    mine = [name for name, found in spans.items() for span in found if trace_of(span) == trace_of(request)]
    assert sorted(set(mine)) == [
        "POST /api/checkout",
        "pay order",
        "payment authorize",
        "payment capture",
        "settle order",
    ]
    assert (spans["pay order"][0].attributes or {})["shop.order_status"] == "confirmed"
    assert (spans["payment authorize"][0].attributes or {})["shop.answer"] == "Approved"
    assert traced.order(order_id).status == "confirmed"


def test_the_trace_a_client_has_begun_goes_on(traced: Shop, exporter: InMemorySpanExporter) -> None:
    check_out(traced, traceparent=f"00-{TRACE}-{PARENT}-01")
    traced.work_until_idle()

    spans = by_name(exporter)

    request = spans["POST /api/checkout"][0]
    assert trace_of(request) == trace_of(spans["settle order"][0]) == TRACE
    assert request.parent is not None
    assert format(request.parent.span_id, "016x") == PARENT


def test_a_trace_that_its_client_does_not_keep_is_not_kept_here(traced: Shop, exporter: InMemorySpanExporter) -> None:
    order_id = check_out(traced, traceparent=f"00-{TRACE}-{PARENT}-00")
    traced.work_until_idle()

    assert {trace_of(span) for span in exporter.get_finished_spans()} & {TRACE} == set()
    assert not traced.redis.hexists(keys.accepted(order_id), "traceparent")


@pytest.mark.parametrize("nonsense", ["", "nonsense", "00-0-0-01", f"ff-{TRACE}-{PARENT}-01", "x" * 5000])
def test_a_traceparent_that_is_none_begins_a_trace(traced: Shop, exporter: InMemorySpanExporter, nonsense: str) -> None:
    ok(traced.shopper().get("/api/cart", headers={"traceparent": nonsense}))

    (span,) = exporter.get_finished_spans()
    assert span.parent is None


def test_a_request_tells_its_route_and_its_answer(traced: Shop, exporter: InMemorySpanExporter) -> None:
    answer = traced.shopper().get("/api/products/nothing")

    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /api/products/<product_id>"
    told = dict(span.attributes or {})
    assert told["http.response.status_code"] == 404
    assert told["shop.request_id"] == answer.headers["X-Request-Id"]


def test_orders_settled_together_are_told_apart(traced: Shop, exporter: InMemorySpanExporter) -> None:
    ids = {check_out(traced), check_out(traced), check_out(traced)}
    traced.work_until_idle()

    spans = by_name(exporter)

    assert len(spans["settle batch"]) == 1
    assert len(spans["settle batch"][0].links) == 3
    assert {(span.attributes or {})["shop.order_id"] for span in spans["settle order"]} == ids
    assert len({trace_of(span) for span in spans["settle order"]}) == 3


def test_a_store_that_is_away_costs_the_trace_and_not_the_order(
    traced: Shop, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> dict[str, str]:
        raise Unavailable("away")

    monkeypatch.setattr(type(traced.runtime.inbox), "traceparents", away)

    order_id = check_out(traced)
    traced.work_until_idle()

    assert traced.order(order_id).status == "confirmed"
    assert "settle order" not in by_name(exporter)


def test_an_exporter_that_throws_costs_the_trace_and_not_the_order(
    traced: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throws(*_: Any, **__: Any) -> None:
        raise RuntimeError("no")

    assert traced.runtime.traces is not None
    monkeypatch.setattr(traced.runtime.traces._tracer, "start_span", throws)

    order_id = check_out(traced)
    traced.work_until_idle()

    assert traced.order(order_id).status == "confirmed"


# ---------------------------------------------------------------- off


def test_switched_off_nothing_is_kept_and_nothing_imported(shop: Shop) -> None:
    shop.stocked(MUG=3)

    order_id = shop.checkout(MUG=1)

    assert set(shop.redis.hkeys(keys.accepted(order_id))) == {"snapshot", "session_id", "accepted_at"}
    # redis-py imports the SDK by itself where it is installed.
    ours = ("opentelemetry.exporter", "opentelemetry.sdk.trace.export", "google.protobuf")
    code = f"import sys, app, worker; sys.exit(any(name.startswith({ours}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    assert connect_traces("", "test") is None


def test_a_checkout_accepted_before_tracing_was_on_is_settled_without_a_span(
    shop: Shop, exporter: InMemorySpanExporter
) -> None:
    shop.stocked(MUG=3)
    order_id = shop.checkout(MUG=1)
    traces = Traces("test", exporter, at_once=True)
    shop.runtime = replace(shop.runtime, traces=traces)
    runtime.start(shop.runtime)

    shop.work_until_idle()

    assert shop.order(order_id).status == "confirmed"
    assert set(by_name(exporter)) == {"settle batch"}
    traces.close()


def test_tracing_without_opentelemetry_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setattr(settings_module, "TRACER", "opentelemetry.nowhere.at_all")

    with pytest.raises(BadSettings) as caught:
        read_settings(_env_file=None)

    assert str(caught.value) == (
        "OTEL_EXPORTER_OTLP_ENDPOINT: OpenTelemetry is not installed: pip install -r requirements-otel.txt"
    )


@pytest.mark.parametrize("value", ["localhost:4318", "grpc://localhost:4317", "on"])
def test_a_collector_needs_an_address(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", value)

    with pytest.raises(BadSettings, match="such as http://localhost:4318"):
        read_settings(_env_file=None)


# ---------------------------------------------------------------- over the wire


def test_spans_arrive_at_a_collector() -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with collecting() as collector:
        traces = connect_traces(f"{collector.address}/", "oncecart-web")
        assert traces is not None
        traces.end_request(traces.begin_request("GET", "/healthz", None, None), "GET", "/healthz", 200, "req_1")
        traces.close()

    ((path, body),) = collector.taken
    told = ExportTraceServiceRequest.FromString(body)
    resource = told.resource_spans[0].resource
    assert path == "/v1/traces"
    assert {a.key: a.value.string_value for a in resource.attributes}["service.name"] == "oncecart-web"
    assert told.resource_spans[0].scope_spans[0].spans[0].name == "GET /healthz"
