"""Waiting for an order to change: one subscription a process, however many wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import structlog
from redis import Redis
from redis.exceptions import RedisError

from carts import keys
from carts.connection import answers

log = structlog.get_logger()


class Outcomes:
    """Wakes threads that wait for an order. Its own thread starts with the first of them."""

    def __init__(self, redis: Redis, most_waiters: int) -> None:
        self._redis = answers(redis)
        self._most = most_waiters
        self._lock = threading.Lock()
        self._waiters: dict[str, set[threading.Event]] = {}
        self._count = 0
        self._listening = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def waiter(self, order_id: str) -> Iterator[threading.Event | None]:
        """An event that is set when the order's state changes; None when too many wait already.

        Enter before reading the order, so that no change can fall between the read and the wait.
        """
        event = threading.Event()
        with self._lock:
            room = self._count < self._most
            if room:
                self._count += 1
                self._waiters.setdefault(order_id, set()).add(event)
        if not room:
            yield None
            return
        try:
            self._listen()
            yield event
        finally:
            with self._lock:
                self._count -= 1
                self._waiters[order_id].discard(event)
                if not self._waiters[order_id]:
                    del self._waiters[order_id]

    def _listen(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="outcomes", daemon=True)
                self._thread.start()
        self._listening.wait(timeout=1.0)

    def _run(self) -> None:
        while True:
            try:
                with suppress(RedisError), self._redis.pubsub() as channel:
                    self._follow(channel)
            except Exception:  # Whatever happened, the next waiter counts on this thread.
                log.exception("outcomes.threw")
            self._listening.clear()
            threading.Event().wait(0.2)

    def _follow(self, channel: Any) -> NoReturn:
        channel.subscribe(keys.outcomes())
        while True:
            message = channel.get_message(timeout=1.0)
            if message is None:
                continue
            if message["type"] == "subscribe":
                # Whatever was published while we were away is lost: let everyone look.
                self._wake(None)
                self._listening.set()
            else:
                for order_id in message["data"].split():
                    self._wake(order_id)

    def _wake(self, order_id: str | None) -> None:
        with self._lock:
            if order_id is None:
                events = [event for waiting in self._waiters.values() for event in waiting]
            else:
                events = list(self._waiters.get(order_id, ()))
        for event in events:
            event.set()
