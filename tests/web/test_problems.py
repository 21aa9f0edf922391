"""Problems: one format for every refusal; and what stands in the headers of every answer."""

from __future__ import annotations

import pytest

from app import create_app
from shop.errors import CODES, ShopError
from tests.harness import CHECKOUT_BODY, Client, Shop
from tests.web.answers import add, ok, problem
from web.problems import HTTP_CODES, STATUS
from web.settings import Settings

ORIGIN = "https://shop.example"


def test_every_error_of_the_shop_has_a_code_of_the_list_and_a_status() -> None:
    kinds = [ShopError]
    for kind in kinds:
        kinds += kind.__subclasses__()

    for kind in kinds[1:]:
        assert any(ancestor in STATUS for ancestor in kind.__mro__), kind
        if kind.__name__ != "Conflict":  # which is never raised itself
            assert kind.code in CODES, kind
    assert set(HTTP_CODES.values()) <= CODES.keys()


# ---------------------------------------------------------------- the framework's own


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/nothing", "/api/products/", "/api/orders/x/y", "/static/nothing", "/.env"]
)
def test_an_unknown_address_is_a_problem(shop: Shop, shopper: Client, path: str) -> None:
    problem(shopper.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/products", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/products/MUG", "GET, HEAD, OPTIONS"),
        ("GET", "/api/cart/add", "OPTIONS, POST"),
        ("POST", "/api/cart/update", "OPTIONS, PUT"),
        ("PATCH", "/api/cart", "GET, HEAD, OPTIONS"),
        ("GET", "/api/checkout", "OPTIONS, POST"),
        ("TRACE", "/api/cart", "GET, HEAD, OPTIONS"),
        ("NONSENSE", "/healthz", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(
    shop: Shop, shopper: Client, method: str, path: str, allowed: str
) -> None:
    response = shopper.open(path, method=method)

    problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == allowed


def test_a_body_over_64_kib_is_too_large(shop: Shop, shopper: Client) -> None:
    for size, status in ((64 * 1024, 400), (64 * 1024 + 1, 413)):
        body = b'{"product_id": "' + b"a" * (size - 16)
        response = shopper.post("/api/cart/add", data=body, content_type="application/json")
        problem(response, status, "payload_too_large" if status == 413 else "malformed_json")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "application/xml", "multipart/form-data; boundary=x", "json"]
)
def test_a_body_that_is_not_json_is_unsupported(shop: Shop, shopper: Client, content_type: str) -> None:
    response = shopper.post("/api/cart/add", data=b"{}", content_type=content_type)

    problem(response, 415, "unsupported_media_type")


def test_a_precondition_that_fails_is_a_problem(shop: Shop, shopper: Client) -> None:
    problem(shopper.get("/api/categories", headers={"If-Match": '"other"'}), 412, "precondition_failed")
    etag = shopper.get("/api/categories").headers["ETag"]
    assert shopper.get("/api/categories", headers={"If-Match": etag}).status_code == 200


def test_a_range_that_cannot_be_served_is_a_problem(shop: Shop, shopper: Client) -> None:
    problem(shopper.get("/static/docs.css", headers={"Range": "bytes=999999999-"}), 416, "bad_request")


def test_a_bug_is_a_problem_without_details(shop: Shop, shopper: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("the secret is swordfish")

    monkeypatch.setattr(shop.services.carts, "get", broken)
    response = shopper.get("/api/cart", headers={"X-Request-Id": "my-request-7"})

    body = problem(response, 500, "internal_error")
    assert body["request_id"] == "my-request-7"
    for leak in ("swordfish", "RuntimeError", "Traceback", ".py"):
        assert leak not in response.text
    assert response.headers["X-Content-Type-Options"] == "nosniff"


# ---------------------------------------------------------------- X-Request-Id


@pytest.mark.parametrize("given", ["abcd-1234", "A_" * 32, "0" * 8])
def test_a_plain_request_id_is_echoed(shop: Shop, shopper: Client, given: str) -> None:
    for path in ("/api/cart", "/nothing", "/api/docs"):
        assert shopper.get(path, headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize(
    "given", ["", "short", "x" * 65, "<script>alert(1)</script>", "a b c d e f", "abcdefgh\x00", "ééééééééé"]
)
def test_an_odd_request_id_is_replaced(shop: Shop, shopper: Client, given: str) -> None:
    response = shopper.get("/nothing", environ_overrides={"HTTP_X_REQUEST_ID": given})

    assert problem(response, 404)["request_id"].startswith("req_")


def test_every_request_has_an_id_of_its_own(shop: Shop, shopper: Client) -> None:
    assert len({shopper.get("/healthz").headers["X-Request-Id"] for _ in range(20)}) == 20


# ---------------------------------------------------------------- headers of every answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/cart"),
        ("GET", "/api/products"),
        ("GET", "/nothing"),
        ("PUT", "/api/cart"),
        ("POST", "/api/checkout"),
        ("OPTIONS", "/api/cart"),
        ("GET", "/api/docs"),
        ("GET", "/problems/"),
        ("GET", "/static/docs.css"),
        ("GET", "/"),
        ("GET", "/healthz"),
    ],
)
def test_every_answer_is_hardened(shop: Shop, shopper: Client, method: str, path: str) -> None:
    with shopper.open(path, method=method) as response:
        headers = response.headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in headers
    assert headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/api/cart", "/api/orders", "/api/orders/nonsense"])
def test_what_is_private_is_not_cached_by_others(shop: Shop, shopper: Client, path: str) -> None:
    assert shopper.get(path).headers["Cache-Control"] == "private, no-cache"


# ---------------------------------------------------------------- CORS


@pytest.fixture
def elsewhere(shop: Shop, settings: Settings) -> Client:
    """A browser whose page came from another origin, which the shop lists."""
    app = create_app(shop.services, settings.model_copy(update={"cors_origins": (ORIGIN, "http://localhost:3000")}))
    app.test_client_class = Client
    return app.test_client()


@pytest.mark.parametrize("path", ["/api/cart", "/api/products", "/api/nothing", "/api/orders/nonsense"])
@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:3000"])
def test_a_listed_origin_may_use_the_api_with_its_session(elsewhere: Client, path: str, origin: str) -> None:
    response = elsewhere.get(path, headers={"Origin": origin})

    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in response.headers["Vary"]
    exposed = {name.strip() for name in response.headers["Access-Control-Expose-Headers"].split(",")}
    assert exposed == {
        "ETag",
        "Idempotent-Replayed",
        "Location",
        "Preference-Applied",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
        "X-Request-Id",
        "X-Session-Token",
    }


def test_a_preflight_allows_what_the_api_reads(elsewhere: Client) -> None:
    wanted = "content-type, idempotency-key, if-none-match, prefer, x-request-id, x-session-token"
    response = elsewhere.options(
        "/api/cart/update",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": wanted,
        },
    )

    assert response.status_code == 200
    assert "PUT" in response.headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in response.headers["Access-Control-Allow-Headers"].split(",")}
    assert allowed == set(wanted.split(", "))
    assert response.headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://shop.example:444",
        "http://shop.example",
        "https://xshop.example",
        "https://shopxexample",
        "null",
        "*",
    ],
)
def test_an_origin_that_is_not_listed_gets_nothing(elsewhere: Client, origin: str) -> None:
    for response in (
        elsewhere.get("/api/cart", headers={"Origin": origin}),
        elsewhere.options("/api/cart/add", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
    ):
        assert "Access-Control-Allow-Origin" not in response.headers
        assert "Access-Control-Allow-Credentials" not in response.headers


def test_without_listed_origins_nobody_elsewhere_gets_anything(shop: Shop, shopper: Client) -> None:
    response = shopper.get("/api/cart", headers={"Origin": ORIGIN})

    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


def test_a_whole_checkout_works_from_elsewhere(shop: Shop, elsewhere: Client) -> None:
    shop.stocked(MUG=5)
    origin = {"Origin": ORIGIN}
    token = elsewhere.post("/api/cart/add", json={"product_id": "MUG"}, headers=origin).headers["X-Session-Token"]

    response = shop.shopper().post("/api/checkout", json=CHECKOUT_BODY, headers={**origin, "X-Session-Token": token})

    ok(response, 202)


def test_a_refusal_lists_each_fault_with_its_place(shop: Shop, shopper: Client) -> None:
    body = problem(shopper.post("/api/cart/add", json={"product_id": 1, "quantity": "2", "x": 1}), 422)

    assert [fault["pointer"] for fault in body["errors"]] == ["/product_id", "/quantity", "/x"]
    assert body["detail"].startswith("field /product_id: ")
    assert body["detail"].endswith(", and 2 more")


def test_a_problem_of_a_line_says_how_many_there_are(shop: Shop, shopper: Client) -> None:
    shop.stocked(MUG=1)

    body = problem(add(shopper, quantity=2), 409, "insufficient_stock")

    assert body["detail"] == "Only 1 of 2 Mug are available."


def test_thousands_of_wrong_fields_are_not_all_named(shop: Shop) -> None:
    body = {f"x{number}": 1 for number in range(2000)}

    answer = shop.shopper().post("/api/cart/add", json=body)

    assert answer.status_code == 422
    assert len(answer.get_json()["errors"]) == 50


def test_a_refusal_that_never_was_an_exception_is_a_problem_too(shop: Shop) -> None:
    answer = shop.shopper().get("/static/products/enamel-mug-1.svg", headers={"If-Match": '"another"'})

    assert answer.status_code == 412
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["code"] == "precondition_failed"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
