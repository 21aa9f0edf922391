"""Versions of what the merchant edits, as ETags: nobody overwrites what they have not seen.

An admin ETag names the version that was edited, `updated_at`; a sale in between does not change it. So it
is no validator for caches, and these answers are never stored.
"""

from __future__ import annotations

from flask import request

from shop.errors import ChangedMeanwhile, PreconditionRequired


def etag(updated_at: int) -> dict[str, str]:
    """The headers of an answer that shows this version."""
    return {"ETag": f'"{updated_at}"'}


def require_match(updated_at: int) -> None:
    """Raise PreconditionRequired without an If-Match header, ChangedMeanwhile when it names another version."""
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send the ETag of what you have read as If-Match.")
    check_match(updated_at)


def check_match(updated_at: int) -> None:
    """Raise ChangedMeanwhile when an If-Match header names another version."""
    if "If-Match" in request.headers and str(updated_at) not in request.if_match:
        raise ChangedMeanwhile("It was changed since you read it.")


def next_version(now: int, updated_at: int) -> int:
    """The `updated_at` of a change made at `now`: later than the one before, whatever the clock says."""
    return max(now, updated_at + 1)
