"""Requests that Schemathesis makes of the OpenAPI document, good and bad, and what it holds against the answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import schemathesis
from schemathesis.engine import events, from_schema

PHASES = ("examples", "coverage", "fuzzing", "stateful")
OFF = ("positive_data_acceptance",)
"""Checks that do not hold here: what the document allows may be refused, because it is sold out or does not exist."""
PRODUCTS, PRODUCT = "/api/admin/products", "/api/admin/products/{product_id}"
BULK, CATEGORIES = "/api/admin/products/bulk", ("/api/admin/categories", "/api/admin/categories/{category_id}")
LASTING = (
    "sku",
    "name",
    "description",
    "description_html",
    "price",
    "images",
    "specifications",
    "options",
    "tax_class",
    "weight_grams",
    "group_id",
)
"""What nothing but a merchant changes of a product."""
REWRITTEN = frozenset({"description_html", "description", "price"})
"""Sanitized, made of that, and written with all its digits."""


@dataclass
class Generated:
    """What was sent, and what was found."""

    requests: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    kept: int = 0
    """Members of accepted products and categories that came back as they were sent."""
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was last answered of each product that must still be there."""


def config(
    seed: int,
    examples: int,
    headers: Mapping[str, str],
    products: Sequence[str],
    orders: Sequence[str],
    phases: Iterable[str] = PHASES,
) -> schemathesis.Config:
    """How requests are made: always the same for a seed, every other id one that is known."""
    known = {"products": products, "orders": orders, "categories": ("Kitchen", "Things"), "any": ("*",)}
    bound = {"path.product_id": "products", "path.item_id": "products", "path.order_id": "orders"}
    bound |= {"body.product_id": "products", "body.item_id": "products", "body.category": "categories"}
    bound |= {"header.If-Match": "any"}
    return schemathesis.Config.from_dict(
        {
            "seed": seed,
            "continue-on-failure": True,
            "workers": 1,
            "headers": dict(headers),
            "suppress-health-check": ["all"],
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "dictionaries": {name: {"values": list(values)} for name, values in known.items()},
            "parameters": {place: {"dictionary": name, "probability": 0.5} for place, name in bound.items()},
            "checks": {name: {"enabled": False} for name in OFF},
            "phases": {name: {"enabled": name in phases} for name in PHASES},
        }
    )


def schema_of(url: str, how: schemathesis.Config) -> Any:
    """The document of a running shop."""
    return schemathesis.openapi.from_url(url, config=how)


def schema_within(app: Any, how: schemathesis.Config) -> Any:
    """The document of an application in this process, which is then called without a server.

    Without the check that keys are asked for: Schemathesis 4.32 breaks down in it where there is no network. Without
    /readyz, which must say that no worker is there.
    """
    how.projects.default.checks.ignored_auth.enabled = False
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app, config=how).exclude(path="/readyz")


def generate(schema: Any) -> Generated:
    """Send everything."""
    found = Generated()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _note(found, event)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.violations.append(f"the generator broke down: {event}"[:600])
    return found


def _note(found: Generated, event: events.ScenarioFinished) -> None:
    recorder = event.recorder
    found.phases[event.phase.value] += len(recorder.interactions)
    found.requests += len(recorder.interactions)
    for case_id, sent in recorder.interactions.items():
        status = sent.response.status_code if sent.response is not None else None
        found.statuses[str(status or "none")] += 1
        if sent.response is None:
            found.violations.append(f"no answer: {recorder.label}")
        elif status in (200, 201, 204) and case_id in recorder.cases:
            case = recorder.cases[case_id].value
            _remember(found, case, sent.response)
            for fault in _altered(found, case, sent.response):
                found.violations.append(f"{recorder.label}: {fault}"[:600])
    for checks in recorder.checks.values():
        for each in checks:
            if each.failure_info is not None:
                failure = each.failure_info.failure
                text = f"{failure.operation}: {failure.title}: {failure.message}\n{each.failure_info.code_sample}"
                found.violations.append(text[:1500])


def _remember(found: Generated, case: Any, response: Any) -> None:
    """Keep what must be there in the end."""
    if case.path == BULK and case.method == "POST":
        found.written.clear()  # It may have changed any of them.
    elif case.path == PRODUCT and case.method == "DELETE":
        found.written.pop(str(case.path_parameters["product_id"]), None)
    elif (case.path, case.method) in ((PRODUCTS, "POST"), (PRODUCT, "PATCH")):
        answer = json.loads(response.content)
        found.written[answer["id"]] = {name: answer[name] for name in LASTING}


def _altered(found: Generated, case: Any, response: Any) -> Iterator[str]:
    """What an accepted product or category says otherwise than it was sent."""
    writes = case.path in (PRODUCTS, PRODUCT, *CATEGORIES) and case.method in ("POST", "PATCH")
    if not writes or not isinstance(case.body, dict):
        return
    answer = json.loads(response.content)
    for name, value in case.body.items():
        if name == "price" and Decimal(answer["price"]) != Decimal(value):
            yield f"the price was {value} and is {answer['price']}"
        if value is None or name not in answer or name in REWRITTEN:
            continue  # Nothing in a new product is the default.
        found.kept += 1
        if _bare(value) != _bare(answer[name]):
            yield f"{name} was {value!r} and is {answer[name]!r}"


def _bare(value: Any) -> Any:
    """Without the blanks around a text, which are no part of it, and with nothing for what is empty."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, dict):
        return {name.strip(): text.strip() for name, text in value.items()}
    return value
