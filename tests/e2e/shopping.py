"""A shopper from outside: `python tests/e2e/shopping.py BASE_URL [--save FILE] [--check FILE]`.

Standard library only, so that it runs wherever a shop does. Browses, fills a cart, asks for a quote,
checks out and follows the order until it is confirmed; prints its id and the session's token.
`--save` keeps both in a file; `--check` asserts that the order of such a file is still there.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 30
ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "1 Main Street",
    "city": "Oakland",
    "postal_code": "94601",
    "country": "US",
    "region": "CA",
}


class Shopper:
    """One session: keeps the token of the first answer that brings one."""

    def __init__(self, base_url: str, token: str = "") -> None:
        self._base_url = base_url.rstrip("/")
        self.token = token

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer; header names are written with underscores."""
        request = urllib.request.Request(f"{self._base_url}{path}", method=method)
        request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if self.token:
            request.add_header("X-Session-Token", self.token)
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = urllib.request.urlopen(request, data, timeout=40)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.token = answer.headers.get("X-Session-Token") or self.token
            return answer.status, json.loads(answer.read())

    def get(self, path: str, **headers: str) -> Any:
        status, body = self.ask("GET", path, **headers)
        assert status == 200, (path, status, body)
        return body

    def follow(self, order_id: str) -> Any:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            order = self.get(f"/api/orders/{order_id}", Prefer="wait=10")
            if order["terminal"]:
                return order
            assert time.monotonic() < until, f"not terminal after {PATIENCE_SECONDS} s: {order}"
            time.sleep(0.2)


def shop(shopper: Shopper) -> str:
    """Buy two enamel mugs; the id of the confirmed order."""
    assert any(category["product_count"] for category in shopper.get("/api/categories")["items"])
    assert shopper.get("/api/products?available=true")["items"]
    mug = shopper.get("/api/products/enamel-mug")
    assert mug["available"], mug

    status, cart = shopper.ask("POST", "/api/cart/add", {"product_id": mug["id"], "quantity": 2})
    assert (status, cart["total_quantity"]) == (200, 2), cart
    status, quote = shopper.ask("POST", "/api/checkout/quote", {"shipping_info": ADDRESS})
    assert status == 200, quote

    order = {
        "email": "ada@example.com",
        "shipping_info": ADDRESS,
        "shipping_method": "standard",
        "payment_method": "invoice",
        "expected_total": quote["total_amount"],
    }
    key = str(uuid.uuid4())
    status, accepted = shopper.ask("POST", "/api/checkout", order, Idempotency_Key=key)
    assert status == 202, (status, accepted)
    status, again = shopper.ask("POST", "/api/checkout", order, Idempotency_Key=key)
    assert (status, again["id"]) == (202, accepted["id"]), (status, again)

    done = shopper.follow(accepted["id"])
    assert done["status"] == "confirmed", done
    assert done["total_amount"] == quote["total_amount"], done
    assert shopper.get("/api/cart")["total_quantity"] == 0
    assert shopper.get("/api/products/enamel-mug")["stock_quantity"] <= mug["stock_quantity"] - 2
    return str(done["id"])


def check(base_url: str, saved: dict[str, str]) -> None:
    """The saved order is still there, for the session that placed it and for nobody else."""
    shopper = Shopper(base_url, saved["token"])
    assert shopper.get(f"/api/orders/{saved['order_id']}")["status"] == "confirmed"
    assert saved["order_id"] in [order["id"] for order in shopper.get("/api/orders")["items"]]
    assert Shopper(base_url).ask("GET", f"/api/orders/{saved['order_id']}")[0] == 404


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("--save", type=Path, help="keep the order's id and the session's token here")
    parser.add_argument("--check", type=Path, help="an order saved earlier must still be there")
    arguments = parser.parse_args()
    if arguments.check:
        saved = json.loads(arguments.check.read_text())
        check(arguments.base_url, saved)
        print(f"still there: {saved['order_id']}")
    shopper = Shopper(arguments.base_url)
    order_id = shop(shopper)
    if arguments.save:
        arguments.save.write_text(json.dumps({"order_id": order_id, "token": shopper.token}))
    print(f"confirmed: {order_id}\nsession: {shopper.token}")


if __name__ == "__main__":
    main()
