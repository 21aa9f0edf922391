"""The payment port: what a provider can do, and what it may answer, as values.

A provider is asked over a network, so the honest answer is often that nobody knows. `Unknown` is never
treated as a refusal: the same call is repeated with the same key, or the payment is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

DECLINES: dict[str, str] = {
    "card_declined": "The bank declined the payment. Ask your bank, or use another means of payment.",
    "insufficient_funds": "There is not enough money on the account. Use another means of payment.",
    "expired_card": "The card has expired. Use another card.",
    "incorrect_data": "The details of the card are not right. Enter them again.",
    "authentication_failed": "You were not authenticated. Try again, or use another means of payment.",
    "limit_exceeded": "The payment exceeds a limit of the account. Ask your bank, or use another means of payment.",
    "not_supported": "This kind of payment is not possible here. Use another means of payment.",
    "processing_error": "The bank could not process the payment. Nothing was charged; try again.",
}
"""Why a payment was declined, and what the shopper can do about it. Suspected fraud is `card_declined`: to say
more would help the thief."""


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """Money asked for. `token` stands for the means of payment; card numbers never reach the shop."""

    order_id: str
    """Our reference: the provider keeps it with the payment, so that it can be looked up without an id of theirs."""
    key: str
    """The idempotency key, stored before the first call; a repeated call has the same one, always."""
    amount_minor: int
    currency: str
    token: str
    email: str
    return_url: str
    """Where the provider sends the shopper after an action."""
    capture: bool = False
    """Take the money at once; otherwise only reserve it until `capture`."""


@dataclass(frozen=True, slots=True)
class Approved:
    """The money is reserved, or taken (`captured`). What was approved is told, not assumed."""

    provider_id: str
    amount_minor: int
    currency: str
    captured: bool


@dataclass(frozen=True, slots=True)
class Declined:
    """Definitely no money: nothing is reserved and nothing will be. `reason` is one of DECLINES."""

    reason: str
    provider_id: str | None = None


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The shopper must do something at `url` (3-D Secure, a wallet, a bank) before the provider can say."""

    provider_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Voided:
    """A payment that was given up at the provider: nothing is reserved any more, nothing was taken."""

    provider_id: str


@dataclass(frozen=True, slots=True)
class Absent:
    """A look-up found no payment with our reference."""


@dataclass(frozen=True, slots=True)
class Done:
    """A capture, void or refund happened, now or at an earlier call with the same key."""

    provider_id: str
    """The provider's id of what happened: of the refund, or of the payment."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A capture, void or refund that will not happen however often it is asked for, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened or not: a time-out, a lost connection, a server error."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unreachable:
    """It has certainly not happened: no connection, a limit of calls, wrong credentials."""

    detail: str


NoAnswer = Unknown | Unreachable
State = Approved | Declined | ActionRequired | Voided
"""What a payment is at its provider."""


class Provider(Protocol):
    """A payment provider. Thread-safe; no method raises for anything the network or the provider does.

    Every method returns within the provider's time-out, a few seconds. All of them may be called again with
    the same arguments at any time, from any process, and then have no further effect.
    """

    @property
    def name(self) -> str:
        """As `shop.toml` calls it."""

    @property
    def key_seconds(self) -> int:
        """How long a repeated key is answered with what its first call did."""

    def authorize(self, request: PaymentRequest) -> State | NoAnswer: ...

    def look_up(self, order_id: str, provider_id: str | None) -> State | Absent | NoAnswer:
        """The payment of an order as it stands, found by the provider's id where we know it, else by ours."""

    def capture(self, provider_id: str, amount_minor: int, currency: str, key: str) -> Done | Refused | NoAnswer:
        """Take what was reserved."""

    def void(self, provider_id: str, key: str) -> Done | Refused | NoAnswer:
        """Give up a payment of which nothing was taken. Refused when the money was taken already."""

    def refund(self, provider_id: str, amount_minor: int, currency: str, key: str) -> Done | Refused | NoAnswer:
        """Give back some or all of what was taken."""


@dataclass(frozen=True, slots=True)
class Called:
    """What a provider's webhook tells us: that something happened to this payment. We look it up, we do not believe."""

    order_id: str | None
    provider_id: str | None
    event_id: str


class BadSignature(ValueError):
    """A webhook that was not signed with our secret, or too long ago."""


@runtime_checkable
class Webhooks(Protocol):
    """A provider that calls us."""

    def read(self, body: bytes, headers: dict[str, str], now_seconds: float) -> Called | None:
        """What a call says; None when it is about nothing of ours. Raises BadSignature."""
