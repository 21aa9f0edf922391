"""Cursors: where a page ended, opaque and signed, so that nobody can make us seek nonsense."""

from __future__ import annotations

from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from shop.errors import Fault, InvalidParameter


class Cursors:
    def __init__(self, secrets_oldest_first: list[str]) -> None:
        self._serializer = URLSafeSerializer(secrets_oldest_first, salt="oncecart.cursor")

    def write(self, kind: str, *place: Any) -> str:
        """A cursor for one kind of list (its sort belongs to the kind) and one place in it."""
        text = self._serializer.dumps([kind, *place])
        return text if isinstance(text, str) else text.decode()

    def read(self, cursor: str, kind: str) -> tuple[Any, ...]:
        """The place of a cursor. Raises InvalidParameter for a forged one or one of another list."""
        try:
            found, *place = self._serializer.loads(cursor)
        except (BadData, ValueError, TypeError) as error:
            raise _unusable("this is no cursor of ours") from error
        if found != kind:
            raise _unusable("this cursor belongs to another list or sort")
        return tuple(place)


def _unusable(message: str) -> InvalidParameter:
    return InvalidParameter(f"cursor: {message}", [Fault("invalid_parameter", message, parameter="cursor")])
