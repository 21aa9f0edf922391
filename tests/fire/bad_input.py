"""Whatever is sent to a running shop: no 5xx, every answer as OpenAPI has it, nothing kept in another form.

    python -m tests.fire.bad_input [--long] [--seed N] [--json FILE]

First what is written by hand (odd.py), over bare sockets and so through the HTTP server too; then what Schemathesis
makes of the document, for every route and with its stateful phase. Exits with 1 when something was found.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from jsonschema import Draft202012Validator

from tests.fire import odd
from tests.fire.checker import check, unfinished
from tests.fire.generated import Generated, config, generate, schema_of
from tests.fire.wire import Headers, Line, request
from tests.harness import ADDRESS, CHECKOUT_BODY
from tests.processes import RunningShop, running
from tests.servers import until

ADMIN_KEY = "the-key-of-the-odd-merchant"
PRODUCT = "enamel-mug"
SHORT_EXAMPLES, LONG_EXAMPLES = 3, 250
LEAST_GENERATED = 10_000
"""Requests that the long form must have generated."""
Body = Any


@dataclass
class Told:
    """An answer."""

    status: int
    headers: Headers
    body: Body


@dataclass
class BadInput:
    """A running shop, and what it made of what it was sent."""

    shop: RunningShop
    violations: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    """Texts that were stored, and read again."""
    generated: Generated = field(default_factory=Generated)

    def __post_init__(self) -> None:
        self.token = ""
        self._line: Line | None = None
        self.token = self.ask("GET", "/api/cart").headers["x-session-token"]
        self.document = self.ask("GET", "/api/openapi.json").body
        patterns = ((re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)), path) for path in self.document["paths"])
        self._paths = sorted(patterns, key=lambda each: each[0].count("[^/]+"))

    # ------------------------------------------------------------ how it is asked

    def ask(self, method: str, path: str, body: Body = None, **headers: str) -> Told:
        """A request as a merchant with a cart, and its answer."""
        data = None if body is None else json.dumps(body).encode()
        return self.send(method, path, data, **headers)

    def send(self, method: str, path: str, data: bytes | None = None, **headers: str) -> Told:
        given = {"Authorization": f"Bearer {ADMIN_KEY}"} | ({"X-Session-Token": self.token} if self.token else {})
        line = self._line or Line(self.shop.address)
        self._line = None
        line.send(request(method, path, data, **(given | headers)))
        told = _told(*line.receive(method))
        if told.headers.get("Connection", "") == "close":
            line.close()
        else:
            self._line = line
        return told

    def close(self) -> None:
        if self._line:
            self._line.close()
            self._line = None

    # ------------------------------------------------------------ how it is judged

    def judge(self, name: str, method: str, path: str, told: Told, allowed: tuple[int, ...] = ()) -> Told:
        """Note what is wrong with an answer."""
        self.statuses[str(told.status)] += 1
        for fault in self.faults(method, path, told, allowed):
            self.violations.append(f"{name}: {method} {path[:100]}: {fault}"[:600])
        return told

    def faults(self, method: str, path: str, told: Told, allowed: tuple[int, ...]) -> Iterator[str]:
        if told.status >= 500:
            yield f"answered {told.status} {told.body}"
        if allowed and told.status not in allowed:
            yield f"answered {told.status} {str(told.body)[:200]}, not {allowed}"
        kind = told.headers.get("Content-Type", "").split(";")[0]
        if told.status >= 400 and method != "HEAD":
            if kind != "application/problem+json":
                yield f"a refusal of the type {kind!r}"
                return
            yield from self._against({"$ref": "#/components/schemas/Problem"}, told.body)
        elif (described := self._described(method, path, told.status)) and kind.endswith("json"):
            yield from self._against(described["content"][kind]["schema"], told.body)

    def _against(self, schema: dict[str, Any], body: Body) -> Iterator[str]:
        whole = {**schema, "components": self.document["components"]}
        for error in Draft202012Validator(whole).iter_errors(body):
            yield f"{error.json_path}: {error.message[:200]}"

    def _described(self, method: str, path: str, status: int) -> Any:
        bare = path.split("?")[0]
        known = next((template for pattern, template in self._paths if re.fullmatch(pattern, bare)), None)
        operation = self.document["paths"].get(known, {}).get(method.lower())
        return (
            operation
            and operation["responses"].get(str(status), {}).get("content")
            and operation["responses"][str(status)]
        )

    # ------------------------------------------------------------ what is sent

    def nonsense(self) -> None:
        """Bodies, content types and numbers that no route takes."""
        for (method, path), good in odd.JSON_ROUTES.items():
            for body in odd.NONSENSE:
                name, told = f"body {body[:40]!r}", self.send(method, path, body, **{"If-Match": "*"})
                self.judge(name, method, path, told, (400, 413, 422))
            for kind in odd.OTHER_TYPES:
                whole = json.dumps(good).encode()
                told = self.send(method, path, whole, **{"Content-Type": kind, "If-Match": "*"})
                self.judge(f"type {kind!r}", method, path, told, (415,))
        for method, path, text in _with_numbers():
            told = self.send(method, path, text.encode(), **{"If-Match": "*"})
            self.judge(f"body {text[:60]}", method, path, told, (400, 404, 422))

    def places(self) -> None:
        """Paths, queries and headers."""
        for path in odd.PATHS:
            for method in ("GET", "DELETE", "HEAD"):
                told = self.judge("path", method, path, self.send(method, path), (308, 400, 404, 405, 415, 422))
                if "evil" in told.headers.get("Location", ""):
                    self.violations.append(f"path {path} leads to {told.headers['location']}")
        for path in odd.LISTS:
            for query in odd.QUERIES:
                self.judge("query", "GET", f"{path}?{query}", self.send("GET", f"{path}?{query}"))
        for header, value in odd.HEADERS:
            for method, path, body in (
                ("GET", "/api/cart", None),
                ("GET", "/api/products", None),
                ("GET", "/api/admin/orders", None),
                ("GET", "/problems/", None),
                ("POST", "/api/checkout/quote", b"{}"),
                ("POST", "/api/checkout", json.dumps(CHECKOUT_BODY).encode()),
                ("PATCH", f"/api/admin/products/{PRODUCT}", b"{}"),
                ("POST", "/api/payments/sandbox/webhook", b"{}"),
            ):
                self.judge(f"{header}: {value[:30]}", method, path, self.send(method, path, body, **{header: value}))

    def raw(self) -> None:
        """Requests that are none, or that no library sends."""
        self.ask("POST", "/api/cart/add", {"product_id": PRODUCT, "quantity": 1})
        for each in odd.raw(self.token):
            try:
                told = _once(self.shop.address, each.data)
            except (ConnectionError, TimeoutError) as error:
                self.statuses["none"] += 1
                if 0 not in each.allowed or isinstance(error, TimeoutError):
                    self.violations.append(f"{each.name}: no answer, {error!r}")
                continue
            by_server = each.by_server and not told.headers.get("X-Request-Id")
            if by_server and told.status in each.allowed:
                self.statuses[str(told.status)] += 1
            else:
                self.judge(each.name, "?", each.name, told, each.allowed)
        self.judge("afterwards", "GET", "/healthz", self.ask("GET", "/healthz"), (200,))

    def texts(self) -> None:
        """Every text field takes what is unusual, gives it back unchanged, and refuses what is no text."""
        for number, text in enumerate(odd.TEXTS):
            product_id = self._product(number, text)
            order_id = self._order(product_id, text)
            self._order_texts(order_id, text)
            for path in ("/api/products", "/api/admin/products"):
                found = f"{path}?q={quote(text, safe='')}"
                self.judge("q", "GET", found, self.send("GET", found), (200,))
        for text in odd.NO_TEXTS:
            self._refused_texts(text)

    def _product(self, number: int, text: str) -> str:
        """A product with this text wherever it has one, at the merchant's and at the shopper's."""
        name = f"{text} {number}"
        category = self._made("POST", "/api/admin/categories", {"name": name, "description": text})
        self._same(category, {"name": name, "description": text}, "a category")
        texts = {
            "sku": name,
            "name": text,
            "description": text,
            "category": name,
            "specifications": {text: text},
            "options": {text[:40].strip(): text},
        }
        wanted = {**texts, "id": f"odd-{number}", "price": "7.00", "stock_quantity": 50}
        made = self._made("POST", "/api/admin/products", wanted)
        path = f"/api/admin/products/odd-{number}"
        told = self.judge("product", "GET", path, self.ask("GET", path), (200,))
        seen = self.judge("product", "GET", path[10:], self.ask("GET", f"/api/products/odd-{number}"), (200,))
        for place, found in (("a new product", made), ("a product", told.body)):
            self._same(found, texts, place)
        self._same(seen.body, {name: texts[name] for name in texts if name != "category"}, "a product in the shop")
        changed = self.ask(
            "PATCH", path, {"name": f"{text}!", "description_html": f"<p>{text}</p>"}, **{"If-Match": "*"}
        )
        self._same(
            self.judge("product", "PATCH", path, changed, (200,)).body, {"name": f"{text}!"}, "a changed product"
        )
        if "<script" in (changed.body["description_html"] or "").lower():
            self.violations.append(f"a script came through: {changed.body['description_html']}")
        self._made("POST", f"{path}/stock", {"quantity": 1, "reason": "received", "note": text})
        listed = self.ask("GET", f"{path}/movements").body["items"]
        self._same(listed[0], {"note": text}, "a movement")
        return f"odd-{number}"

    def _order(self, product_id: str, text: str) -> str:
        added = self.ask("POST", "/api/cart/add", {"product_id": product_id, "quantity": 2})
        self.judge("cart", "POST", "/api/cart/add", added, (200,))
        person = {**ADDRESS, **dict.fromkeys(("name", "line1", "line2", "city", "company"), text)}
        person["postal_code"] = person["phone"] = text[:20].strip()
        body = {**CHECKOUT_BODY, "shipping_info": person, "billing_info": {**person, "city": f"{text}?"}}
        key = "".join(letter for letter in text if letter.isascii() and letter not in ' "')
        answer = self.ask("POST", "/api/checkout", body, **{"Idempotency-Key": key or "k"})
        order_id: str = self.judge("checkout", "POST", "/api/checkout", answer, (202,)).body["id"]
        for path in (f"/api/orders/{order_id}", f"/api/admin/orders/{order_id}"):
            until(lambda path=path: self.ask("GET", path).body.get("terminal"), 30, "an order to be over")  # type: ignore[misc]
            told = self.judge("order", "GET", path, self.ask("GET", path), (200,))
            for found in (answer.body, told.body):
                self._same(found["shipping_info"], person, "an order's address")
                self._same(found["billing_info"], {**person, "city": f"{text}?"}, "an order's billing address")
        return order_id

    def _order_texts(self, order_id: str, text: str) -> None:
        path = f"/api/admin/orders/{order_id}"
        noted = self._made("POST", f"{path}/notes", {"text": text})
        self._same(noted["timeline"][-1], {"detail": text}, "a note")
        sent = {"carrier": text, "tracking_number": text, "items": [{"position": 1, "quantity": 1}]}
        shipped = self._made("POST", f"{path}/shipments", sent)
        self._same(shipped["shipments"][0], {"carrier": text, "tracking_number": text}, "a shipment")

    def _refused_texts(self, text: str) -> None:
        person = {**ADDRESS, "name": text}
        product: dict[str, Any] = dict(odd.JSON_ROUTES["POST", "/api/admin/products"])
        orders = f"/api/admin/orders/{odd.NOBODY}"
        stock = {"quantity": 1, "reason": "received", "note": text}
        tries: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/api/checkout", {**CHECKOUT_BODY, "shipping_info": person}),
            ("POST", "/api/checkout", {**CHECKOUT_BODY, "email": f"{text}@example.com"}),
            ("POST", "/api/checkout", {**CHECKOUT_BODY, "payment_token": text}),
            ("POST", "/api/cart/add", {"product_id": text}),
            ("POST", "/api/admin/categories", {"name": text}),
            ("POST", f"/api/admin/products/{PRODUCT}/stock", stock),
            ("POST", f"{orders}/notes", {"text": text}),
            ("POST", f"{orders}/cancel", {"reason": text}),
            ("POST", f"{orders}/shipments", {"carrier": text}),
            ("POST", f"{orders}/refunds", {"reason": text}),
            ("POST", f"/api/orders/{odd.NOBODY}/cancel", {"reason": text}),
        ]
        names = ("sku", "name", "description", "description_html", "category", "tax_class", "group_id", "id")
        maps: tuple[dict[str, Any], ...] = (
            {"specifications": {text: "a"}},
            {"specifications": {"a": text}},
            {"options": {"a": text}},
        )
        changes = [*({name: text} for name in names), *maps]
        tries += [("POST", "/api/admin/products", {**product, **change}) for change in changes]
        for method, path, body in tries:
            self.judge(f"text {text!r}", method, path, self.ask(method, path, body), (400, 422))

    def _made(self, method: str, path: str, body: Body) -> Any:
        told = self.judge(f"{body}"[:200], method, path, self.ask(method, path, body), (200, 201))
        return told.body

    def _same(self, found: Any, wanted: dict[str, Any], what: str) -> None:
        for name, value in wanted.items():
            self.kept += 1
            if found.get(name) != value:
                self.violations.append(f"{what}: {name} was {value!r} and is {found.get(name)!r}"[:600])

    def generate(self, seed: int, examples: int) -> None:
        """What Schemathesis makes of the document, with known products and a known order among the ids."""
        order_id = self._order(PRODUCT, "Ada")
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "X-Session-Token": self.token}
        self.close()  # The server would not keep it open for so long.
        how = config(seed, examples, headers, [PRODUCT, "beech-spoon", "odd-1"], [order_id])
        self.generated = generate(schema_of(f"{self.shop.address}/api/openapi.json", how))
        self.violations += self.generated.violations

    def read_everything(self) -> None:
        """Whatever is stored by now can be shown, to the merchant and to shoppers, and is what it was said to be."""
        for category in self.ask("GET", "/api/admin/categories").body["items"]:
            self._shown(f"/api/admin/categories/{category['id']}")
        for product_id in self._ids("/api/admin/products"):
            found = self._shown(f"/api/admin/products/{product_id}")
            self._shown(f"/api/products/{product_id}", 200 if found["is_active"] else 404)
            self._shown(f"/api/admin/products/{product_id}/movements")
            self._same(found, self.generated.written.get(product_id, {}), f"product {product_id}")
        for order_id in self._ids("/api/admin/orders"):
            self._shown(f"/api/admin/orders/{order_id}")
        for path in ("/api/products", "/api/categories", "/api/orders", "/api/cart", "/api/admin/stock/low"):
            self._shown(path)

    def _shown(self, path: str, status: int = 200) -> Any:
        return self.judge("read again", "GET", path, self.ask("GET", path), (status,)).body

    def _ids(self, path: str) -> Iterator[str]:
        cursor = ""
        while cursor is not None:
            page = self._shown(f"{path}?per_page=100{cursor}")
            yield from (item["id"] for item in page["items"])
            following = page["page"]["next_cursor"]
            cursor = following and f"&cursor={following}"

    # ------------------------------------------------------------ what is left of it

    def books(self) -> None:
        """No process died of it, nothing was thrown, and the audit of all that is stored finds nothing."""
        log = (self.shop.var_dir / "log" / "web.log").read_text(errors="replace")
        self.violations += [line[:600] for line in log.splitlines() if "request.threw" in line or "panicked" in line]
        stores = f"sqlite:///{self.shop.var_dir}/shop.db", f"unix://{self.shop.var_dir}/valkey/valkey.sock"
        until(lambda: not unfinished(*stores), 60, "the shop to be at rest")
        report = check(self.shop.var_dir, *stores, [])
        audited = [each for each in report.violations if each.promise != "P2"]  # There is no log of what was wanted.
        self.violations += [f"{each.promise}: {each.subject}: {each.message}" for each in audited]


def _told(status: int, headers: Headers, content: bytes) -> Told:
    kind = headers.get("Content-Type", "")
    return Told(status, headers, json.loads(content or b"null") if "json" in kind else content[:200])


def _once(address: str, data: bytes) -> Told:
    """Bytes over a connection of their own, and the first answer. Raises ConnectionError or TimeoutError."""
    line = Line(address)
    try:
        with suppress(ConnectionError):  # It may answer before it has read everything.
            line.send(data)
        return _told(*line.receive())
    finally:
        line.close()


def _with_numbers() -> Iterator[tuple[str, str, str]]:
    for number in odd.NUMBERS:
        yield "POST", "/api/cart/add", f'{{"product_id": "{PRODUCT}", "quantity": {number}}}'
        yield "PUT", "/api/cart/update", f'{{"item_id": "{PRODUCT}", "quantity": {number}}}'
        yield "POST", f"/api/admin/products/{PRODUCT}/stock", f'{{"counted": {number}}}'
        yield "PATCH", f"/api/admin/products/{PRODUCT}", f'{{"weight_grams": {number}}}'
        yield "POST", f"/api/admin/orders/{odd.NOBODY}/deliver", f'{{"shipment": {number}}}'


# ---------------------------------------------------------------- the program


@contextmanager
def sent_to(folder: Path) -> Iterator[BadInput]:
    """A shop to send it to; when it is through, its books are looked at."""
    settings = {"ADMIN_API_KEY": ADMIN_KEY, "LOG_LEVEL": "warning"}
    with running(RunningShop(folder / "var", settings=settings)) as shop:
        pids, sent = shop.pids()["web"], BadInput(shop)
        try:
            yield sent
        finally:
            sent.close()
        if shop.pids()["web"] != pids:
            sent.violations.append(f"a web process died: they were {pids}, they are {shop.pids()['web']}")
        sent.books()


def by_hand(sent: BadInput) -> None:
    sent.nonsense()
    sent.places()
    sent.raw()
    sent.texts()


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # So that what is running is closed.
    parser = argparse.ArgumentParser(prog="python -m tests.fire.bad_input", description=__doc__.split("\n")[0])
    parser.add_argument("--long", action="store_true", help=f"at least {LEAST_GENERATED} generated requests")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--examples", type=int, help="of each route and phase")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    examples, started = options.examples or (LONG_EXAMPLES if options.long else SHORT_EXAMPLES), time.monotonic()
    with TemporaryDirectory(prefix="oncecart-bad-input-") as folder, sent_to(Path(folder)) as sent:
        by_hand(sent)
        sent.generate(options.seed, examples)
        sent.read_everything()
    if options.long and sent.generated.requests < LEAST_GENERATED:
        sent.violations.append(f"only {sent.generated.requests} requests were generated")
    seconds = round(time.monotonic() - started, 1)
    figures = {
        "by_hand": sum(sent.statuses.values()),
        "texts_kept_and_read_again": sent.kept,
        "generated": sent.generated.requests,
        **{f"generated_{phase}": count for phase, count in sent.generated.phases.items()},
        "members_of_generated_writes_compared": sent.generated.kept,
        **{f"answers_{status}": n for status, n in sorted((sent.statuses + sent.generated.statuses).items())},
    }
    found = sent.violations
    print("\n".join(f"{name.replace('_', ' ')}: {figure}" for name, figure in figures.items()))
    print("\n".join(f"VIOLATION {each}" for each in found[:40]))
    print(f"bad input: seed {options.seed}, {seconds} s, {len(found)} violations")
    if options.json:
        cases = figures["by_hand"] + figures["generated"]
        report = {"part": "bad_input", "cases": cases, "seconds": seconds, "seeds": [options.seed]}
        options.json.write_text(json.dumps({**report, "violations": found, "figures": figures}, indent=1))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
