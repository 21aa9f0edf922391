"""Examples in the API's description: requests and answers that were recorded, and the problems of each operation.

web/examples.json is written by `python -m tests.web.recorded_examples`. What was not recorded gets an example made
of its schema, so that none is ever without.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shop.errors import CODES
from web.explanations import example, explanations
from web.problems import MEDIA_TYPE

Document = dict[str, Any]
MADE_UP: dict[str, Any] = {"string": "text", "integer": 1, "number": 1, "boolean": True}
DEEPEST = 12
ADMIN = "/api/admin"


def add_examples(document: Document) -> None:
    """Give every operation of an OpenAPI document its examples."""
    recorded = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))
    components = document["components"]
    shown = {code: {"summary": CODES[code].title, "value": example(code)} for code in explanations() if code in CODES}
    components["examples"] = shown
    components["schemas"]["Problem"]["examples"] = [shown["insufficient_stock"]["value"]]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method.upper()} {path}"
            _add(operation, recorded.get(name, {}), components["schemas"])
            codes = [code for code in _codes(name, path, operation) if code in shown]
            refs = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
            default = operation["responses"]["default"]
            content = {"schema": default["content"][MEDIA_TYPE]["schema"], "examples": refs}
            operation["responses"]["default"] = default | {"content": {MEDIA_TYPE: content}}


def _add(operation: Document, recorded: Document, schemas: Document) -> None:
    """The request's example and that of each answer with JSON."""
    told = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for kind, described in told.items():
        content = described.get("content", {}).get("application/json")
        if content and kind != "default" and "examples" not in content:
            content.setdefault("example", recorded.get(kind, sketch(content["schema"], schemas)))


def _codes(name: str, path: str, operation: Document) -> list[str]:
    """The problems an operation may answer: its own, then those of its kind."""
    own = [code for code, told in explanations().items() if name in told.at]
    kind = ["validation_failed"] if "requestBody" in operation else []
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", [])):
        kind.append("invalid_parameter")
    if path.startswith(ADMIN):
        kind += ["unauthenticated", "missing_scope"]
    return list(dict.fromkeys([*own, *kind, "service_unavailable", "internal_error"]))


def sketch(schema: Document, schemas: Document, depth: int = 0) -> Any:
    """A value that a schema allows, of its own examples where it has any."""
    for word in ("example", "const", "default"):
        if schema.get(word) not in (None, ""):
            return schema[word]
    if listed := schema.get("examples") or schema.get("enum"):
        return listed[0]
    if "$ref" in schema:
        return sketch(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth + 1)
    if ways := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
        return sketch(ways[0], schemas, depth + 1)
    return _sketch_of_type(schema, schemas, depth)


def _sketch_of_type(schema: Document, schemas: Document, depth: int) -> Any:
    kind = schema.get("type")
    if kind == "object":
        needed = schema.get("required", []) if depth < DEEPEST else []
        members = schema.get("properties", {})
        return {name: sketch(members[name], schemas, depth + 1) for name in needed if name in members}
    if kind == "array":
        return [sketch(schema["items"], schemas, depth + 1)] if depth < DEEPEST and "items" in schema else []
    if kind == "integer":
        return max(1, schema.get("minimum", 1))
    if kind == "string" and schema.get("format") == "date-time":
        return "2026-11-22T21:30:00.120Z"
    return MADE_UP.get(str(kind))
