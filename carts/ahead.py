"""Commands sent ahead: the server works on them while we do something else, and we read the answers later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from redis import Redis
from redis.exceptions import ResponseError

from carts.connection import answers, redis_errors


class Ahead:
    """Some commands on a connection of their own, sent at once; leave the block or read the answers to return it.

    Not re-sent when the connection breaks: use it only for what may be left undone.
    """

    def __init__(self, redis: Redis, commands: Sequence[Sequence[Any]]) -> None:
        self._pool: Any = answers(redis).connection_pool
        self._count = len(commands)
        with redis_errors():
            self._connection = self._pool.get_connection()
            try:
                self._connection.send_packed_command(self._connection.pack_commands(commands))
            except BaseException:
                self._hang_up()
                raise

    def read(self) -> list[Any]:
        """The answers, in order; an error of the server's is raised once all are read. May raise Unavailable."""
        found: list[Any] = []
        errors: list[Exception] = []
        with redis_errors():
            for _ in range(self._count):
                try:
                    found.append(self._connection.read_response())
                except ResponseError as error:
                    errors.append(error)
            self._pool.release(self._connection)
            self._connection = None
            if errors:
                raise errors[0]
        return found

    def _hang_up(self) -> None:
        """Give the connection back without its answers."""
        if self._connection is not None:
            self._connection.disconnect()
            self._pool.release(self._connection)
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()
