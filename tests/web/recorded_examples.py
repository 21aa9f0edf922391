"""The examples of the API's description, recorded: `python -m tests.web.recorded_examples` writes web/examples.json.

A shopper and a merchant do what there is to do, once, in a shop with the demo catalogue. Every answer was really
given, so it is what the code answers today; tests/web/test_examples.py says when it is not any more.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import fakeredis
from sqlalchemy import update

from app import create_app
from db.migrate import upgrade
from db.models import PaymentRow
from db.seed import seed
from db.session import Database
from shop.rules import parse
from tests.harness import ADDRESS, CHECKOUT_BODY, Client, Clock, Shop
from tests.web.admin.conftest import merchant_of
from web.settings import ROOT, Settings

FILE = ROOT / "web" / "examples.json"
LONGEST_LIST = 2
"""Entries of a list: enough to see what it is a list of."""
Examples = dict[str, dict[str, Any]]


class Recorder:
    """Keeps the first request and the first answer of each kind, by operation."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.found: Examples = {}

    def ask(self, client: Client, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """An answer's JSON; a refusal is a mistake in the script."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = client.open(path, method=method, json=body, headers=named)
        assert response.status_code < 400, f"{method} {path}: {response.status_code} {response.text}"
        rule, _ = self.shop.app.url_map.bind("").match(response.request.path, method, return_rule=True)
        kept = self.found.setdefault(f"{method} {rule.rule.replace('<', '{').replace('>', '}')}", {})
        if body is not None:
            kept.setdefault("request", body)
        if response.is_json:
            kept.setdefault(str(response.status_code), shortened(response.get_json()))
        return response.get_json(silent=True)


def shortened(value: Any) -> Any:
    if isinstance(value, list):
        return [shortened(entry) for entry in value[:LONGEST_LIST]]
    if isinstance(value, dict):
        return {name: shortened(member) for name, member in value.items()}
    return value


def shopper_does(recorder: Recorder) -> str:
    """All a shopper can do; answers the id of a confirmed order."""
    shop, ada = recorder.shop, recorder.shop.shopper()
    ask = recorder.ask
    ask(ada, "GET", "/api/products?category=kitchen&sort=price&facets=category,price,availability")
    ask(ada, "GET", "/api/products/canvas-tote-rust")
    ask(ada, "GET", "/api/categories")
    ask(ada, "POST", "/api/cart/add", {"product_id": "enamel-mug", "quantity": 2})
    ask(ada, "GET", "/api/cart")
    ask(ada, "PUT", "/api/cart/update", {"item_id": "enamel-mug", "quantity": 3})
    ask(ada, "DELETE", "/api/cart/remove/enamel-mug")
    ask(ada, "DELETE", "/api/cart/clear")
    ask(ada, "POST", "/api/cart/add", {"product_id": "enamel-mug", "quantity": 2})
    quote = ask(ada, "POST", "/api/checkout/quote", {"shipping_info": ADDRESS, "shipping_method": "standard"})
    body = {**CHECKOUT_BODY, "expected_total": quote["total_amount"]}
    order_id = ask(ada, "POST", "/api/checkout", body, Idempotency_Key="my-first-order")["id"]
    shop.clock.forward(0.04)
    shop.work_until_idle()
    order = ask(ada, "GET", f"/api/orders/{order_id}")
    recorder.found["POST /api/checkout"]["200"] = shortened(order)
    ask(ada, "GET", "/api/orders")
    other = shop.checkout(ada, **{"linen-notebook": 1})
    shop.work_until_idle()
    ask(ada, "POST", f"/api/orders/{other}/cancel", {"reason": "Ordered twice"})
    return str(order_id)


def merchant_does(recorder: Recorder, order_id: str) -> None:
    """All a merchant can do with products, stock, orders and money."""
    shop, office = recorder.shop, merchant_of(recorder.shop, name="office")
    ask = recorder.ask
    teapot = {"sku": "TEAPOT-1", "name": "Stoneware teapot", "price": "39.00", "category": "Kitchen"}
    ask(office, "POST", "/api/admin/products", {**teapot, "stock_quantity": 12})
    ask(office, "GET", "/api/admin/products?per_page=2")
    ask(office, "GET", "/api/admin/products/teapot-1")
    ask(office, "PATCH", "/api/admin/products/teapot-1", {"price": "36.50"}, If_Match="*")
    ask(office, "POST", "/api/admin/products/bulk", {"products": [{"sku": "TEAPOT-1", "price": "35.00"}]})
    ask(office, "POST", "/api/admin/products/teapot-1/stock", {"counted": 12, "note": "Stocktaking"})
    delivery = {"quantity": 24, "reason": "received", "note": "Delivery 4711"}
    recorder.found["POST /api/admin/products/{product_id}/stock"].pop("request")
    ask(office, "POST", "/api/admin/products/teapot-1/stock", delivery)
    ask(office, "GET", "/api/admin/products/teapot-1/movements")
    ask(office, "GET", "/api/admin/stock/low")
    category = ask(office, "POST", "/api/admin/categories", {"name": "Garden", "description": "For outside."})["id"]
    ask(office, "GET", "/api/admin/categories")
    ask(office, "GET", f"/api/admin/categories/{category}")
    changes = {"description": "For outside, in any weather."}
    ask(office, "PATCH", f"/api/admin/categories/{category}", changes, If_Match="*")
    at = f"/api/admin/orders/{order_id}"
    ask(office, "GET", "/api/admin/orders?status=confirmed")
    ask(office, "POST", f"{at}/payments", {"reference": "Bank statement of 23 November"})
    ask(office, "POST", f"{at}/shipments", {"carrier": "DHL", "tracking_number": "00340434"})
    ask(office, "POST", f"{at}/deliver", {})
    ask(office, "GET", at)
    ask(office, "POST", f"{at}/notes", {"text": "Called: wants a gift receipt."})
    ask(office, "POST", f"{at}/refunds", {"amount": "5.00", "reason": "A chipped rim"}, Idempotency_Key="chip-1")
    ask(office, "POST", f"{at}/return", {"restock": True, "note": "Came back unopened."})
    other = shop.checkout(**{"linen-notebook": 1})
    shop.work_until_idle()
    ask(office, "POST", f"/api/admin/orders/{other}/cancel", {"reason": "We cannot deliver there.", "restock": True})
    money_does(recorder, office)


def money_does(recorder: Recorder, office: Client) -> None:
    """What stands for a person: payments of which nobody can know what became of them."""
    shop, ask = recorder.shop, recorder.ask
    card = {"payment_method": "card", "payment_token": "tok_approve"}
    for _ in range(2):
        shop.checkout(body=card, **{"linen-notebook": 1})
        shop.work_until_idle()
        shop.pay()
        with shop.database.writing() as session:
            stuck = {"status": "stuck", "next_at": None, "leased_by": None}
            session.execute(update(PaymentRow).where(PaymentRow.kind == "capture").values(**stuck))
    unresolved = ask(office, "GET", "/api/admin/payments/unresolved")["items"]
    first, second = (entry["payment"] for entry in unresolved[:2])
    ask(office, "POST", f"/api/admin/payments/{first['key']}/retry")
    seen = {"outcome": "charged", "provider_id": second["provider_id"]}
    ask(office, "POST", f"/api/admin/payments/{second['key']}/resolve", seen)


def machines_do(recorder: Recorder) -> None:
    recorder.ask(recorder.shop.shopper(), "GET", "/healthz")


def record() -> Examples:
    """All examples, from a shop of this moment."""
    with TemporaryDirectory(prefix="oc") as folder:
        database = Database(f"sqlite:///{folder}/shop.db")
        upgrade(database)
        rules = parse((ROOT / "shop.toml").read_text())
        with database.writing() as session:
            seed(session, rules.digits)
        server = fakeredis.FakeServer()
        pair = fakeredis.FakeRedis(server=server, decode_responses=True), fakeredis.FakeRedis(server=server)
        shop = Shop(rules, *pair, database, Clock(), Settings(var_dir=Path(folder)))
        shop.app = create_app(shop.services, shop.settings)
        shop.app.test_client_class = Client
        recorder = Recorder(shop)
        order_id = shopper_does(recorder)
        merchant_does(recorder, order_id)
        machines_do(recorder)
        database.close()
    return dict(sorted(recorder.found.items()))


def main() -> int:
    FILE.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
