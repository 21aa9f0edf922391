"""A shop of real processes that tells a collector what becomes of a checkout: one trace, from web and worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import Collector, collecting
from tests.harness import CHECKOUT_BODY
from tests.processes import RunningShop, running
from tests.servers import until

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = pytest.mark.e2e

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PATIENCE_SECONDS = 30
STORY = {
    ("oncecart-web", "POST /api/checkout"),
    ("oncecart-worker", "settle order"),
    ("oncecart-worker", "payment authorize"),
    ("oncecart-worker", "pay order"),
    ("oncecart-worker", "payment capture"),
}


def spans(collector: Collector, trace: str) -> set[tuple[str, str]]:
    """Service and name of every span of a trace that has arrived."""
    found: set[tuple[str, str]] = set()
    for _, body in list(collector.taken):
        for of_service in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {each.key: each.value.string_value for each in of_service.resource.attributes}["service.name"]
            for of_scope in of_service.scope_spans:
                found |= {(service, span.name) for span in of_scope.spans if span.trace_id.hex() == trace}
    return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def test_a_paid_checkout_is_one_trace_over_all_processes(tmp_path: Path, collector: Collector) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with running(RunningShop(tmp_path / "var", settings=settings)) as shop:
        ada = shop.shopper()
        ada.add("linen-notebook")

        body = {**CHECKOUT_BODY, "payment_method": "card", "payment_token": "tok_approve"}
        accepted = ada.ask("POST", "/api/checkout", body, traceparent=f"00-{TRACE}-{PARENT}-01")

        assert ada.outcome(accepted.body["id"])["status"] == "confirmed"
        until(lambda: spans(collector, TRACE) >= STORY, PATIENCE_SECONDS, "the whole story")
        assert spans(collector, TRACE) == STORY


def test_a_collector_that_is_away_costs_nothing_but_the_traces(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running(RunningShop(tmp_path / "var", settings=settings)) as shop:
        ada = shop.shopper()
        ada.add("linen-notebook")

        accepted = ada.check_out()

        assert ada.outcome(accepted.body["id"])["status"] == "confirmed"
