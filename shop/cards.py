"""Telling card numbers from other texts, so that none is ever taken in (PCI DSS: what is not stored cannot leak)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_RUN = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
LONGEST = 19
SHORTEST, SHORTEST_IN_PHONES = 14, 16
"""Digits. A telephone number has up to 15 (ITU-T E.164), and one in ten of those would pass the check."""


def holds_card_number(text: str, shortest: int = SHORTEST) -> bool:
    """Whether a text contains what looks like a card number: its length, a known first digit, the Luhn check
    (ISO/IEC 7812-1)."""
    return any(
        len(number) >= shortest and number[0] in "23456" and _luhn(number)
        for run in _RUN.finditer(text)
        for number in _stretches(re.split("[ -]", run[0]))
    )


def _stretches(groups: list[str]) -> Iterator[str]:
    """Every number that whole groups beside each other make: a card's may stand between a date and a house's."""
    for first in range(len(groups)):
        number = ""
        for group in groups[first:]:
            number += group
            if len(number) > LONGEST:
                break
            yield number


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
