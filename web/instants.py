"""Instants as people and programs write them, in milliseconds since the epoch: a date is that whole day in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_DAY_MS = 24 * 3600 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
FORMS = "a date (2026-11-22, that day in UTC) or an instant with its offset (2026-11-22T21:30:00Z)"


def from_instant(text: object) -> int:
    """The first ms that is meant: a date's first, or the instant itself. Raises ValueError."""
    return _read(text, 0)


def below_instant(text: object) -> int:
    """The first ms after what is meant: after a date's last, or the instant itself. Raises ValueError."""
    return _read(text, _DAY_MS)


def _read(text: object, day_ms: int) -> int:
    # Of a JSON body it may be anything.
    if not isinstance(text, str) or not (_DATE.fullmatch(text) or _INSTANT.fullmatch(text)):
        raise ValueError(f"write {FORMS}")
    try:
        read = datetime.fromisoformat(text)
        at = read if read.tzinfo else read.replace(tzinfo=UTC)
        # Rounded up: no whole ms lies between.
        ms = -((_EPOCH - at) // timedelta(milliseconds=1))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no such time; write {FORMS}") from error
    return ms if read.tzinfo else ms + day_ms
