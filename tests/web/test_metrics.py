"""/metrics: what Prometheus reads, who may read it, and that everything that is built on it is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from carts.workers import WEB, Processes
from tests.harness import Shop
from tests.web.answers import problem, take_redis_away, take_sql_away
from web.metrics import METHODS
from web.settings import ROOT

TOKEN = "the-token-of-the-monitor"
DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\boncecart_[a-z_]+")


def scraped(shop: Shop, **headers: str) -> str:
    answer = shop.shopper().get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.text


def figures(shop: Shop) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every figure by its name and the values of its labels, in the order of the labels' names."""
    return {
        (sample.name, tuple(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(scraped(shop))
        for sample in family.samples
    }


def asked(shop: Shop, route: str, method: str = "GET", status: str = "2xx") -> float:
    return figures(shop).get(("oncecart_http_requests_total", (method, route, status)), 0)


# ---------------------------------------------------------------- requests


def test_requests_are_counted_by_the_template_of_their_route(shop: Shop) -> None:
    shop.stocked(MUG=3, PAN=3)
    shopper = shop.shopper()
    for path in ("/api/products/MUG", "/api/products/PAN", "/api/products/NONE"):
        shopper.get(path)
    shopper.post("/api/cart/add", json={"product_id": "MUG", "quantity": 99})

    assert asked(shop, "/api/products/<product_id>") == 2
    assert asked(shop, "/api/products/<product_id>", status="4xx") == 1
    assert asked(shop, "/api/cart/add", "POST", "4xx") == 1
    seconds = figures(shop)[
        "oncecart_http_request_duration_seconds_count", ("GET", "/api/products/<product_id>", "2xx")
    ]
    assert seconds == 2


def test_what_clients_make_up_makes_no_labels(shop: Shop) -> None:
    stranger = shop.app.test_client()
    for number in range(30):
        stranger.get(f"/nothing/{number}", headers={"Accept": "application/json"})
        stranger.open("/healthz", method=f"BREW{number}")

    found = {labels for name, labels in figures(shop) if name == "oncecart_http_requests_total"}

    assert found == {("GET", "(none)", "4xx"), ("other", "(none)", "4xx")}
    assert all(method in METHODS or method == "other" for method, _, _ in found)
    assert asked(shop, "(none)", status="4xx") == 30
    assert asked(shop, "(none)", "other", "4xx") == 30


def test_a_bug_is_counted_too(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("web.ops.queues_of", broken)
    assert shop.shopper().get("/readyz").status_code == 500

    assert asked(shop, "/readyz", status="5xx") == 1


# ---------------------------------------------------------------- the pipeline


def test_the_pipeline_is_read_from_the_stores(any_shop: Shop) -> None:
    shop = any_shop
    shop.stocked(MUG=2)
    confirmed, failed = (shop.checkout(MUG=1) for _ in range(2))
    shop.change("MUG", stock_quantity=1)
    assert figures(shop)["oncecart_inbox_waiting", ()] == 2
    assert figures(shop)["oncecart_checkouts_accepted_total", ()] == 2

    shop.work_until_idle()

    assert {shop.order(confirmed).status, shop.order(failed).status} == {"confirmed", "failed"}
    found = figures(shop)
    assert found["oncecart_inbox_waiting", ()] == 0
    assert found["oncecart_checkouts_accepted_total", ()] == found["oncecart_checkouts_settled_total", ()] == 2
    assert found["oncecart_orders_total", ("confirmed",)] == found["oncecart_orders_total", ("failed",)] == 1
    assert found["oncecart_orders_paid_total", ()] == 0
    assert (found["oncecart_settle_batch_size_sum", ()], found["oncecart_settle_batch_size_count", ()]) == (2, 1)
    assert found["oncecart_confirm_seconds_count", ()] == 1
    assert found["oncecart_products_low_stock", ()] == 1
    assert (found["oncecart_up", ("redis",)], found["oncecart_up", ("sql",)]) == (1, 1)


def test_payments_are_counted_as_they_stand(any_shop: Shop) -> None:
    shop = any_shop
    shop.stocked(MUG=9)
    paid, lost = (
        shop.checkout(None, {"payment_method": "card", "payment_token": "tok_approve"}, MUG=1) for _ in range(2)
    )
    shop.runtime.inbox.answer_doorbell()
    shop._work(shop.queue, shop.runtime)
    assert figures(shop)["oncecart_payments_due", ()] == 2
    assert figures(shop)["oncecart_orders_open", ("processing",)] == 2

    shop.work_until_idle()
    with shop.database.writing() as session:
        session.execute(text(f"UPDATE payments SET status = 'stuck', next_at = NULL WHERE order_id = '{lost}'"))
        session.execute(text(f"UPDATE orders SET payment_status = 'unknown' WHERE id = '{lost}'"))

    assert shop.order(paid).status == "confirmed"
    found = figures(shop)
    assert found["oncecart_orders_paid_total", ()] == 2
    assert found["oncecart_payments_due", ()] == found["oncecart_payments_due_oldest_seconds", ()] == 0
    assert found["oncecart_payments_unknown", ()] == 1
    assert found["oncecart_payments_unresolved", ()] == 2  # Its authorization and its capture.


def test_workers_and_processes_are_told_by_queue(shop: Shop) -> None:
    at = shop.services.figures.look(()).at / 1000
    shop.services.heartbeats.beat("checkout", "worker:1", at - 30)
    shop.services.heartbeats.beat("checkout", "worker:2", at - 2)
    for _ in range(2):
        Processes(shop.redis).began(WEB, "web:7", at)

    found = figures(shop)

    assert (found["oncecart_workers", ("checkout",)], found["oncecart_workers", ("payments",)]) == (1, 0)
    assert 2 <= found["oncecart_worker_heartbeat_age_seconds", ("checkout",)] < 10
    assert ("oncecart_worker_heartbeat_age_seconds", ("payments",)) not in found
    assert found["oncecart_process_starts_total", ("checkout",)] == 2
    assert (found["oncecart_process_starts_total", (WEB,)], found["oncecart_process_deaths_total", (WEB,)]) == (2, 1)
    assert found["oncecart_process_deaths_total", ("payments",)] == 0


def test_a_store_that_is_away_is_down_and_the_rest_is_told(shop: Shop) -> None:
    restore = take_sql_away(shop)

    found = figures(shop)
    assert (found["oncecart_up", ("redis",)], found["oncecart_up", ("sql",)]) == (1, 0)
    assert ("oncecart_inbox_waiting", ()) in found
    assert ("oncecart_payments_due", ()) not in found

    restore()
    take_redis_away(shop.redis)

    found = figures(shop)
    assert (found["oncecart_up", ("redis",)], found["oncecart_up", ("sql",)]) == (0, 1)
    assert ("oncecart_inbox_waiting", ()) not in found
    assert found["oncecart_payments_due", ()] == 0


# ---------------------------------------------------------------- who may read it


@pytest.fixture
def guarded(shop: Shop) -> Shop:
    return replace(shop, settings=shop.settings.model_copy(update={"metrics_token": TOKEN}))


def test_with_a_token_only_who_brings_it_is_answered(guarded: Shop) -> None:
    assert "oncecart_up" in scraped(guarded, Authorization=f"Bearer {TOKEN}")

    for authorization in ("", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ë"):
        answer = guarded.shopper().get("/metrics", headers={"Authorization": authorization.encode().decode("latin-1")})
        problem(answer, 401, "unauthenticated")
        assert "oncecart_" not in answer.text


def test_without_a_token_only_this_machine_is_answered(shop: Shop) -> None:
    assert "oncecart_up" in scraped(shop)

    problem(shop.shopper().get("/metrics", environ_base={"REMOTE_ADDR": "203.0.113.7"}), 401)


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_who_comes_through_a_proxy_on_this_machine_is_not_here(shop: Shop, header: str) -> None:
    problem(shop.shopper().get("/metrics", headers={header: "203.0.113.7"}), 401)


# ---------------------------------------------------------------- what is built on it


@pytest.fixture
def names(shop: Shop) -> set[str]:
    """Every name that a shop tells that has worked for a moment."""
    shop.services.heartbeats.beat("checkout", "worker:1", shop.services.figures.look(()).at / 1000)
    shop.shopper().get("/healthz")
    return {name for name, _ in figures(shop)}


def alerts() -> Iterator[dict[str, str]]:
    """The rules of alerts.yml, as far as the tests need YAML: a key and a value a line, folded lines included."""
    for rule in (DEPLOY / "prometheus" / "alerts.yml").read_text().split("- alert: ")[1:]:
        name, _, body = rule.partition("\n")
        joined = re.sub(r">-\n((?:\s{12,}.*\n)+)", lambda found: " ".join(found[1].split()) + "\n", body)
        fields = dict(re.findall(r"^\s+(\w+): (.*)$", joined, re.MULTILINE))
        yield {"alert": name.strip(), **fields}


def test_every_alert_asks_for_figures_that_there_are(names: set[str]) -> None:
    rules = list(alerts())

    assert len(rules) >= 10
    for rule in rules:
        used = set(NAME.findall(rule["expr"]))
        assert used, rule
        assert used <= names, rule["alert"]


def test_every_alert_says_what_to_do(names: set[str]) -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))
    rules = list(alerts())

    assert {rule["alert"] for rule in rules} == headings
    for rule in rules:
        assert rule["severity"] in ("critical", "warning")
        assert rule["summary"]
        assert rule["runbook_url"].strip('"').endswith(f"docs/operations.md#{rule['alert'].lower()}")


def test_the_runbook_names_only_figures_and_files_that_there_are(names: set[str]) -> None:
    runbook = (ROOT / "docs" / "operations.md").read_text()

    families = {name.removesuffix("_bucket") for name in names}
    assert set(NAME.findall(runbook)) <= names | families
    for path in re.findall(r"\]\((\.\./[^)#]+)", runbook):
        assert (ROOT / "docs" / path).exists(), path


def test_the_dashboard_draws_figures_that_there_are(names: set[str]) -> None:
    board = json.loads((DEPLOY / "grafana" / "oncecart.json").read_text())

    drawn = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]

    assert len(drawn) >= 15
    for expression in drawn:
        assert set(NAME.findall(expression)) <= names, expression
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_itself_takes_the_files() -> None:
    folder = DEPLOY / "prometheus"
    for command in (["check", "rules", "alerts.yml"], ["check", "config", "--syntax-only", "prometheus.yml"]):
        run = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
