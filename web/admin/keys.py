"""API keys: `oc_<id>_<secret>`. The id finds the row, the secret's hash proves the key."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

SCOPES = ("catalogue", "stock", "orders", "webhooks")
ALL_SCOPES = frozenset(SCOPES)
FROM_SETTINGS = "ADMIN_API_KEY"
"""What the key of the settings is called where it says who did something."""
_FORM = re.compile(r"oc_([a-z2-7]{8})_([0-9a-f]{48})")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only moment at which its text is known."""

    id: str
    text: str
    hash: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request to the admin API comes from, and what they may do."""

    name: str
    scopes: frozenset[str]


def make() -> NewKey:
    key_id = "".join(secrets.choice(_LETTERS) for _ in range(8))
    secret = secrets.token_hex(24)
    return NewKey(key_id, f"oc_{key_id}_{secret}", hash_of(secret))


def take_apart(text: str) -> tuple[str, str] | None:
    """A key's id and secret; None for what cannot be a key of ours."""
    match = _FORM.fullmatch(text)
    return (match[1], match[2]) if match else None


def hash_of(secret: str) -> str:
    """SHA-256, as hex. The secret has 192 random bits: to slow a guesser down would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(given: str, known: str) -> bool:
    """Compare in a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode(), known.encode())
