"""Exact money: whole minor units of one currency, never a float.

Rounding is half up ("kaufmännisch": 0.5 rises), once per line. Splits use the largest
remainder (Hamilton's method), so that parts always add up to the whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# ISO 4217: the currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF"), 0),
    **dict.fromkeys(("UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
_AMOUNT = re.compile(r"(0|[1-9][0-9]{0,12})(?:\.([0-9]{1,3}))?")

MAX_MINOR = 10**11
"""The largest amount of a price or a rule, so that no total can leave a 64-bit integer."""


def exponent(currency: str) -> int:
    """Digits behind the decimal point of an ISO 4217 currency: 2 for USD, 0 for JPY, 3 for KWD."""
    return _EXPONENTS.get(currency, 2)


def parse_amount(text: str, digits: int) -> int:
    """Minor units of a plain decimal amount such as "19.99"; `digits` is the currency's exponent.

    Raises ValueError for signs, exponents, spaces, leading zeros or more digits than the currency has.
    """
    match = _AMOUNT.fullmatch(text)
    if not match or len(match[2] or "") > digits:
        raise ValueError(f"{text[:40]!r} is not an amount with at most {digits} decimal digits")
    minor: int = int(match[1]) * 10**digits + int((match[2] or "").ljust(digits, "0") or 0)
    if minor > MAX_MINOR:
        raise ValueError(f"{text[:40]} is more than we can count")
    return minor


def format_amount(minor: int, digits: int) -> str:
    """The exact decimal string of an amount: (1999, 2) -> "19.99", (1999, 0) -> "1999"."""
    if not digits:
        return str(minor)
    whole, part = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{digits}d}"


def round_half_up(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest whole number, halves up; neither may be negative."""
    return (2 * numerator + denominator) // (2 * denominator)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights`: shares that add up to it exactly.

    Floors first, then one unit each to the largest remainders, earlier ones first among equals
    (Hamilton's method). Weights that are all zero share evenly. Raises ValueError on a negative
    input or without weights.
    """
    if total < 0 or not weights or min(weights) < 0:
        raise ValueError("split needs a total and weights that are not negative")
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    shares, remainders = map(list, zip(*(divmod(total * weight, whole) for weight in weights), strict=True))
    by_remainder = sorted(range(len(weights)), key=lambda i: remainders[i], reverse=True)
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
