"""The checker, on a small shop with orders of every fate: it finds nothing, and then exactly what was damaged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from carts import keys
from shop.paying import UNHEARD_OF
from tests.fire.checker import Report, check, main, unfinished
from tests.fire.client import Entry, Log, LoggingShopper, read_log, written
from tests.fire.evidence import Payment
from tests.processes import RunningShop, running
from tests.servers import until, valkey

pytestmark = pytest.mark.e2e

MUG, BOOK = "enamel-mug", "linen-notebook"
FATES = ("approved", "declined", "lost", "cancelled", "invoice")
TOKENS = {"approved": "tok_approve", "declined": "tok_decline", "lost": "tok_timeout_after", "cancelled": "tok_approve"}


@dataclass
class Scene:
    """A shop at rest: its files, its Redis and the log of five shoppers, one for each fate of an order."""

    var_dir: Path
    redis: Redis
    redis_url: str
    orders: dict[str, str]
    sessions: dict[str, str]
    entries: list[Entry] = field(default_factory=list)

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.var_dir}/shop.db"

    def report(self) -> Report:
        return check(self.var_dir, self.database_url, self.redis_url, [self.log()])

    def log(self) -> Path:
        path = self.var_dir / "log"
        path.unlink(missing_ok=True)
        return written(path, self.entries)

    # ------------------------------------------------------------ damage

    def sql(self, *statements: str) -> None:
        self._run("shop.db", statements)

    def books(self, *statements: str) -> None:
        self._run("sandbox.db", statements)

    def _run(self, file: str, statements: tuple[str, ...]) -> None:
        names = {fate: f"'{order_id}'" for fate, order_id in self.orders.items()}
        with closing(sqlite3.connect(self.var_dir / file)) as connection:
            connection.execute("PRAGMA foreign_keys=OFF")
            for statement in statements:
                assert connection.execute(statement.format(**names)).rowcount, statement
            connection.commit()

    def forget(self, fate: str, *, what: str = "", action: str = "") -> None:
        """Take lines of a shopper's out of the log."""
        session = self.sessions[fate]

        def meant(entry: Entry) -> bool:
            return entry.session == session and what in ("", entry.what) and action in ("", entry.action)

        self.entries = [entry for entry in self.entries if not meant(entry)]

    def told(self, fate: str, **fields: Any) -> None:
        """One more line about what a shopper was told, with its intention."""
        n, session = f"more-{len(self.entries)}", self.sessions[fate]
        action = fields.pop("action", "order")
        final = fields.pop("final", False)
        at = self.entries[-1].at + 1
        asked_for = fields.pop("asked_for", None)
        self.entries.append(
            Entry(n=n, at=at, what="ask", session=session, action=action, final=final, order_id=asked_for)
        )
        self.entries.append(Entry(n=n, at=at, what="told", session=session, action=action, **{"status": 200, **fields}))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Five shoppers, played once by a real shop that is closed again; its Valkey is up."""
    folder = tmp_path_factory.mktemp("scene")
    var_dir = folder / "var"
    with running(RunningShop(var_dir)) as shop, Log(folder / "log") as log:
        shoppers = {fate: LoggingShopper(shop.address, log) for fate in FATES}
        orders = {fate: _shop(shopper, fate) for fate, shopper in shoppers.items()}
        at_rest = (f"sqlite:///{var_dir}/shop.db", f"unix://{var_dir}/valkey/valkey.sock")
        until(lambda: not unfinished(*at_rest), 30, "the shop to be at rest")
        for shopper in shoppers.values():
            shopper.orders(final=True)
        sessions = {fate: shopper.session for fate, shopper in shoppers.items()}
    with valkey(var_dir / "valkey") as url, Redis.from_url(url) as redis:
        yield Scene(var_dir, redis, url, orders, sessions, list(read_log(folder / "log")))


def _shop(shopper: LoggingShopper, fate: str) -> str:
    shopper.add(MUG, 3)
    shopper.add(BOOK)
    shopper.set(MUG, 2)
    body = {"payment_method": "card", "payment_token": TOKENS[fate]} if fate in TOKENS else None
    order_id = str(shopper.check_out(body, key="k").body["id"])
    shopper.check_out(body, key="k")
    shopper.outcome(order_id)
    if fate == "cancelled":
        shopper.cancel(order_id)
    shopper.add(BOOK)
    shopper.orders()
    return order_id


@pytest.fixture
def scene(played: Scene, tmp_path: Path) -> Iterator[Scene]:
    """The scene, to be damaged; the next test has it whole again."""
    for file in played.var_dir.glob("*.db*"):
        shutil.copy(file, tmp_path)
    redis: Any = played.redis
    kept = {name: (redis.dump(name), max(0, redis.pttl(name))) for name in redis.keys("*")}
    yield Scene(tmp_path, played.redis, played.redis_url, played.orders, played.sessions, list(played.entries))
    redis.flushall()
    for name, (value, ttl) in kept.items():
        redis.restore(name, ttl, value)


def test_a_shop_that_kept_its_promises_is_told_so_with_figures(scene: Scene) -> None:
    report = scene.report()

    assert report.violations == []
    counts = report.counts
    assert (counts["orders accepted"], counts["orders in SQL"], counts["replays"]) == (5, 5, 5)
    assert (counts["orders confirmed"], counts["orders failed"], counts["orders cancelled"]) == (3, 1, 1)
    assert (counts["charges"], counts["histories read"]) == (3, 10)
    assert counts["of these known exactly"] == counts["products in carts and orders"] == 10
    assert counts["units chosen"] == 5 * (2 + 1 + 1)


Plant = Callable[[Scene], object]
NEXT = "(SELECT max(seq) + 1 FROM order_events WHERE order_id = {0})"


def event(fate: str, stage: str) -> str:
    order = f"{{{fate}}}"
    seq = NEXT.format(order)
    return (
        "INSERT INTO order_events (order_id, seq, stage, at, attempt, outcome) "
        f"VALUES ({order}, {seq}, '{stage}', 0, 1, 'ok')"
    )


def gone(fate: str) -> Plant:
    tables = ("order_items", "order_events", "payments", "stock_movements")
    return lambda scene: scene.sql(
        *(
            f"DELETE FROM {table} WHERE order_id = {{{fate}}}"
            for table in tables
            if fate in TOKENS or table != "payments"
        ),
        f"DELETE FROM orders WHERE id = {{{fate}}}",
    )


def cart(fate: str, by: int) -> Plant:
    return lambda scene: scene.redis.hincrby(keys.cart(scene.sessions[fate]), f"q:{BOOK}", by)


PAYMENT = "order_id, token, amount_minor, currency, capture, return_url, status, decline, authorized_minor"
MORE = "captured_minor, refunded_minor, created_at, answered_at"
SECOND = (
    f"INSERT INTO payments (provider_id, {PAYMENT}, {MORE}) "
    f"SELECT 'pay_second', {PAYMENT}, {MORE} FROM payments WHERE order_id = {{approved}}"
)
DAMAGES: dict[str, tuple[Plant, str, str]] = {
    "stock that no movement explains": (
        lambda scene: scene.sql(f"UPDATE products SET stock_quantity = stock_quantity + 1 WHERE id = '{MUG}'"),
        "P4",
        "its movements add up to",
    ),
    "a line that took no stock": (
        lambda scene: scene.sql("DELETE FROM stock_movements WHERE order_id = {invoice} AND kind = 'sold'"),
        "P4",
        "it should be -",
    ),
    "an accepted checkout without an order": (gone("invoice"), "P1", "was accepted, and there is no such order"),
    "a settled checkout that SQL does not know": (gone("invoice"), "P1", "SQL does not know it"),
    "an order that is not over": (
        lambda scene: scene.sql("UPDATE orders SET status = 'processing', number = NULL WHERE id = {approved}"),
        "P1",
        "is still processing",
    ),
    "a card order that no provider was asked for": (
        lambda scene: scene.sql("DELETE FROM payments WHERE order_id = {approved}"),
        "P5",
        "is confirmed, and no provider was asked",
    ),
    "a payment that stands for a person": (
        lambda scene: scene.sql(
            "UPDATE payments SET status = 'stuck' WHERE order_id = {approved} AND kind = 'capture'"
        ),
        "P5",
        "stands for a person",
    ),
    "a payment that is still due": (
        lambda scene: scene.sql("UPDATE payments SET next_at = 1 WHERE order_id = {approved} AND kind = 'capture'"),
        "P5",
        "its capture is still succeeded",
    ),
    "a total above the one that was shown": (
        lambda scene: scene.sql("UPDATE orders SET total_minor = total_minor + 1 WHERE id = {invoice}"),
        "P6",
        "the shopper was shown",
    ),
    "other lines than were accepted": (
        lambda scene: scene.sql(
            f"UPDATE order_items SET quantity = 1 WHERE order_id = {{invoice}} AND product_id = '{MUG}'"
        ),
        "P6",
        "was accepted with",
    ),
    "an order that nobody asked for": (
        lambda scene: scene.forget("invoice", action="checkout"),
        "P2",
        "no checkout is left that may have made it",
    ),
    "an order of a session that nobody knows": (
        lambda scene: scene.forget("invoice"),
        "P2",
        "its session is unknown",
    ),
    "two orders for one key": (
        lambda scene: scene.told("invoice", action="checkout", status=202, key="k", order_id=scene.orders["approved"]),
        "P2",
        "key k was answered with order",
    ),
    "somebody else's order": (
        lambda scene: scene.told("invoice", order_id=scene.orders["approved"]),
        "own",
        "was told to session",
    ),
    "an order that is none": (
        lambda scene: scene.told("invoice", order_id="no-such-order"),
        "P1",
        "there is no such order",
    ),
    "a history that lacks an order": (
        lambda scene: scene.told("invoice", action="orders", ids=[]),
        "history",
        "is not in the history",
    ),
    "a last history that lacks an order": (
        lambda scene: scene.told("invoice", action="orders", ids=[], final=True),
        "history",
        "is not in the history",
    ),
    "a history that has an order twice": (
        lambda scene: scene.told("invoice", action="orders", ids=[scene.orders["invoice"]] * 2),
        "history",
        "is 2 times in the history",
    ),
    "a unit too many in a cart": (cart("invoice", 1), "P7", "2 were put in the cart; 2 are there and 1 in orders"),
    "a cart that was lost": (
        lambda scene: scene.redis.delete(keys.cart(scene.sessions["invoice"])),
        "P7",
        "2 were put in the cart; 0 are there and 1 in orders",
    ),
    "a failed order's cart that was not given back": (
        cart("declined", -1),
        "P7",
        "2 were put in the cart; 1 are there and 0 in orders",
    ),
    "a failed order's cart that was given back twice": (
        cart("declined", 1),
        "P7",
        "2 were put in the cart; 3 are there and 0 in orders",
    ),
    "a cart that is claimed and settled": (
        lambda scene: scene.redis.hset(keys.claimed_cart(scene.orders["invoice"]), "id", "x"),
        "P7",
        "its cart is still claimed",
    ),
    "a second charge": (lambda scene: scene.books(SECOND), "P5", "was charged 2 times"),
    "a charge that is a cent short": (
        lambda scene: scene.books(
            "UPDATE payments SET captured_minor = captured_minor - 1 WHERE order_id = {approved}"
        ),
        "P5",
        "the provider's books say",
    ),
    "a paid order that cost nothing": (
        lambda scene: scene.books("DELETE FROM payments WHERE order_id = {approved}"),
        "P5",
        "the provider approved nothing",
    ),
    "money that is held for a failed order": (
        lambda scene: scene.books(
            "UPDATE payments SET status = 'authorized', authorized_minor = 5 WHERE order_id = {declined}"
        ),
        "P5",
        "is failed, and 5 are held",
    ),
    "money that was taken for a cancelled order": (
        lambda scene: scene.books(
            "UPDATE payments SET status = 'captured', captured_minor = authorized_minor, refunded_minor = 0 "
            "WHERE order_id = {cancelled}"
        ),
        "P5",
        "are taken",
    ),
    "money for no order": (
        lambda scene: scene.books(SECOND, "UPDATE payments SET order_id = 'none' WHERE provider_id = 'pay_second'"),
        "P5",
        "and there is no such order",
    ),
    "a mistaken call to the provider": (
        lambda scene: scene.books(
            "INSERT INTO calls (operation, order_id, at, answer, misuse) "
            "SELECT 'capture', {approved}, 1, answer, 1 FROM calls LIMIT 1"
        ),
        "P5",
        "1 calls to the provider were mistakes",
    ),
    "an end after the end": (
        lambda scene: scene.sql(event("declined", "confirmed")),
        "timeline",
        "status went from failed to confirmed",
    ),
    "a confirmation that is told twice": (
        lambda scene: scene.sql(event("approved", "confirmed")),
        "timeline",
        "status became confirmed twice",
    ),
    "stages in another order": (
        lambda scene: scene.sql(
            "UPDATE order_events SET seq = -seq WHERE order_id = {invoice} AND seq > 1",
            "UPDATE order_events SET seq = 5 + seq WHERE order_id = {invoice} AND seq < 0",
        ),
        "timeline",
        "was confirmed without stock",
    ),
    "an order that is not what its timeline says": (
        lambda scene: scene.sql("UPDATE orders SET payment_status = 'refunded' WHERE id = {declined}"),
        "timeline",
        "payment_status is refunded, its timeline ends at failed",
    ),
    "an order that was something else before": (
        lambda scene: scene.told("invoice", order_id=scene.orders["invoice"], order_status="failed"),
        "timeline",
        "is confirmed, and the shopper was told failed",
    ),
    "an order that was told to be over, and then open": (
        lambda scene: (
            scene.told("invoice", order_id=scene.orders["invoice"], order_status="confirmed"),
            scene.told("invoice", order_id=scene.orders["invoice"], order_status="pending"),
        ),
        "timeline",
        "was told to be confirmed, and later pending",
    ),
    "an accepted order that is not found": (
        lambda scene: scene.told("invoice", asked_for=scene.orders["invoice"], status=404, code="order_not_found"),
        "P1",
        "was accepted, and order was answered 404",
    ),
    "a server's error": (lambda scene: scene.told("invoice", status=500), "P8", "was answered 500"),
    "a 503 that does not say when to come back": (
        lambda scene: scene.told("invoice", status=503, code="unavailable"),
        "P8",
        "was answered 503 unavailable",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_damaged_is_named(scene: Scene, damage: str) -> None:
    plant, promise, message = DAMAGES[damage]

    plant(scene)
    found = scene.report().violations

    assert [finding for finding in found if finding.promise == promise and message in finding.message], found


@pytest.mark.parametrize("file", ["shop.db", "sandbox.db"])
@pytest.mark.parametrize("first", [0, 4096], ids=["its head", "its pages"])
def test_a_damaged_file_is_a_violation_and_not_the_end_of_the_checker(scene: Scene, file: str, first: int) -> None:
    path = scene.var_dir / file
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = path.read_bytes()
    path.write_bytes(whole[:first] + b"\xff" * (len(whole) - first))

    (found,) = scene.report().violations

    assert (found.promise, found.subject) == ("P1", file)
    assert found.message.startswith("is damaged: ")


HELD_OPEN = Payment("k", "authorize", "unknown", 1000, "sandbox", None, 3, 1, False, UNHEARD_OF)


def test_a_payment_nobody_has_heard_of_is_no_fault_of_an_order_that_was_cancelled() -> None:
    assert HELD_OPEN.is_unheard_of("cancelled")


@pytest.mark.parametrize(
    ("change", "order_status"),
    [
        ({}, "confirmed"),
        ({}, "processing"),
        ({"kind": "capture"}, "cancelled"),
        ({"status": "due"}, "cancelled"),
        ({"provider_id": "pay_1"}, "cancelled"),
        ({"tries": 2}, "cancelled"),
        ({"detail": "no answer in 10 s"}, "cancelled"),
    ],
)
def test_no_other_payment_may_stay_open(change: dict[str, Any], order_status: str) -> None:
    assert not replace(HELD_OPEN, **change).is_unheard_of(order_status)


def test_a_violation_comes_with_all_that_is_known_of_its_order(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.books(SECOND)

    status = main(["--var", str(scene.var_dir), "--redis", scene.redis_url, str(scene.log())])

    printed = capsys.readouterr().out
    assert status == 1
    assert f"VIOLATION P5: order {scene.orders['approved']}: was charged 2 times" in printed
    for told in (
        "told",
        "key=k",
        "timeline  2 stock_taken",
        "provider  authorize",
        "payment   Payment(",
        "books     Acc",
    ):
        assert told in printed
    assert printed.endswith("violations\n")


def test_a_request_whose_answer_was_lost_may_have_been_carried_out_or_not(scene: Scene) -> None:
    scene.forget("invoice", what="told", action="add")
    scene.forget("approved", what="told", action="checkout")

    report = scene.report()

    assert report.violations == []
    assert report.counts["requests without an answer"] == 5
    assert report.counts["of these known exactly"] == 8


def test_a_clean_shop_ends_with_0(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--var", str(scene.var_dir), "--redis", scene.redis_url, str(scene.log())]) == 0
    assert capsys.readouterr().out.endswith("every promise was kept\n")
