"""The signature of Stripe's webhooks, by the scheme of https://docs.stripe.com/webhooks#verify-manually.

Not by the library: it reads the clock itself, and the shop's is handed in.
"""

from __future__ import annotations

import hashlib
import hmac

from shop.payments import BadSignature

TOLERANCE_SECONDS = 300


def check_signature(body: bytes, header: str, secret: str, now_seconds: float) -> None:
    """Raises BadSignature unless one of the header's signatures is ours and not older than the tolerance.

    There are several while a secret is being replaced: one for the old, one for the new.
    """
    fields = [field.strip().partition("=")[::2] for field in header.split(",")]
    signed_at = next((value for name, value in fields if name == "t"), "")
    if not (signed_at.isascii() and signed_at.isdigit() and len(signed_at) <= 12):
        raise BadSignature("the signature has no time")
    expected = hmac.new(secret.encode(), signed_at.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    given = [value.encode() for name, value in fields if name == "v1"]
    # All of them, so that the time taken does not tell which one it was.
    if not sum(hmac.compare_digest(expected, signature) for signature in given):
        raise BadSignature("no signature is ours")
    if now_seconds - int(signed_at) > TOLERANCE_SECONDS:
        raise BadSignature("signed too long ago")
