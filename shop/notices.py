"""What is told to whom when something has become of an order, and how often it is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

EVENTS: Final = {
    "order.confirmed": "An order stands: its stock is taken, and its payment approved where a provider is asked.",
    "order.failed": "A checkout came to nothing; `failure` says why.",
    "order.requires_action": "The shopper has to confirm the payment at the bank.",
    "order.cancelled": "An order was cancelled, by the shopper or by the merchant.",
    "order.shipped": "A shipment left; one event for each.",
    "order.delivered": "All of an order has arrived.",
    "order.returned": "An order came back as a whole.",
    "order.refunded": "Money was given back; one event for each refund.",
}
TEST: Final = "webhook.test"
"""What an endpoint is sent when the merchant asks for it; it is about no order."""
_MAILED: Final = frozenset({"order.confirmed", "order.cancelled", "order.shipped", "order.refunded"})
MAIL: Final = "mail"
"""The target of what goes to the shopper; any other is the id of an endpoint."""

_SECOND, _MINUTE, _HOUR = 1_000, 60_000, 3_600_000
DELAYS_MS: Final = (5 * _SECOND, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 8 * _HOUR, 8 * _HOUR)
"""After each try that failed, how long until the next: as Standard Webhooks recommends, over a day."""
MOST_TRIES: Final = len(DELAYS_MS) + 1
JITTER: Final = 0.05
LONGEST_RETRY_AFTER_MS: Final = 8 * _HOUR
"""Whoever asks for more time than this is asked before."""
HOPELESS_AFTER_MS: Final = 5 * 24 * _HOUR
"""An endpoint that has refused everything for so long is switched off."""
OLD_SECRET_MS: Final = 24 * _HOUR
"""So long after a rotation every message is signed with the old secret too."""


class News(NamedTuple):
    """Something that has become of an order."""

    order_id: str
    event: str
    number: int = 0
    """Of the shipment or the refund, for an event that an order can have more than once."""
    away: bool = False
    """Whether the shopper may have left meanwhile, so that a failure is worth a mail."""

    @property
    def is_mailed(self) -> bool:
        return self.event in _MAILED or (self.event == "order.failed" and self.away)

    def id_for(self, target: str) -> str:
        """What a notice of it is called, and stays called however often it is sent: there cannot be two of one."""
        number = f"-{self.number}" if self.number else ""
        return f"{self.order_id}_{self.event.removeprefix('order.')}{number}_{target}"


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint of the merchant's, and what it wants to hear."""

    id: str
    events: Sequence[str] | None = None
    """None: everything."""

    def hears(self, event: str) -> bool:
        return self.events is None or event in self.events


def again_in_ms(tries: int, chance: float, retry_after_ms: int | None = None) -> int | None:
    """How long to wait after so many tries that failed; None: not again.

    `chance` is a random number from 0 to 1, so that what failed together does not come back together.
    """
    if tries > len(DELAYS_MS):
        return None
    asked_ms = min(retry_after_ms or 0, LONGEST_RETRY_AFTER_MS)
    return max(int(DELAYS_MS[tries - 1] * (1 + JITTER * chance)), asked_ms)


def is_hopeless(failing_since: int | None, now: int) -> bool:
    return failing_since is not None and now - failing_since >= HOPELESS_AFTER_MS


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of telling somebody once."""

    sent: bool
    code: int | None
    """The status of HTTP, or of SMTP; None: nobody answered."""
    text: str
    final: bool = False
    """Whether it would be the same tomorrow."""
    gone: bool = False
    """Whether the endpoint never wants anything again."""
    retry_after_ms: int | None = None


def printable(text: str) -> str:
    """What was answered, in one line, and of characters that every database takes."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
