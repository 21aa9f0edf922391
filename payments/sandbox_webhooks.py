"""The sandbox's webhooks, signed as Standard Webhooks has it: https://www.standardwebhooks.com."""

from __future__ import annotations

import hmac
import json
import re
import secrets

from shop.payments import BadSignature, Called
from shop.webhooks import as_secret, secret_bytes, signature

TOLERANCE_SECONDS = 5 * 60
EVENT_TYPE = "payment.updated"
_SECONDS = re.compile("[0-9]{1,12}")


def new_secret() -> str:
    return as_secret(secrets.token_bytes(32))


def signed(key: bytes, event_id: str, now_seconds: int, data: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a call about a payment."""
    timestamp = str(now_seconds)
    body = json.dumps({"type": EVENT_TYPE, "data": data}, separators=(",", ":")).encode()
    return body, {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(key, event_id, timestamp, body),
    }


class SandboxWebhooks:
    """Reads what the sandbox signed. Several signatures in one header are allowed: a secret may be on its way out."""

    def __init__(self, secret: str, tolerance_seconds: int = TOLERANCE_SECONDS) -> None:
        self._key = secret_bytes(secret)
        self._tolerance_seconds = tolerance_seconds

    def read(self, body: bytes, headers: dict[str, str], now_seconds: float) -> Called | None:
        """What a call says; None when it is about no payment. Raises BadSignature."""
        lower = {name.lower(): value for name, value in headers.items()}
        event_id, timestamp, given = (lower.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature"))
        expected = signature(self._key, event_id, timestamp, body).encode()
        if not any(hmac.compare_digest(expected, each.encode()) for each in given.split()):
            raise BadSignature("The call is not signed with our secret.")
        if not _SECONDS.fullmatch(timestamp) or abs(now_seconds - int(timestamp)) > self._tolerance_seconds:
            raise BadSignature("The call was signed too long ago, or a clock is wrong.")
        return _called(body, event_id)


def _called(body: bytes, event_id: str) -> Called | None:
    """Of a body with a good signature: ours, so JSON."""
    event = json.loads(body)
    if event.get("type") != EVENT_TYPE:
        return None
    return Called(event["data"]["order_id"], event["data"]["provider_id"], event_id)
