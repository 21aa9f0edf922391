"""How often somebody may ask: a limit, and the window of time it counts in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LIMIT = re.compile(r"([1-9][0-9]{0,8}) ?/ ?(second|minute|hour|day)")


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in a window of so many seconds."""

    quota: int
    seconds: int

    def times(self, factor: int) -> Limit:
        return Limit(self.quota * factor, self.seconds)


def parse_limit(text: str) -> Limit | None:
    """`30/minute` as a limit, `off` as none. Raises ValueError."""
    if text == "off":
        return None
    match = _LIMIT.fullmatch(text)
    if not match:
        raise ValueError(f"write a number and second, minute, hour or day, such as 30/minute, or off; not {text!r}")
    return Limit(int(match[1]), SECONDS[match[2]])


def window(key: str, seconds: int, now: int) -> tuple[int, int]:
    """A key's window at an instant: its number, and when it ends (ms).

    Windows follow each other without a gap, each key's shifted by an amount of its own, so that
    those who were refused do not all come back in the same second.
    """
    length = seconds * 1000
    shift = crc32(key.encode()) % length
    number = (now + shift) // length
    return number, (number + 1) * length - shift


def step(quota: int) -> int:
    """After how many requests a process tells the others: so far each may be beside the truth."""
    return max(1, quota // 10)
