"""The API's description shows every operation and every problem by an example, and each is what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from shop.errors import CODES
from tests.harness import Client
from tests.web.answers import ok, problem
from tests.web.recorded_examples import FILE, record
from web.examples import sketch
from web.explanations import example, explanations
from web.problems import STATUS

JSON = "application/json"


@pytest.fixture
def document(shopper: Client) -> dict[str, Any]:
    found: dict[str, Any] = ok(shopper.get("/api/openapi.json"))
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def described(operation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The JSON contents of a request and of each answer that is no problem."""
    told = {"request": operation.get("requestBody", {}), **operation["responses"]}
    contents = {kind: said.get("content", {}).get(JSON) for kind, said in told.items()}
    return {kind: content for kind, content in contents.items() if content}


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [fault.message for fault in Draft202012Validator(whole).iter_errors(value)]


def test_every_request_and_every_answer_has_an_example(document: dict[str, Any]) -> None:
    without = [
        (name, kind)
        for name, operation in operations(document)
        for kind, content in described(operation).items()
        if not {"example", "examples"} & set(content)
    ]

    assert without == []
    assert len(operations(document)) > 40


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    wrong = {
        (name, kind): found
        for name, operation in operations(document)
        for kind, content in described(operation).items()
        for value in [content.get("example"), *(each["value"] for each in content.get("examples", {}).values())]
        if value is not None and (found := faults(value, content["schema"], document))
    }

    assert wrong == {}


def test_every_example_of_the_shopper_and_the_merchant_was_recorded(document: dict[str, Any]) -> None:
    recorded = json.loads(FILE.read_text())

    wanted = {name for name, operation in operations(document) if described(operation)}

    made_up = {name for name in wanted - set(recorded) if "/webhooks" not in name and "/notices" not in name}
    assert made_up <= {"GET /readyz"}


def test_what_was_recorded_is_what_the_shop_answers_today() -> None:
    """Run `python -m tests.web.recorded_examples` when it is not."""
    recorded, now = json.loads(FILE.read_text()), json.loads(json.dumps(record()))

    assert shapes(recorded) == shapes(now)


def shapes(value: Any) -> Any:
    """What a value is made of, without what it says."""
    if isinstance(value, dict):
        return {name: shapes(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shapes(entry) for entry in value]
    return type(value).__name__


# ---------------------------------------------------------------- problems


def test_every_code_is_explained_and_nothing_else() -> None:
    assert set(explanations()) == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_an_example_problem(document: dict[str, Any], code: str) -> None:
    value = document["components"]["examples"][code]["value"]

    assert faults(value, {"$ref": "#/components/schemas/Problem"}, document) == []
    assert (value["code"], value["title"]) == (code, CODES[code].title)
    assert explanations()[code].why.endswith(".")


def test_the_status_of_an_example_is_the_one_the_shop_answers() -> None:
    raised = {kind.code: status for kind, status in STATUS.items() if kind.code != "internal_error"}

    assert {code: example(code)["status"] for code in raised} == raised


def test_every_operation_shows_problems_of_its_own(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        shown = operation["responses"]["default"]["content"]["application/problem+json"]["examples"]
        assert shown, name
        assert all(each["$ref"].rpartition("/")[2] in CODES for each in shown.values())
    checkout = dict(operations(document))["POST /api/checkout"]["responses"]["default"]
    assert {"price_changed", "rate_limited", "already_checked_out", "overloaded", "validation_failed"} <= set(
        checkout["content"]["application/problem+json"]["examples"]
    )


def test_explanations_name_only_operations_that_exist(document: dict[str, Any]) -> None:
    there_are = {name for name, _ in operations(document)}

    assert {at for told in explanations().values() for at in told.at} <= there_are


def test_an_example_that_a_shopper_meets_is_like_the_answer_itself(shopper: Client) -> None:
    met = problem(shopper.post("/api/checkout/quote", json={}), 409, "cart_empty")

    shown = example("cart_empty")

    assert met | {"request_id": ""} == shown | {"request_id": ""}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "boolean"}, True),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "string", "examples": ["MUG"]}, {"type": "null"}]}, "MUG"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Thing"}}, [{"at": "2026-11-22T21:30:00.120Z"}]),
    ],
)
def test_an_example_is_made_of_a_schema_where_none_was_recorded(schema: dict[str, Any], value: Any) -> None:
    thing = {"type": "object", "required": ["at"], "properties": {"at": {"type": "string", "format": "date-time"}}}

    assert sketch(schema, {"Thing": thing}) == value
