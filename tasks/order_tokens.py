"""The token of a confirmation mail: whoever has it may read that one order, and do nothing with it."""

from __future__ import annotations

from datetime import timedelta

from itsdangerous import BadData, TimestampSigner

LIFETIME = timedelta(days=90)


class OrderTokens:
    """Signs order ids; the last secret signs, the earlier ones are still believed."""

    def __init__(self, secrets_oldest_first: list[str], lifetime: timedelta = LIFETIME) -> None:
        self._lifetime = lifetime
        self._signer = TimestampSigner(secrets_oldest_first, salt="oncecart.order", sep=".")

    def make(self, order_id: str) -> str:
        """A token without the order's id in it: that stands beside it in the address."""
        return self._signer.sign(order_id).decode().removeprefix(f"{order_id}.")

    def opens(self, token: str, order_id: str) -> bool:
        """Whether a token is for this order, and not too old."""
        signed = f"{order_id}.{token}".encode(errors="replace")
        try:
            found: bytes = self._signer.unsign(signed, max_age=int(self._lifetime.total_seconds()))
        except (BadData, ValueError, OverflowError):
            return False
        return found == order_id.encode()
