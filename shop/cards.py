"""Telling card numbers from other texts, so that none is ever taken in (PCI DSS: what is not stored cannot leak)."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"(?<![0-9])[0-9](?:[ -]?[0-9]){13,18}(?![0-9])")
SHORTEST, SHORTEST_IN_PHONES = 14, 16
"""Digits. A telephone number has up to 15 (ITU-T E.164), and one in ten of those would pass the check."""


def holds_card_number(text: str, shortest: int = SHORTEST) -> bool:
    """Whether a text contains what looks like a card number: its length, a known first digit, the Luhn check
    (ISO/IEC 7812-1)."""
    for match in _DIGITS.finditer(text):
        number = re.sub("[ -]", "", match[0])
        if len(number) >= shortest and number[0] in "23456" and _luhn(number):
            return True
    return False


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
