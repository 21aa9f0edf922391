"""The API's description: valid, complete, and readable without any other server."""

from __future__ import annotations

import re

import pytest
from markupsafe import escape
from openapi_spec_validator import OpenAPIV31SpecValidator

from shop.errors import CODES
from tests.harness import Client, Shop
from tests.web.answers import ok, problem
from web.explanations import example, explanations

UNDOCUMENTED = {"/api/openapi.json", "/api/docs", "/api/docs/assets/<path:name>"}


def test_the_document_is_valid_openapi_3_1(shop: Shop, shopper: Client) -> None:
    response = shopper.get("/api/openapi.json")

    document = ok(response)
    assert response.mimetype == "application/json"
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_of_the_api_is_documented(shop: Shop, shopper: Client) -> None:
    documented = {
        (path, method.upper())
        for path, operations in ok(shopper.get("/api/openapi.json"))["paths"].items()
        for method in operations
    }
    there_are = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in shop.app.url_map.iter_rules()
        if rule.rule.startswith("/api/") and rule.rule not in UNDOCUMENTED
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert len(there_are) >= 12
    assert there_are <= documented
    assert {path for path, _ in documented - there_are} <= {"/healthz", "/readyz", "/metrics"}


def test_every_operation_is_described_and_may_answer_a_problem(shop: Shop, shopper: Client) -> None:
    for path, operations in ok(shopper.get("/api/openapi.json"))["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["tags"], (method, path)
            problems = operation["responses"]["default"]["content"]
            assert problems["application/problem+json"]["schema"]["$ref"].endswith("/Problem")


def test_the_headers_a_client_may_send_are_documented(shop: Shop, shopper: Client) -> None:
    paths = ok(shopper.get("/api/openapi.json"))["paths"]

    checkout = {p["name"] for p in paths["/api/checkout"]["post"]["parameters"] if p["in"] == "header"}
    assert checkout == {"Prefer", "Idempotency-Key"}


def test_the_docs_come_from_here_and_nowhere_else(shop: Shop, shopper: Client) -> None:
    page = shopper.get("/api/docs")

    assert page.status_code == 200
    assert page.mimetype == "text/html"
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text)
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 4
    for asset in assets:
        with shopper.get(asset) as found:
            assert found.status_code == 200, asset
            assert found.mimetype in ("text/css", "text/javascript", "application/javascript")
            assert len(found.data) > 50
    for inline in ("<style", "onclick", "onload", "style="):
        assert inline not in page.text
    assert re.findall(r"<script(?! src)", page.text) == []


@pytest.mark.parametrize(
    "path", ["/api/docs/assets/nothing.js", "/api/docs/assets/../__init__.py", "/api/docs/assets/%2e%2e/__init__.py"]
)
def test_only_assets_are_served_as_assets(shop: Shop, shopper: Client, path: str) -> None:
    problem(shopper.get(path), 404, "not_found")


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained_to_people_and_programs(shop: Shop, shopper: Client, code: str) -> None:
    page = shopper.get(f"/problems/{code}", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    data = ok(shopper.get(f"/problems/{code}", headers={"Accept": "application/json"}))

    assert page.mimetype == "text/html"
    assert code in page.text
    assert data == {
        "code": code,
        "title": CODES[code].title,
        "advice": CODES[code].advice,
        "retryable": CODES[code].retryable,
        "status": explanations()[code].status,
        "why": explanations()[code].why,
        "example": example(code),
    }
    for told in (data["why"], data["advice"], "application/problem+json", f"HTTP/1.1 {data['status']}"):
        assert escape(told.replace("`", "")) in re.sub("</?code>", "", page.text)


def test_the_list_of_problems_links_each(shop: Shop, shopper: Client) -> None:
    page = shopper.get("/problems/").text

    for code in CODES:
        assert f'href="/problems/{code}"' in page


def test_an_unknown_code_is_not_found(shop: Shop, shopper: Client) -> None:
    problem(shopper.get("/problems/nothing"), 404, "not_found")


@pytest.mark.parametrize("accept", ["", "*/*", "image/png", "nonsense", "text/*", "a/b;q=x", ",,,", "é"])
def test_a_problem_page_is_html_for_whoever_does_not_ask_for_json(shop: Shop, shopper: Client, accept: str) -> None:
    response = shopper.get("/problems/not_found", environ_overrides={"HTTP_ACCEPT": accept})

    assert response.status_code == 200
    assert response.mimetype == "text/html"


def test_the_problem_pages_have_no_file_from_elsewhere(shop: Shop, shopper: Client) -> None:
    for path in ("/problems/", "/problems/not_found"):
        assert "//" not in shopper.get(path).text
    with shopper.get("/static/pages.css") as style:
        assert style.mimetype == "text/css"
