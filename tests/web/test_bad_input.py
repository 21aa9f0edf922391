"""Whatever is sent: never a 5xx, always a whole problem, and nothing kept that does not come back unchanged."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from tests.harness import ADDRESS, CHECKOUT_BODY, Client, Shop
from tests.web.answers import add, ok, problem

UNKNOWN = "01999999-9999-7999-8999-999999999999"
BODIES = {
    "/api/cart/add": ("POST", {"product_id": "MUG", "quantity": 1}),
    "/api/cart/update": ("PUT", {"item_id": "MUG", "quantity": 1}),
    "/api/checkout/quote": ("POST", {"shipping_info": ADDRESS, "shipping_method": "standard"}),
    "/api/checkout": ("POST", CHECKOUT_BODY),
}


@pytest.fixture(scope="module")
def stocked(lasting_shop: Shop) -> Shop:
    lasting_shop.stocked(MUG=1000)
    return lasting_shop


@pytest.fixture
def shopper(stocked: Shop) -> Client:
    """A shopper with one mug in the cart."""
    shopper = stocked.shopper()
    ok(add(shopper))
    return shopper


def never_ours(response: TestResponse) -> TestResponse:
    """The answer may be a refusal, but then a whole problem; it is never our fault."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        problem(response)
    return response


def send(
    shopper: Client, path: str, body: bytes, content_type: str | None = "application/json", **more: Any
) -> TestResponse:
    method, _ = BODIES[path]
    return never_ours(shopper.open(path, method=method, data=body, content_type=content_type, **more))


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b" ", 400),
        (b"{", 400),
        (b'{"product_id": "MUG"', 400),
        (b"{}}", 400),
        (b"{'product_id': 1}", 400),
        (b'{"a": 1,}', 400),
        (b"null", 422),
        (b"true", 422),
        (b"1", 422),
        (b'"text"', 422),
        (b"[]", 422),
        (b'[{"product_id": "MUG"}]', 422),
        (b"NaN", 422),
        (b"Infinity", 422),
        (b"-", 400),
        (b"nul", 400),
        (b'"{}"', 422),
        (b"\xef\xbb\xbf{}", 400),
        (b"\xff\xfe{\x00}\x00", 400),
        (b'{"a": "\xff"}', 400),
        (b'{"a": "\xc3"}', 400),
        (b'{"a": "\xed\xa0\x80"}', 400),
        (b'{"a": "\\ud800"}', 400),
        (b'{"a": "\\udc00\\ud800"}', 400),
        (b'{"a": "\\u00"}', 400),
        (b'{"a": "\\x41"}', 400),
        (b'{"a": "\x00"}', 400),
        (b'{"a": "\n"}', 400),
        (b'{"\\u0000": "\\u0000"}', 422),
        (b'{"a": 1e99999}', 422),
        (b'{"a": 01}', 400),
        (b"[" * 60_000, 400),
        (b'{"a":' * 10_000, 400),
        (b"[" * 1000 + b"]" * 1000, 400),
        (b'{"a":' * 300 + b"1" + b"}" * 300, 400),
        (b'{"a": ' + b"9" * 60_000 + b"}", (400, 422)),
        (b'{"__proto__": {}, "constructor": 1, "__class__": {}}', 422),
        (b"{" + b",".join(b'"k%d": %d' % (i, i) for i in range(4000)) + b"}", 422),
        (b"\x1f\x8b\x08\x00" + b"\x00" * 100, 400),
        (b"product_id=MUG&quantity=1", 400),
        (b"<xml/>", 400),
    ],
)
def test_a_body_that_is_nonsense_is_refused(
    stocked: Shop, shopper: Client, path: str, body: bytes, status: int | tuple[int, int]
) -> None:
    response = send(shopper, path, body)

    assert response.status_code in (status if isinstance(status, tuple) else (status,)), response.text[:300]
    assert ok(shopper.get("/api/cart"))["total_quantity"] == 1


@pytest.mark.parametrize("path", ["/api/cart/add", "/api/cart/update"])
@pytest.mark.parametrize(
    "quantity",
    [
        "0.5",
        "1.0",
        "1e0",
        "true",
        "false",
        '"1"',
        "null",
        "[1]",
        "{}",
        "-1",
        "-0.0",
        "10001",
        "NaN",
        "Infinity",
        "-Infinity",
        str(2**31),
        str(2**63),
        str(2**64),
        str(-(2**63)),
        "1" + "0" * 4000,
    ],
)
def test_a_quantity_is_a_whole_number_in_range(stocked: Shop, shopper: Client, path: str, quantity: str) -> None:
    item = "product_id" if path.endswith("add") else "item_id"

    response = send(shopper, path, f'{{"{item}": "MUG", "quantity": {quantity}}}'.encode())

    problem(response, 422, "validation_failed")
    assert response.get_json()["errors"][0]["pointer"] == "/quantity"
    assert ok(shopper.get("/api/cart"))["total_quantity"] == 1


def test_zero_cannot_be_added(stocked: Shop, shopper: Client) -> None:
    problem(add(shopper, quantity=0), 422, "validation_failed")


@pytest.mark.parametrize(
    "product_id",
    [
        "",
        " ",
        "a" * 65,
        "a b",
        "../MUG",
        "MUG\n",
        "MUG\x00",
        "MÜG",
        "💥",
        "*",
        "MUG:1",
        "' OR 1=1 --",
        '"',
        "{}",
        "$(id)",
        "\u202eGUM",
        1,
        None,
        True,
        [],
        {},
        ["MUG"],
    ],
)
def test_a_product_id_that_cannot_be_is_refused(stocked: Shop, shopper: Client, product_id: Any) -> None:
    added = shopper.post("/api/cart/add", json={"product_id": product_id})
    updated = shopper.put("/api/cart/update", json={"item_id": product_id, "quantity": 1})

    problem(added, 422, "validation_failed")
    problem(updated, 422, "validation_failed")


def test_the_last_of_members_with_one_name_counts(stocked: Shop, shopper: Client) -> None:
    response = send(
        shopper, "/api/cart/add", b'{"product_id": "NOT", "product_id": "MUG", "quantity": 5, "quantity": 2}'
    )

    assert ok(response)["total_quantity"] == 3


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("", 415),
        ("text/json", 415),
        ("application/jsonp", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/problem+json", 415),
        ("application/json, application/json", 415),
        ("/", 415),
        ("é", 415),
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 200),
        ("application/json;charset=UTF-16", 200),
        ("application/json; charset=nonsense", 200),
        ("application/json;", 200),
    ],
)
def test_only_json_is_read_and_always_as_utf_8(
    stocked: Shop, shopper: Client, path: str, content_type: str | None, status: int
) -> None:
    _, body = BODIES[path]
    environ = {} if content_type is None else {"CONTENT_TYPE": content_type}

    response = send(shopper, path, json.dumps(body).encode(), None, environ_overrides=environ)

    assert response.status_code in ((200, 202) if status == 200 else (415,)), response.text


@pytest.mark.parametrize("path", BODIES)
def test_a_chunked_body_is_read_and_limited_too(stocked: Shop, shopper: Client, path: str) -> None:
    method, body = BODIES[path]
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

    for text, statuses in ((json.dumps(body).encode(), (200, 202)), (b" " * 70_000, (413,))):
        environ = {**chunked, "wsgi.input": io.BytesIO(text), "CONTENT_TYPE": "application/json"}
        response = shopper.open(path, method=method, environ_overrides={**environ, "CONTENT_LENGTH": ""})
        assert never_ours(response).status_code in statuses, response.text


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "99999999999999999999", "٣", "0"])
@pytest.mark.parametrize("path", BODIES)
def test_a_content_length_that_lies_is_no_error_of_ours(stocked: Shop, shopper: Client, path: str, length: str) -> None:
    send(shopper, path, b"{}", environ_overrides={"CONTENT_LENGTH": length})


# ---------------------------------------------------------------- texts


TEXTS = [
    "<script>alert('x')</script>",
    '<b>bold</b> & "quoted"',
    "Robert'); DROP TABLE orders;--",
    "' OR '1'='1",
    "{{7*7}} ${7*7} %s %(x)s {0}",
    "*?[a-z] \\ \\\\ FLUSHALL",
    "cart:*",
    "../../etc/passwd",
    "Søren Ærø 北京 Ελλάδα",
    "שלום",
    "👩‍👩‍👧 zero\u200dwidth",
    "e\u0301 not normalised",
    "%00 %0d%0a",
    "\\u0000 \\ud800",
    "null",
    "=1+1",
]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_as_it_was(stocked: Shop, shopper: Client, text: str) -> None:
    info = {**ADDRESS, "name": text, "line1": text, "line2": text, "city": text, "company": text}
    order_id = stocked.checkout(shopper, {"shipping_info": info, "billing_info": {**info, "name": text + "2"}})

    pending = ok(shopper.get(f"/api/orders/{order_id}"))
    stocked.work_until_idle()
    settled = ok(shopper.get(f"/api/orders/{order_id}"))

    for order in (pending, settled):
        for name in ("name", "line1", "line2", "city", "company"):
            assert order["shipping_info"][name] == text
        assert order["billing_info"]["name"] == text + "2"
    assert settled["status"] == "confirmed"


@pytest.mark.parametrize(
    "text",
    ["\x00", "a\x00b", "a\rb", "a\nb", "a\tb", "\x1b[31m", "a\u2028b", "a\u2029b", "\x7f", "\x85", "", " ", "a" * 201],
)
@pytest.mark.parametrize("name", ["name", "line1", "city", "company", "line2"])
def test_a_text_that_is_none_is_refused(stocked: Shop, shopper: Client, name: str, text: str) -> None:
    body = {**CHECKOUT_BODY, "shipping_info": {**ADDRESS, name: text}}

    refused = problem(shopper.post("/api/checkout", json=body), 422, "validation_failed")

    assert [fault["pointer"] for fault in refused["errors"]] == [f"/shipping_info/{name}"]


@pytest.mark.parametrize("email", ["ada@example.com", "a.b+c@sub.example.com", "o'brien@example.com", "ä@example.com"])
def test_an_address_for_mail_comes_back_as_it_was(stocked: Shop, shopper: Client, email: str) -> None:
    order_id = stocked.checkout(shopper, {"email": email})

    assert ok(shopper.get(f"/api/orders/{order_id}"))["email"] == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "@",
        "a@",
        "@b.example",
        "a@b@c.example",
        "a b@example.com",
        "a@example.com\x00",
        "a@-.com",
        "<a@example.com>",
        "Ada <ada@example.com>",
        "a@[127.0.0.1]",
        "a@" + "b" * 300 + ".com",
        "a" * 60_000,
        "a@example.com,b@example.com",
        1,
        None,
        [],
        {},
    ],
)
def test_an_address_for_mail_that_is_none_is_refused(stocked: Shop, shopper: Client, email: Any) -> None:
    refused = problem(shopper.post("/api/checkout", json={**CHECKOUT_BODY, "email": email}), 422, "validation_failed")

    assert [fault["pointer"] for fault in refused["errors"]] == ["/email"]


# ---------------------------------------------------------------- paths, queries, headers


@pytest.mark.parametrize(
    "path",
    [
        "/api/products/../cart",
        "/api/products/..",
        "/api/products/%2e%2e",
        "/api/products/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/products/%00",
        "/api/products/MUG%00",
        "/api/products/MUG%0a",
        "/api/products/%ff",
        "/api/products/%F0%9F%92%A5",
        "/api/products/%25",
        "/api/products/" + "a" * 10_000,
        "/api/products/MUG;x=1",
        "/api/products/MUG/",
        "/api/products/'%20OR%201=1",
        "/api/products/*",
        "/api/orders/..",
        "/api/orders/%00",
        "/api/orders/" + "-" * 36,
        "/api/orders/" + UNKNOWN + "%0a",
        "/api/orders/accepted:" + UNKNOWN,
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fapp.py",
        "/static/%00",
        "/static/" + "a" * 5000,
        "/static//etc/passwd",
        "/api/docs/assets/%00",
        "/api/docs/assets/..%5c..%5capp.py",
        "/problems/%00",
        "/problems/__init__",
        "/problems/../healthz",
        "/%ff%fe",
        "/\\evil.example",
        "/api/cart/remove/%00",
        "/api/cart/remove/*",
    ],
)
def test_a_path_leads_nowhere_it_should_not(stocked: Shop, shopper: Client, path: str) -> None:
    for method in ("GET", "DELETE"):
        response = never_ours(shopper.open(path, method=method))
        assert response.status_code in (308, 404, 405), (response.status_code, response.text[:200])
    assert ok(shopper.get("/api/cart"))["total_quantity"] == 1


@pytest.mark.parametrize(
    "raw", ["/api/products/\xff", "/\xc3\x28", "/api/orders/\x80\x81", "/static/\xed\xa0\x80", "\x00", "*", "api/cart"]
)
def test_a_path_that_is_no_utf_8_is_not_found(stocked: Shop, shopper: Client, raw: str) -> None:
    response = shopper.get("/", environ_overrides={"PATH_INFO": raw, "RAW_URI": raw, "REQUEST_URI": raw})

    assert never_ours(response).status_code in (200, 308, 404)


@pytest.mark.parametrize("path", ["//evil.example/%2e%2e", "//evil.example", "/api//cart", "///"])
def test_a_redirect_stays_here(stocked: Shop, shopper: Client, path: str) -> None:
    response = never_ours(shopper.open(path, base_url="http://localhost/", environ_overrides={"PATH_INFO": path}))

    place = response.headers.get("Location", "/")
    assert place.startswith(("http://localhost/", "/")), place
    assert not place.startswith("//")


@pytest.mark.parametrize("path", ["/api/products", "/api/orders"])
@pytest.mark.parametrize(
    "query",
    [
        "%ff=%ff",
        "q=%ff",
        "cursor=%ff%00",
        "&&&===&",
        "a" * 20_000,
        "&".join(f"a{i}=1" for i in range(3000)),
        "per_page[]=1",
        "per_page=%D9%A3",
        "per_page=1%00",
        "per_page=" + "9" * 5000,
        "q=%ED%A0%80",
        "page=__import__('os')",
        "sort[$ne]=1",
        "?",
        "%",
        "%zz=%zz",
        "q=%2500",
        "cursor=.eJxLTAIAAk0BJw",
    ],
)
def test_a_query_that_is_nonsense_is_no_error_of_ours(stocked: Shop, shopper: Client, path: str, query: str) -> None:
    never_ours(shopper.get(path, query_string=query))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("IF_NONE_MATCH", "garbage"),
        ("IF_NONE_MATCH", '"unclosed'),
        ("IF_NONE_MATCH", "W/"),
        ("IF_NONE_MATCH", ",,,"),
        ("IF_NONE_MATCH", "\xff\x00"),
        ("IF_NONE_MATCH", '"' + "a" * 50_000 + '"'),
        ("IF_NONE_MATCH", ", ".join(f'"{i}"' for i in range(5000))),
        ("IF_MATCH", "garbage"),
        ("IF_MODIFIED_SINCE", "yesterday"),
        ("IF_MODIFIED_SINCE", "Thu, 32 Foo 99999 25:61:61 GMT"),
        ("RANGE", "bytes=5-1"),
        ("RANGE", "lines=1-2"),
        ("PREFER", "wait=-1"),
        ("PREFER", "wait=1e9"),
        ("PREFER", "wait=abc"),
        ("PREFER", "wait=\xff"),
        ("PREFER", "wait," * 10_000),
        ("PREFER", " " * 50_000 + "wait"),
        ("PREFER", "wait" + " " * 50_000),
        ("X_SESSION_TOKEN", "\x00\xff"),
        ("X_SESSION_TOKEN", "a" * 60_000),
        ("X_SESSION_TOKEN", "." * 60_000),
        ("COOKIE", "oncecart_session=\xff\x00; =; ;;;=="),
        ("COOKIE", "a=b; " * 10_000),
        ("COOKIE", 'oncecart_session="\\377\\999"'),
        ("ACCEPT", "a" * 50_000),
        ("ACCEPT", "*/*;q=nonsense"),
        ("ACCEPT_ENCODING", "\xff"),
        ("AUTHORIZATION", "Basic !!!"),
        ("AUTHORIZATION", "Bearer \x00"),
        ("HOST", ""),
        ("HOST", "evil.example:99999999"),
        ("HOST", "a b"),
        ("HOST", "\xff"),
        ("HOST", "a" * 70 + ".example"),
        ("HOST", "[::1"),
        ("HOST", "@@@:::"),
        ("HOST", ".."),
        ("ORIGIN", "\xff\x00"),
        ("ORIGIN", "[" * 10_000),
        ("REFERER", "\xff"),
        ("X_FORWARDED_HOST", "evil.example"),
        ("X_FORWARDED_FOR", "\xff,,,"),
        ("X_HTTP_METHOD_OVERRIDE", "DELETE"),
        ("X_HTTP_METHOD", "DELETE"),
        ("X_REQUEST_ID", "\r\nSet-Cookie: a=b"),
        ("EXPECT", "200-maybe"),
        ("CONTENT_TYPE", "multipart/form-data"),
        ("TRANSFER_ENCODING", "gzip, chunked"),
        ("UPGRADE", "websocket"),
        ("X_LONG", "x" * 200_000),
    ],
)
def test_a_header_that_is_odd_is_no_error_of_ours(stocked: Shop, shopper: Client, name: str, value: str) -> None:
    environ = {f"HTTP_{name}": value}
    order_id = stocked.checkout(shopper)
    ok(add(shopper))
    for path in (
        "/api/cart",
        "/api/products",
        f"/api/orders/{order_id}",
        "/api/orders",
        "/healthz",
        "/problems/",
        "/nothing",
    ):
        response = never_ours(shopper.get(path, environ_overrides=environ))
        assert "evil.example" not in str(response.headers)
    never_ours(shopper.post("/api/checkout/quote", json={}, environ_overrides=environ))
    never_ours(shopper.post("/api/checkout", json=CHECKOUT_BODY, environ_overrides=environ))


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_the_method_is_the_one_that_was_used(stocked: Shop, shopper: Client, header: str) -> None:
    never_ours(shopper.post("/api/cart/clear", headers={header: "DELETE"}))
    never_ours(shopper.get("/api/cart/clear?_method=DELETE", headers={header: "DELETE"}))

    assert ok(shopper.get("/api/cart"))["total_quantity"] == 1


def test_odd_keys_stay_within_their_session_and_come_back(stocked: Shop, shopper: Client) -> None:
    before = stocked.services.inbox.size()
    for i, key in enumerate(["*", "a:b", "{x}", "\\", "%00", "'--", "~" * 255]):
        ok(add(shopper)) if i else None
        response = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers={"Idempotency-Key": key})
        again = shopper.post("/api/checkout", json=CHECKOUT_BODY, headers={"Idempotency-Key": key})
        assert ok(response, 202) == ok(again, 202)
    assert stocked.services.inbox.size() == before + 7


# ---------------------------------------------------------------- anything at all

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
NAMES = st.sampled_from(
    [
        "product_id",
        "item_id",
        "quantity",
        "email",
        "shipping_info",
        "billing_info",
        "shipping_method",
        "payment_method",
        "expected_total",
        "same_as_shipping",
        *ADDRESS,
    ]
)
GOOD = st.sampled_from(["MUG", "standard", "pickup", "invoice", "ada@example.com", "26.88", 1, True, ADDRESS])
ANYTHING = st.recursive(
    SCALARS | GOOD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=10), inner, max_size=6),
    max_leaves=12,
)


@pytest.mark.parametrize("path", BODIES)
def test_no_json_makes_the_shop_fail(stocked: Shop, shopper: Client, path: str) -> None:
    method, good = BODIES[path]

    @settings(max_examples=60)
    @given(
        st.one_of(
            ANYTHING.map(json.dumps),
            st.dictionaries(NAMES | st.sampled_from(sorted(good)), ANYTHING, max_size=4).map(
                lambda changes: json.dumps({**good, **changes})
            ),
            st.text(max_size=40).map(lambda text: json.dumps(good)[:-1] + text),
        )
    )
    def send_it(text: str) -> None:
        send(
            shopper,
            path,
            text.encode(errors="surrogatepass"),
            headers={"Idempotency-Key": "k"} if method == "POST" else {},
        )

    send_it()


@pytest.mark.parametrize("path", ["/api/products", "/api/orders"])
def test_no_query_makes_the_shop_fail(stocked: Shop, shopper: Client, path: str) -> None:
    names = st.sampled_from(
        [
            "page",
            "per_page",
            "cursor",
            "category",
            "min_price",
            "max_price",
            "available",
            "q",
            "sort",
            "facets",
            "total",
        ]
    )

    @settings(max_examples=60)
    @given(
        st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=20) | st.integers().map(str), max_size=3)
    )
    def ask(query: dict[str, str]) -> None:
        never_ours(shopper.get(path, query_string=query))

    ask()
