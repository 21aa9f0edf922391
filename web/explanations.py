"""Each problem explained: why it happens, and an answer as an example. Read when somebody looks, not at the start."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from shop.errors import CODES

EXAMPLE_REQUEST_ID = "req_0199f3a05c1d70008000c2f6d1b7a110"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say of a code beside shop.errors.CODES."""

    status: int
    why: str
    detail: str
    errors: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    retry_after: int | None = None
    at: list[str] = field(default_factory=list)
    """Operations that answer it, as `POST /api/checkout`, beside those that all problems of its kind go to."""


@cache
def explanations() -> dict[str, Explanation]:
    text = Path(__file__).with_name("explanations.toml").read_text(encoding="utf-8")
    return {code: Explanation(**told) for code, told in tomllib.loads(text).items()}


def example(code: str) -> dict[str, Any]:
    """A whole problem document of a code."""
    known, told = CODES[code], explanations()[code]
    body = {
        "type": f"/problems/{code}",
        "title": known.title,
        "status": told.status,
        "detail": told.detail,
        "code": code,
        "retryable": known.retryable,
        "request_id": EXAMPLE_REQUEST_ID,
        **told.extra,
    }
    return body | ({"errors": told.errors} if told.errors else {})
