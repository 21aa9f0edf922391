"""Descriptions that merchants wrote as HTML: what is safe to show, and what they say in plain text."""

from __future__ import annotations

import html
import re

import nh3

_BREAKS = re.compile(r"<br>|</(?:p|div|li|ul|ol|h[1-6]|tr|table|blockquote|pre|dd|dt|dl|figure|hr)>")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r"\s*\n\s*")


def sanitize(source: str) -> str:
    """HTML without anything that could run, load or restyle; doing it twice changes nothing (nh3's defaults)."""
    return nh3.clean(source).strip()


def plain_text(source: str) -> str:
    """What HTML says, without its markup: a line for each paragraph or list item."""
    marked = _BREAKS.sub(lambda found: found[0] + "\n", nh3.clean(source))
    text = html.unescape(nh3.clean(marked, tags=set()))
    return _BLANK_LINES.sub("\n", _SPACES.sub(" ", text)).strip()
