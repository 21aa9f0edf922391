"""Descriptions that merchants wrote as HTML: what is safe to show, and what they say in plain text."""

from __future__ import annotations

import html
import re

import nh3

_BLOCK = r"(?:p|div|li|ul|ol|h[1-6]|table|thead|tbody|tr|blockquote|pre|dd|dt|dl|figure|figcaption|hr|br)"
_BREAKS = re.compile(rf"</?{_BLOCK}\b[^>]*>")
_CELLS = re.compile(r"</t[dh]>")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What no text of a product may hold; HTML can spell it as `&#127;`."""

_FIRST_LINES = re.compile(r"(<pre\b[^>]*>)\n+")
"""Reading drops the first line break of `<pre>`, writing does not bring it back."""


def sanitize(source: str) -> str:
    """HTML without anything that could run, load or restyle; doing it twice changes nothing (nh3's defaults)."""
    clean = nh3.clean(source).strip()
    if _UNPRINTABLE.search(clean):
        # Taken out, and looked at again: what stood around it may mean something else together.
        clean = nh3.clean(_UNPRINTABLE.sub("", clean)).strip()
    return _FIRST_LINES.sub(r"\1", clean)


def plain_text(source: str) -> str:
    """What sanitized HTML says, without its markup: a line for each paragraph or list item."""
    marked = _CELLS.sub(" ", _BREAKS.sub("\n", source))
    text = html.unescape(nh3.clean(marked, tags=set()))
    return _UNPRINTABLE.sub("", _BLANK_LINES.sub("\n", _SPACES.sub(" ", text))).strip()
