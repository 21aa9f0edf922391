"""What no client should send, written by hand: bodies, types, whole requests and texts, as they go over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.fire.wire import request
from tests.harness import ADDRESS, CHECKOUT_BODY

NOBODY = "01999999-9999-7999-8999-999999999999"
JSON_ROUTES: dict[tuple[str, str], Any] = {
    ("POST", "/api/cart/add"): {"product_id": "enamel-mug", "quantity": 1},
    ("PUT", "/api/cart/update"): {"item_id": "enamel-mug", "quantity": 1},
    ("POST", "/api/checkout/quote"): {"shipping_info": ADDRESS, "shipping_method": "standard"},
    ("POST", "/api/checkout"): CHECKOUT_BODY,
    ("POST", f"/api/orders/{NOBODY}/cancel"): {},
    ("POST", "/api/admin/products"): {"sku": "ODD", "name": "Odd", "price": "1.00", "category": "Kitchen"},
    ("PATCH", "/api/admin/products/enamel-mug"): {},
    ("POST", "/api/admin/products/bulk"): {"products": []},
    ("POST", "/api/admin/products/enamel-mug/stock"): {"counted": 5},
    ("POST", "/api/admin/categories"): {"name": "Odd"},
    ("PATCH", "/api/admin/categories/1"): {},
    ("POST", f"/api/admin/orders/{NOBODY}/notes"): {"text": "Odd"},
    ("POST", f"/api/admin/orders/{NOBODY}/shipments"): {},
    ("POST", f"/api/admin/orders/{NOBODY}/deliver"): {},
    ("POST", f"/api/admin/orders/{NOBODY}/return"): {},
    ("POST", f"/api/admin/orders/{NOBODY}/cancel"): {},
    ("POST", f"/api/admin/orders/{NOBODY}/refunds"): {},
    ("POST", f"/api/admin/orders/{NOBODY}/payments"): {},
}
"""Every route with a body, and a good one of it."""

NONSENSE: tuple[bytes, ...] = (
    b"",
    b" ",
    b"{",
    b"{}}",
    b"{'a': 1}",
    b'{"a": 1,}',
    b"null",
    b"true",
    b"[]",
    b'"{}"',
    b"NaN",
    b"-Infinity",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"a": "\xff"}',
    b'{"a": "\xed\xa0\x80"}',
    b'{"a": "\\ud800"}',
    b'{"\\udc00\\ud800": 1}',
    b'{"a": "\x00"}',
    b'{"\\u0000": "\\u0000"}',
    b'{"a": 1e99999}',
    b'{"a": -9223372036854775809, "b": 18446744073709551616}',
    b'{"a": ' + b"9" * 60_000 + b"}",
    b"[" * 60_000,
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b"[" * 1000 + b"]" * 1000,
    b'{"__proto__": {}, "constructor": {}, "__class__": 1}',
    b'{"a": 1, "a": 2, "a": {"a": 3}}',
    b"{" + b",".join(b'"k%d": %d' % (i, i) for i in range(4000)) + b"}",
    b"\x1f\x8b\x08\x00" + b"\x00" * 100,
    b"a=1&b=2",
    b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
)
"""Bodies that no route with a body may take."""

OTHER_TYPES = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json", "/", "\xe9")

NUMBERS = ("0.5", "1e0", "true", '"1"', "null", "-1", str(2**31), str(2**63), str(2**64), str(-(2**63) - 1), "1" * 4000)
"""In place of a small whole number."""

PATHS: tuple[str, ...] = (
    "/api/products/../cart",
    "/api/products/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/api/products/%00",
    "/api/products/enamel-mug%00",
    "/api/products/enamel-mug%0d%0aSet-Cookie:%20a=b",
    "/api/products/%ff",
    "/api/products/%F0%9F%92%A5",
    "/api/products/%25",
    "/api/products/%zz",
    "/api/products/" + "a" * 10_000,
    "/api/products/'%20OR%201=1--",
    "/api/products/*",
    "/api/products/;x=1",
    "/api/orders/accepted:" + NOBODY,
    "/api/orders/" + "-" * 36,
    "/api/admin/products/%2e%2e",
    "/api/admin/categories/9223372036854775808",
    "/api/admin/categories/-1",
    "/api/admin/categories/%D9%A3",
    "/api/admin/orders/%00",
    "/api/admin/payments/*/retry",
    "/api/admin/../admin/products/nothing",
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/static/..%2f..%2fapp.py",
    "/static/%00",
    "/static//etc/passwd",
    "/static/" + "a" * 5000,
    "/api/docs/assets/..%5c..%5capp.py",
    "/problems/%00",
    "/problems/__init__",
    "/sandbox/pay/%00",
    "/sandbox/pay/'--",
    "/\\evil.example",
    "/%ff%fe",
)
"""Where nothing is."""

QUERIES: tuple[str, ...] = (
    "%ff=%ff",
    "q=%ff",
    "q=%00",
    "q=%ED%A0%80",
    "q=%25_%5C'%22",
    "cursor=%ff%00",
    "cursor=" + "A" * 400,
    "&&&===&",
    "a" * 20_000,
    "&".join(f"a{i}=1" for i in range(2000)),
    "per_page[]=1",
    "per_page=9223372036854775808",
    "per_page=%D9%A3",
    "per_page=1&per_page=2",
    "sort[$ne]=1",
    "page=1e9",
    "min_price=-0",
    "max_price=NaN",
    "%",
)
LISTS = ("/api/products", "/api/orders", "/api/admin/products", "/api/admin/orders", "/api/admin/stock/low")

HEADERS: tuple[tuple[str, str], ...] = (
    ("If-None-Match", "garbage"),
    ("If-None-Match", '"' + "a" * 20_000 + '"'),
    ("If-Modified-Since", "Thu, 32 Foo 99999 25:61:61 GMT"),
    ("Range", "bytes=5-1"),
    ("Prefer", "wait=-1"),
    ("Prefer", "wait=" + "9" * 10_000),
    ("Prefer", "wait," * 5_000),
    ("X-Session-Token", "\xff" * 100),
    ("X-Session-Token", "." * 20_000),
    ("Cookie", "oncecart_session=\xff; =; ;;;=="),
    ("Cookie", "a=b; " * 5_000),
    ("Authorization", "Bearer \xff"),
    ("Authorization", "Basic !!!"),
    ("Authorization", "Bearer ock_a_" + "b" * 20_000),
    ("Accept", "*/*;q=nonsense"),
    ("Origin", "[" * 5_000),
    ("X-Forwarded-Host", "evil.example"),
    ("X-HTTP-Method-Override", "DELETE"),
    ("X-Request-Id", "<script>"),
    ("Idempotency-Key", "\xe9" * 20),
    ("Idempotency-Key", "a" * 5_000),
    ("If-Match", '"' * 100),
    ("Webhook-Signature", "v1,\xff"),
)

TEXTS: tuple[str, ...] = (
    "<script>alert('x')</script>",
    '<b onmouseover="x()">bold</b> & "quoted" <!--',
    "Robert'); DROP TABLE orders;--",
    "' OR '1'='1",
    "{{7*7}} ${7*7} %s %(x)s {0}",
    "*?[a-z] \\ \\\\ FLUSHALL",
    "cart:* {tag} EVAL",
    "../../etc/passwd",
    "Søren 北京 Ελλάδα שלום",
    "👩‍👩‍👧 zero\u200dwidth",
    "e\u0301 not normalised, ﬁ",
    "%00 %0d%0a %",
    "\\u0000 \\ud800",
    "null",
    "=1+1",
    "\u202eright to left",
)
"""Unusual, and to be kept as they are."""

NO_TEXTS: tuple[str, ...] = ("\x00", "a\x00b", "\ud800", "a\udfffb", "\x1b[31m", "\x7f", "a\u2028b", "a\x85b")
"""No text at all: to be refused."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes for a connection of their own, and what may be answered; 0: the connection ends without an answer."""

    name: str
    data: bytes
    allowed: tuple[int, ...]
    by_server: bool = False
    """Whether no request comes of it: then the HTTP server answers by itself, without a problem document."""


def raw(token: str) -> Iterator[Raw]:
    """Requests that libraries do not send."""
    cart = request("GET", "/api/cart", None, **{"X-Session-Token": token})
    add = b'{"product_id": "enamel-mug", "quantity": 1}'
    yield from _chunked(token)
    yield from _lengths(add)
    yield from _heads()
    yield Raw(
        "a request line of 100,000 characters", request("GET", "/" + "a" * 100_000), (400, 404, 414, 431, 0), True
    )
    yield Raw("two requests at once", cart + cart, (200,))
    yield Raw("empty lines before", b"\r\n\r\n" + cart, (200, 400), True)
    yield Raw("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), (400, 0), True)
    yield Raw("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505, 0), True)
    yield Raw("HTTP/0.9", b"GET /api/cart\r\n\r\n", (400, 0), True)
    yield Raw("HTTP/1.0", b"GET /api/cart HTTP/1.0\r\n\r\n", (200,))
    yield Raw("HTTP/3.7", b"GET /api/cart HTTP/3.7\r\nHost: a\r\n\r\n", (400, 505, 0), True)
    yield Raw("an absolute address", request("GET", "http://evil.example/api/cart"), (200, 400, 404))
    yield Raw("an asterisk", request("OPTIONS", "*"), (200, 400, 404, 405))
    yield Raw("CONNECT", request("CONNECT", "evil.example:443"), (400, 404, 405, 501, 0), True)
    yield Raw("TRACE", request("TRACE", "/api/cart"), (405,))
    yield Raw("an unknown method", request("FLUSHALL", "/api/cart"), (400, 405, 501))
    yield Raw("a method in small letters", request("get", "/api/cart"), (200, 400, 405, 501))
    yield Raw("a method with a NUL", b"G\x00T /api/cart HTTP/1.1\r\nHost: a\r\n\r\n", (400, 0), True)
    for name, path in (
        ("NUL", b"/api/\x00"),
        ("no UTF-8", b"/api/products/\xff\xc3"),
        ("a blank", b"/api/products/a b"),
    ):
        head = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        yield Raw(f"a path with {name}", head, (400, 404, 0), True)
    yield Raw("a path with a fragment", request("GET", "/api/cart#a"), (200, 400, 404), True)
    yield Raw("an upgrade", request("GET", "/api/cart", None, Upgrade="websocket", Connection="Upgrade"), (200, 400))
    yield Raw("an expectation", request("POST", "/api/cart/add", add, Expect="100-continue"), (200,))
    yield Raw("an expectation nobody knows", request("POST", "/api/cart/add", add, Expect="200-maybe"), (200, 417))


def _chunked(token: str) -> Iterator[Raw]:
    head = {
        "Transfer-Encoding": "chunked",
        "Content-Type": "application/json",
        "Connection": "close",
        "X-Session-Token": token,
    }
    add, to = b'{"product_id": "enamel-mug", "quantity": 1}', request("POST", "/api/cart/add", None, **head)
    whole = b"%x\r\n%s\r\n" % (len(add), add)
    one_by_one = b"".join(b"1\r\n%c\r\n" % byte for byte in add)
    yield Raw("a chunked body", to + whole + b"0\r\n\r\n", (200,))
    yield Raw("a body in chunks of one byte", to + one_by_one + b"0\r\n\r\n", (200,))
    yield Raw("a chunk with an extension", to + whole.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\n\r\n", (200, 400))
    yield Raw("chunks with a trailer", to + whole + b"0\r\nContent-Type: text/plain\r\n\r\n", (200, 400))
    yield Raw(
        "chunks of 70,000 bytes",
        to + b"1000\r\n" + b" " * 4096 + b"\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n0\r\n\r\n",
        (413,),
    )
    yield Raw("a chunk of a negative size", to + b"-1\r\n" + add, (400, 0), True)
    yield Raw("a chunk of no size", to + b"zz\r\n" + add, (400, 0), True)
    yield Raw("a chunk of 2**64 bytes", to + b"10000000000000000\r\n" + add, (400, 0), True)
    both = request("POST", "/api/cart/add", None, **{**head, "Content-Length": "5"})
    yield Raw("chunks and a length", both + whole + b"0\r\n\r\n", (200, 400, 0), True)
    other = request("POST", "/api/cart/add", None, **{**head, "Transfer-Encoding": "gzip, chunked"})
    yield Raw("chunks in another encoding", other + whole + b"0\r\n\r\n", (200, 400, 415, 501))


def _lengths(add: bytes) -> Iterator[Raw]:
    for name, length in (("negative", "-1"), ("no number", "abc"), ("huge", "9" * 30), ("Arabic", "\xd9\xa3")):
        data = request("POST", "/api/cart/add", add, **{"Content-Length": length})
        yield Raw(f"a length that is {name}", data, (400, 413, 0), True)
    short = request("POST", "/api/cart/add", add, **{"Content-Length": "5"})
    yield Raw("a length that is too short", short, (400,))
    twice = request("POST", "/api/cart/add", add).replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n", 1)
    yield Raw("two lengths", twice, (400, 0), True)
    yield Raw("a body of 70,000 bytes", request("POST", "/api/cart/add", b" " * 70_000), (413,))
    yield Raw("a body where none belongs", request("GET", "/api/cart", add), (200,))
    yield Raw("a webhook of 600,000 bytes", request("POST", "/api/payments/sandbox/webhook", b" " * 600_000), (413,))


def _heads() -> Iterator[Raw]:
    def get(*lines: bytes) -> bytes:
        return b"GET /api/cart HTTP/1.1\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"

    yield Raw("no host", get(b"A: b"), (200, 400), True)
    yield Raw("two hosts", get(b"Host: a", b"Host: b"), (200, 400), True)
    yield Raw("a host that is none", get(b"Host: @@@:::"), (200, 400), True)
    yield Raw("a header of 100,000 bytes", get(b"Host: a", b"A: " + b"b" * 100_000), (200, 400, 431))
    yield Raw("headers of a megabyte", get(b"Host: a", *[b"A: " + b"b" * 10_000] * 100), (400, 431, 0), True)
    yield Raw("a thousand headers", get(b"Host: a", *[b"A%d: b" % i for i in range(1000)]), (400, 431, 0), True)
    yield Raw("a header with a NUL", get(b"Host: a", b"A: b\x00c"), (200, 400, 0), True)
    yield Raw("a header without a colon", get(b"Host: a", b"nonsense"), (400, 0), True)
    yield Raw("a header with a blank before its colon", get(b"Host: a", b"A : b"), (200, 400, 0), True)
    yield Raw("a header over two lines", get(b"Host: a", b"A: b", b" c"), (200, 400, 0), True)
    yield Raw("a header name that is none", get(b"Host: a", b"\xff(): b"), (400, 0), True)
    yield Raw("a header of any bytes", get(b"Host: a", b"A: " + bytes(range(128, 256))), (200, 400))
    yield Raw("a bare line feed", b"GET /api/cart HTTP/1.1\nHost: a\n\n", (200, 400, 0), True)
