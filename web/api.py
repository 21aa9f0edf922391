"""flask-openapi3 with our own reading of requests and writing of answers.

The library documents the routes from their pydantic models. Its own validation builds a JSON
schema at every request with a query, reads a malformed body as null and parses a JSON string as
JSON once more, so the view wrapper here replaces it: exact, typed errors, and nothing per request
that can be done once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import msgspec
from flask import Response, g, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.models.security_scheme import SecurityScheme
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import NotFound, PreconditionFailed, RequestEntityTooLarge
from werkzeug.http import generate_etag

from shop.errors import Fault, InvalidParameter, MalformedJson, UnsupportedMediaType, ValidationFailed
from web.examples import add_examples
from web.problems import MEDIA_TYPE, validation_faults
from web.requests import MOST_BODY_BYTES
from web.schemas import Problem

JSON = "application/json"


def read_body(model: type[BaseModel]) -> BaseModel:
    """The request's JSON body as a model. Raises UnsupportedMediaType, MalformedJson or ValidationFailed."""
    if request.mimetype != JSON:
        raise UnsupportedMediaType("Send the body with Content-Type: application/json.")
    body = request.get_data()
    if len(body) > g.get("most_body_bytes", MOST_BODY_BYTES):
        raise RequestEntityTooLarge
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise MalformedJson(first["msg"]) from error
        faults = validation_faults(error, parameters=False)
        raise ValidationFailed(_summary(faults, "field"), faults) from error


def read_query(model: type[BaseModel]) -> BaseModel:
    """The query string as a model. Raises InvalidParameter, for a parameter given twice too."""
    if not request.query_string:
        return _blank(model)
    given = request.args.to_dict(flat=False)
    if twice := [name for name, values in given.items() if len(values) > 1]:
        fault = Fault("invalid_parameter", "given more than once", parameter=twice[0][:100])
        raise InvalidParameter(f"{twice[0][:100]}: given more than once", [fault])
    return _parameters(model, {name: values[0] for name, values in given.items()})


@cache
def _blank(model: type[BaseModel]) -> BaseModel:
    """The query of most requests: none, which is the same each time. Raises InvalidParameter if something is needed."""
    return _parameters(model, {})


def read_headers(model: type[BaseModel]) -> BaseModel:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return _parameters(model, {name: request.headers[name] for name in names if name in request.headers})


def read_path(model: type[BaseModel], values: dict[str, Any]) -> BaseModel:
    """The path's variables; an id that cannot exist is simply not found."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise NotFound("There is nothing at this address.") from error


def _parameters(model: type[BaseModel], values: dict[str, str]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = validation_faults(error, parameters=True)
        raise InvalidParameter(_summary(faults, "parameter"), faults) from error


def _summary(faults: list[Fault], what: str) -> str:
    first = faults[0]
    place = first.pointer or first.parameter or ""
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{what} {place}: {first.message}{more}".replace("  ", " ")


def answer(value: Any) -> Any:
    """A model or a document as a JSON response, alone or as (body, status, headers); anything else as it is."""
    body, *rest = value if isinstance(value, tuple) else (value,)
    if not isinstance(body, (BaseModel, dict)):
        return value
    response = Response(written(body), mimetype=JSON)
    if rest:
        response.status_code = rest[0]
    if len(rest) > 1:
        response.headers.update(rest[1])
    if request.method in ("GET", "HEAD") and response.status_code == 200 and "ETag" not in response.headers:
        response.add_etag()
        response.make_conditional(request)
        if response.status_code == 412:
            raise PreconditionFailed("This is not what If-Match names.")
    return response


def written(body: BaseModel | dict[str, Any]) -> bytes:
    """An answer as it goes over the wire."""
    return _write(body) if isinstance(body, dict) else body.model_dump_json().encode()


_write = msgspec.json.Encoder().encode


def is_known(body: dict[str, Any]) -> bool:
    """Whether the client named this answer's ETag in If-None-Match: it has seen it already."""
    return request.if_none_match.contains_weak(generate_etag(written(body)))


class _OurViews:
    """The wrapper around every view, in place of the library's."""

    @staticmethod
    def create_view_func(
        func: Callable[..., Any],
        header: type[BaseModel] | None,
        cookie: type[BaseModel] | None,  # noqa: ARG004 - the library's signature
        path: type[BaseModel] | None,
        query: type[BaseModel] | None,
        form: type[BaseModel] | None,  # noqa: ARG004
        body: type[BaseModel] | None,
        raw: type[BaseModel] | None,  # noqa: ARG004
        *_: Any,
        **__: Any,
    ) -> Callable[..., Any]:
        @wraps(func)
        def view(**values: Any) -> Any:
            arguments: dict[str, BaseModel] = {}
            if path is not None:
                arguments["path"] = read_path(path, values)
            if query is not None:
                arguments["query"] = read_query(query)
            if header is not None:
                arguments["header"] = read_headers(header)
            if body is not None:
                arguments["body"] = read_body(body)
            return answer(func(**arguments))

        return view


class Blueprint(_OurViews, APIBlueprint):
    """A blueprint whose views are ours."""


class Api(_OurViews, OpenAPI):
    """The application: every operation may answer with a problem."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: none of our functions is a coroutine, and Flask asks each of them at every request."""
        return func

    def generate_spec_json(self) -> None:
        super().generate_spec_json()  # type: ignore[no-untyped-call]
        components = self.spec_json["components"]
        # The library writes what there is none of as null, which OpenAPI does not allow.
        for name in [name for name, value in components.items() if value is None]:
            del components[name]
        schemas = components["schemas"]
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["Problem"] = problem
        schemas.pop("ValidationErrorModel", None)
        default = {
            "description": "A problem; `/problems/<code>` explains its code.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for operations in self.spec_json["paths"].values():
            for operation in operations.values():
                operation["responses"].pop(self.validation_error_status, None)
                operation["responses"]["default"] = default
        add_examples(self.spec_json)


__all__ = ["Api", "Blueprint", "Info", "SecurityScheme", "Tag"]
