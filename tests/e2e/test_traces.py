"""A shop of real processes that tells a collector what becomes of a checkout: one trace, from web and worker."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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


class Collector(ThreadingHTTPServer):
    """Keeps the service, the name and the trace of each span."""

    def __init__(self) -> None:
        self.spans: set[tuple[str, str, str]] = set()
        super().__init__(("127.0.0.1", 0), Taker)

    def names(self, trace: str) -> set[tuple[str, str]]:
        return {(service, name) for service, name, its in list(self.spans) if its == trace}


class Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for of_service in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {each.key: each.value.string_value for each in of_service.resource.attributes}["service.name"]
            for of_scope in of_service.scope_spans:
                self.server.spans |= {(service, span.name, span.trace_id.hex()) for span in of_scope.spans}
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_paid_checkout_is_one_trace_over_all_processes(tmp_path: Path, collector: Collector) -> None:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with running(RunningShop(tmp_path / "var", settings=settings)) as shop:
        ada = shop.shopper()
        ada.add("linen-notebook")

        body = {**CHECKOUT_BODY, "payment_method": "card", "payment_token": "tok_approve"}
        accepted = ada.ask("POST", "/api/checkout", body, traceparent=f"00-{TRACE}-{PARENT}-01")

        assert ada.outcome(accepted.body["id"])["status"] == "confirmed"
        until(lambda: collector.names(TRACE) >= STORY, PATIENCE_SECONDS, "the whole story")
        assert collector.names(TRACE) == STORY


def test_a_collector_that_is_away_costs_nothing_but_the_traces(tmp_path: Path) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with running(RunningShop(tmp_path / "var", settings=settings)) as shop:
        ada = shop.shopper()
        ada.add("linen-notebook")

        accepted = ada.check_out()

        assert ada.outcome(accepted.body["id"])["status"] == "confirmed"
