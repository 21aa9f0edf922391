"""The words by which a product is found: the same for what is written and for what is asked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

LONGEST_WORD: Final = 64
_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
"""Accents and the like, once they stand apart from their letters."""
_BETWEEN = re.compile(
    "[\x00-/:-@\\[-`{-\u00bf\u00d7\u00f7\u2000-\u2bff\u2e00-\u2e7f\u3000-\u303f\ufe00-\ufe6f\ufeff\uff00-\uffff"
    "\U0001f000-\U0001ffff]+"
)
"""Whatever is no part of a word. Spelled out, so that a database can be told the same: it knows other letters."""
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ı": "i", "ς": "σ"}
)
"""Letters that no accent turns into what people type instead."""


def words(text: str) -> list[str]:
    """The words of a text, in order: small letters without accents, and digits; long ones cut."""
    if not text.isascii():
        text = _MARKS.sub("", unicodedata.normalize("NFKD", text))
        text = text.lower().translate(_LETTERS)
    return [word[:LONGEST_WORD] for word in _BETWEEN.sub(" ", text.lower()).split(" ") if word]


def product_words(sku: str, name: str, description: str) -> str:
    """All words of a product, each with a space on either side."""
    return f" {' '.join(words(f'{sku} {name} {description}'))} "


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for: products with all of the words, one of them beginning with `beginning`."""

    whole: Sequence[str]
    beginning: str
    """The last word: whoever types it may not have finished."""

    @classmethod
    def of(cls, text: str) -> Self | None:
        """None: there is no word in it, so that nothing can be found."""
        found = words(text)
        return cls(tuple(dict.fromkeys(found[:-1])), found[-1]) if found else None


def possible_skus(text: str) -> frozenset[str]:
    """The spellings under which a text may be an article's number; none for what has no digit, a word like others."""
    text = text.strip()
    return frozenset((text, text.upper(), text.lower())) if any(map(str.isdigit, text)) else frozenset()
