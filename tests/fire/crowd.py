"""Shoppers who do what shoppers do, whatever happens to the shop: they insist, click twice and change their minds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.fire.client import Log, LoggingShopper, now_ms
from tests.processes import Answer

PRODUCTS = ("enamel-mug", "beech-spoon", "linen-notebook", "cedar-pencil", "sage-candle")
SCARCE = PRODUCTS[-1]
TOKENS = (
    "tok_approve",
    "tok_approve",
    "tok_decline",
    "tok_timeout_after",
    "tok_action_approved",
    "tok_capture_timeout",
)
PATIENCE_SECONDS = 45
AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Completed:
    """A checkout that came to an end: when its request began, and when its shopper knew (ms)."""

    begun_at: int
    done_at: int


@dataclass
class Crowd:
    """A number of shoppers, each a thread with dice of its own, until they are told to stop."""

    address: str
    log: Log
    seed: int
    shoppers: list[LoggingShopper] = field(default_factory=list)
    completed: list[Completed] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Orders that were not over when their shopper had waited for PATIENCE_SECONDS."""
    errors: list[Exception] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self, people: int, probes: int) -> None:
        """`people` shop as they like, `probes` buy by invoice again and again, to see when the shop sells again."""
        for number in range(people + probes):
            life = self._shop if number < people else self._probe
            dice = random.Random(f"{self.seed}-{number}")
            self._threads.append(threading.Thread(target=self._live, args=(life, dice)))
            self._threads[-1].start()

    def sold_since(self, at: int) -> int | None:
        """When the first checkout that was begun at that time or later was through; None: none is yet."""
        return min((each.done_at for each in list(self.completed) if each.begun_at >= at), default=None)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _live(self, life: Callable[[random.Random], None], dice: random.Random) -> None:
        while not self._stop.is_set():
            try:
                life(dice)
            except Exception as error:  # noqa: BLE001 - a mistake of ours must not look like a quiet shop
                self.errors.append(error)
                return

    def _new(self) -> LoggingShopper:
        shopper = LoggingShopper(self.address, self.log)
        self._insist(shopper.cart)
        self.shoppers.append(shopper)
        return shopper

    # ------------------------------------------------------------ what they do

    def _probe(self, dice: random.Random) -> None:
        shopper = self._new()
        for _ in range(20):
            if self._stop.is_set():
                return
            self._tried(lambda: shopper.add(dice.choice(PRODUCTS[:3])))
            begun_at = now_ms()
            answer = self._tried(shopper.check_out)
            if answer and answer.status == 202:
                self._follow(shopper, answer.body["id"], begun_at)

    def _shop(self, dice: random.Random) -> None:
        shopper = self._new()
        for _ in range(dice.randint(1, 4)):
            if self._stop.is_set():
                return
            self._fill(shopper, dice)
            self._check_out(shopper, dice)
            if dice.random() < 0.3:
                self._tried(lambda: _as_answer(shopper.orders()))

    def _fill(self, shopper: LoggingShopper, dice: random.Random) -> None:
        for _ in range(dice.randint(1, 3)):
            wanted = dice.choice(PRODUCTS), dice.randint(1, 2)
            self._tried(partial(shopper.add, *wanted))
        cart = shopper.seen.lines if shopper.seen else {}
        if len(cart) > 1 and dice.random() < 0.4:
            product_id, quantity = dice.choice(sorted(cart)), dice.randint(0, 3)
            self._tried(lambda: shopper.set(product_id, quantity) if quantity else shopper.remove(product_id))
        if dice.random() < 0.3:
            self._tried(dice.choice((shopper.quote, shopper.cart)))

    def _check_out(self, shopper: LoggingShopper, dice: random.Random) -> None:
        body: dict[str, Any] | None = None
        if dice.random() < 0.7:
            body = {"payment_method": "card", "payment_token": dice.choice(TOKENS)}
        key = f"{dice.getrandbits(64):x}" if dice.random() < 0.6 else None
        begun_at = now_ms()
        clicks = 2 if dice.random() < 0.15 else 1
        answer = self._click(shopper, clicks, lambda who: self._insist(lambda: who.check_out(body, key)))
        if key and dice.random() < 0.3:
            self._insist(lambda: shopper.check_out(body, key))
        order_id = answer.body.get("id") or answer.body.get("order_id") if answer else None
        if order_id is None:
            return
        if dice.random() < 0.1:
            self._tried(lambda: shopper.cancel(order_id))
        self._follow(shopper, order_id, begun_at)
        if dice.random() < 0.1:
            self._tried(lambda: shopper.cancel(order_id))

    def _click(
        self, shopper: LoggingShopper, times: int, ask: Callable[[LoggingShopper], Answer | None]
    ) -> Answer | None:
        """The same at once in as many tabs: the answer of one that was accepted, if any was."""
        if times == 1:
            return ask(shopper)
        tabs = [shopper.twin() for _ in range(times)]
        with ThreadPoolExecutor(times) as pool:
            answers = [answer for answer in pool.map(ask, tabs) if answer]
        shopper.seen = None
        return next((answer for answer in answers if answer.status == 202), answers[0] if answers else None)

    def _follow(self, shopper: LoggingShopper, order_id: str, begun_at: int) -> None:
        try:
            shopper.outcome(order_id, PATIENCE_SECONDS)
        except AssertionError:
            self.late.append(order_id)
        else:
            self.completed.append(Completed(begun_at, now_ms()))

    # ------------------------------------------------------------ how they take it

    def _tried(self, ask: Callable[[], Answer | None]) -> Answer | None:
        """An answer, if there was one; after none, or a refusal for now, a short rest."""
        try:
            answer = ask()
        except OSError:
            answer = None
        if answer is None or answer.status >= 500:
            time.sleep(AGAIN_SECONDS)
        return answer

    def _insist(self, ask: Callable[[], Answer | None]) -> Answer | None:
        """The first answer that is more than "not now", asked for again and again."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            answer = self._tried(ask)
            if answer and answer.status < 500:
                return answer
        return None


def _as_answer(ids: list[str] | None) -> Answer | None:
    return None if ids is None else Answer(200, {}, ids)


__all__ = ["PRODUCTS", "SCARCE", "Completed", "Crowd"]
