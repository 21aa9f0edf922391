"""`/metrics` for Prometheus: what each web process has counted, added up, and how the pipeline is right now.

Requests are counted in files that the web processes share, one slot a process, and a process that is started
again goes on with the slot of one that died: nothing that was counted is lost, and there are as many files as
processes at once. Gauges are in no file: they are read from the stores by whoever is asked.
"""

from __future__ import annotations

import fcntl
import hmac
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import values
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics import Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from carts.figures import Seen, batch_counts, confirm_counts
from carts.inbox import SILENT_SECONDS
from db import figures
from db.figures import Attention
from shop.errors import BadSettings, Unauthenticated, Unavailable
from shop.figures import BATCH_BOUNDS, CONFIRM_BOUNDS_MS
from tasks.queues import queues_of
from web.services import Services
from web.settings import Settings

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable by which prometheus_client knows the files that processes share."""
REQUESTS: Final = "oncecart_http_requests"
SECONDS: Final = "oncecart_http_request_duration_seconds"
LABELS: Final = ("route", "method", "status")
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
HERE: Final = ("127.0.0.1", "::1")
FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via")

pages = Blueprint("metrics", __name__)


# ---------------------------------------------------------------- files that processes share


def begin_shared_metrics(settings: Settings) -> None:
    """Before the web processes are forked: an empty folder for what they count. Raises BadSettings.

    Several webs that share a VAR_DIR, as containers may, have a folder each.
    """
    base = Path(os.environ.get(FOLDER) or settings.var_dir / "metrics")
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = base / f"web-{_claim(base, 'web')}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for left in folder.glob("*.db"):
            left.unlink()
    except OSError as error:
        raise BadSettings(f"{FOLDER}: cannot write to {base}: {error.strerror}") from error
    os.environ[FOLDER] = str(folder)


def share_metrics() -> None:
    """In a web process that was just forked: take a slot, and count in its files from now on."""
    slot = _claim(Path(os.environ[FOLDER]), "process")
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def _claim(folder: Path, name: str) -> int:
    """The lowest number that no living process has, ours until this process ends, however it ends."""
    for number in count(1):
        place = os.open(folder / f"{name}-{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(place)
        else:
            return number  # The descriptor stays open: it holds the lock.
    raise AssertionError("numbers do not end")


# ---------------------------------------------------------------- requests


class Requests(Collector):
    """How many requests there were and how long they took, by the route's template, so that labels stay few."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(SECONDS, "Requests.", LABELS, registry=self._registry, buckets=BUCKETS)
        self._children: dict[tuple[str, str, int], Any] = {}
        self._shared = bool(getattr(values.ValueClass, "_multiprocess", False))

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        key = route, method, status // 100
        child = self._children.get(key)
        if child is None:
            child = self._child(key)
        child.observe(seconds)

    def _child(self, key: tuple[str, str, int]) -> Any:
        route, method, status = key
        labels = route, method if method in METHODS else "other", f"{status}xx"
        child = self._seconds.labels(*labels)
        # What a client makes up must not fill our memory.
        if method in METHODS:
            self._children[key] = child
        return child

    def collect(self) -> Iterator[Metric]:
        source: Any = MultiProcessCollector(None) if self._shared else self._registry  # type: ignore[no-untyped-call]
        for family in source.collect():
            if family.name == SECONDS:
                family.documentation = "How long requests took, by route, method and class of status."
                counted = CounterMetricFamily(
                    REQUESTS, "Requests, by route, method and class of status.", labels=LABELS
                )
                for sample in family.samples:
                    if sample.name == f"{SECONDS}_count":
                        counted.add_metric([sample.labels[label] for label in LABELS], sample.value)
                yield counted
                yield family


# ---------------------------------------------------------------- the pipeline


class Pipeline(Collector):
    """What the stores know at the moment of the scrape. One that is away is down, and its figures are missing."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        at = self._services
        up = GaugeMetricFamily("oncecart_up", "Whether a store answers.", labels=["store"])
        for store, look in (("redis", self._redis), ("sql", self._sql)):
            try:
                found = list(look(at))
            except Unavailable:
                found = []
            up.add_metric([store], 1 if found else 0)
            yield from found
        yield up

    @staticmethod
    def _redis(at: Services) -> Iterator[Metric]:
        seen = at.figures.look(queues_of(at.settle_shards))
        yield from _checkouts(seen)
        yield from _processes(seen)
        yield _gauge("redis_used_bytes", "Memory that Redis or Valkey uses.", seen.used_bytes)
        yield _gauge("redis_max_bytes", "Memory it may use; 0: all there is.", seen.most_bytes)

    @staticmethod
    def _sql(at: Services) -> Iterator[Metric]:
        with at.database.reading() as session:
            found = figures.attention(session, at.now())
        yield from _attention(found)


def _checkouts(seen: Seen) -> Iterator[Metric]:
    totals = seen.totals
    yield _gauge("inbox_waiting", "Accepted checkouts that wait to be settled.", seen.waiting)
    yield _gauge("inbox_oldest_seconds", "How long the oldest of them has waited.", seen.oldest_ms / 1000)
    yield _counter("checkouts_accepted", "Accepted checkouts.", seen.accepted)
    yield _counter("checkouts_settled", "Checkouts that became an order.", totals.get("settled", 0))
    ends = CounterMetricFamily("oncecart_orders", "Orders that came to an end, by status.", labels=["status"])
    for status in ("confirmed", "failed", "cancelled"):
        ends.add_metric([status], totals.get(status, 0))
    yield ends
    yield _counter("orders_paid", "Orders that a payment confirmed.", totals.get("paid", 0))
    yield _histogram(
        "settle_batch_size",
        "Checkouts that were settled at once.",
        BATCH_BOUNDS,
        batch_counts(totals),
        totals.get("settled", 0),
    )
    yield _histogram(
        "confirm_seconds",
        "From the acceptance of a checkout to its confirmation.",
        [bound / 1000 for bound in CONFIRM_BOUNDS_MS],
        confirm_counts(totals),
        totals.get("took_ms", 0) / 1000,
    )


def _processes(seen: Seen) -> Iterator[Metric]:
    alive = GaugeMetricFamily("oncecart_workers", "Workers that are alive, by queue.", labels=["queue"])
    silent = GaugeMetricFamily(
        "oncecart_worker_heartbeat_age_seconds", "Since a worker of the queue was last alive.", labels=["queue"]
    )
    for queue, workers in seen.workers.items():
        ages = [max(0.0, seen.at / 1000 - beat) for beat in workers.values()]
        alive.add_metric([queue], sum(age < SILENT_SECONDS for age in ages))
        if ages:
            silent.add_metric([queue], min(ages))
    yield alive
    yield silent
    for name, what in (("began", "process_starts"), ("died", "process_deaths")):
        family = CounterMetricFamily(f"oncecart_{what}", f"Processes that {name}, by role.", labels=["role"])
        for role, number in {"web": 0, **dict.fromkeys(seen.workers, 0), **seen.of_roles(name)}.items():
            family.add_metric([role], number)
        yield family


def _attention(found: Attention) -> Iterator[Metric]:
    most = f"; {figures.MOST}: there may be more"
    open_ = GaugeMetricFamily("oncecart_orders_open", f"Orders under way, by status{most}.", labels=["status"])
    for status, number in found.open_orders.items():
        open_.add_metric([status], number)
    yield open_
    yield _gauge("payments_due", f"Payments that a provider is to be told about now{most}.", found.due)
    yield _gauge("payments_due_oldest_seconds", "How long the oldest of them has waited.", found.due_ms / 1000)
    yield _gauge("payments_unknown", f"Orders of which nobody knows yet whether they were paid{most}.", found.unknown)
    yield _gauge("payments_unresolved", f"Payments that stand for a person{most}.", found.unresolved)
    yield _gauge("products_low_stock", f"Products at or below their threshold{most}.", found.low_stock)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"oncecart_{name}", what, value=value)


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(f"oncecart_{name}", what, value=value)


def _histogram(name: str, what: str, bounds: Iterable[float], counts: Sequence[int], total: float) -> Metric:
    """`counts` has one more than there are bounds: what lies above the last."""
    buckets, so_far = [], 0
    for bound, number in zip((*map(str, map(float, bounds)), "+Inf"), counts, strict=True):
        so_far += number
        buckets.append((bound, so_far))
    return HistogramMetricFamily(f"oncecart_{name}", what, buckets=buckets, sum_value=total)


# ---------------------------------------------------------------- the page


def register_metrics(app: Flask, token: str) -> None:
    """Count every request, and answer /metrics to who may ask."""
    requests, registry = Requests(), CollectorRegistry()
    registry.register(requests)
    registry.register(Pipeline(app.extensions["oncecart"]))
    app.extensions["metrics"] = registry, token
    observe = requests.observe

    @app.after_request
    def _count(response: Response) -> Response:
        asked = request._get_current_object()  # type: ignore[attr-defined] # a look through the proxy costs each time
        rule = asked.url_rule
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        observe(rule.rule if rule else "(none)", asked.method, response.status_code, seconds)
        return response

    app.register_blueprint(pages)


@pages.get("/metrics")
def metrics() -> Response:
    """With METRICS_TOKEN to who brings it; without one, to who asks on this machine and through no proxy."""
    registry, token = current_app.extensions["metrics"]
    if not (_brings(token) if token else _is_here()):
        raise Unauthenticated("Set METRICS_TOKEN and send it as a bearer token, or ask on this machine.")
    response = Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response.headers["Cache-Control"] = "no-store"
    return response


def _brings(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _is_here() -> bool:
    return request.remote_addr in HERE and not any(name in request.headers for name in FORWARDED)
