"""Flask, redis-py and sqlite3 with no shop in between: what bench/routes.py holds the shop's routes against.

The same addresses, the same scripts on the same Valkey, the same rows of the same database, answers of the same
length. No validation, prices, sessions, errors, logs or headers.
"""

from __future__ import annotations

import os
import secrets
import signal
import threading

from flask import Flask, Response, request
from uuid_utils import uuid7

from carts import keys
from carts.connection import answers, connect, script
from db.session import SQLITE
from tasks.processes import die_with_parent, spare_the_collector
from web.serve import LISTENER, serve

REDIS, DATABASE, LENGTHS = "BARE_REDIS", "BARE_DATABASE", "BARE_LENGTHS"
SNAPSHOT_LENGTH = 1500
TOKEN = "X-Session-Token"


def create() -> Flask:
    """The application; LENGTHS are those of the shop's answers to an add, a checkout and an order read."""
    die_with_parent(signal.SIGKILL, int(os.environ[LISTENER]))
    redis, database = answers(connect(os.environ[REDIS])), os.environ[DATABASE]
    added, accepted, shown = (f'"{"x" * (int(length) - 2)}"' for length in os.environ[LENGTHS].split(","))
    look, add = (redis.register_script(script("texts") + script(name)) for name in ("look", "add"))
    accept = redis.register_script(script("accept"))
    mine = threading.local()
    snapshot = "s" * SNAPSHOT_LENGTH
    app = Flask("bare")

    def answer(text: str, session_id: str = "") -> Response:
        return Response(text, mimetype="application/json", headers={TOKEN: session_id} if session_id else None)

    @app.post("/api/cart/add")
    def add_to_cart() -> Response:
        session_id = request.headers.get(TOKEN) or f"bare{secrets.token_hex(16)}"
        product_id = request.get_json()["product_id"]
        redis.mget([keys.product(product_id)])
        add(
            keys=[keys.cart(session_id), keys.operation(str(uuid7()))],
            args=[product_id, 1, 20, 1000, 2_592_000, str(uuid7()), 100],
        )
        return answer(added, session_id)

    @app.post("/api/checkout")
    def check_out() -> Response:
        request.get_json()
        session_id, key, order_id = request.headers[TOKEN], request.headers["Idempotency-Key"], str(uuid7())
        fields = look(keys=[keys.cart(session_id), keys.idempotency(session_id, key)], args=[2_592_000, 1])[4]
        cart = dict(zip(fields[::2], fields[1::2], strict=True))
        accept(
            keys=[
                keys.cart(session_id),
                keys.idempotency(session_id, key),
                keys.accepted(order_id),
                keys.claimed_cart(order_id),
                "bare:inbox",
                "bare:doorbell",
                keys.open_orders(session_id),
                keys.checked_out(session_id),
                keys.nearly_full(),
            ],
            args=[order_id, "f", snapshot, session_id, cart["id"], cart["version"], 86400, 1000, 10**9],
        )
        return answer(accepted)

    @app.get("/api/orders/<order_id>")
    def show_order(order_id: str) -> Response:
        if not hasattr(mine, "reader"):
            mine.reader = SQLITE.connect(database, isolation_level=None)
        cursor = mine.reader.cursor()
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM orders WHERE id = ?", (order_id,)).fetchone()
        cursor.execute("SELECT * FROM order_items WHERE order_id = ? ORDER BY position", (order_id,)).fetchall()
        cursor.execute("SELECT * FROM order_events WHERE order_id = ? ORDER BY seq", (order_id,)).fetchall()
        cursor.execute("COMMIT")
        return answer(shown)

    spare_the_collector()
    return app


if __name__ == "__main__":
    serve("bench.bare:create")
