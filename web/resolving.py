"""What stands for a person, for the admin API and the command line alike."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from carts.inbox import Settled
from db import resolving
from db.fulfilment import Act
from db.payments import KEY_MS, Ended
from db.resolving import Unresolved
from shop.errors import Fault, Unavailable, ValidationFailed
from web.services import Services

Outcome = Literal["charged", "not_charged", "refunded", "not_refunded"]


def unresolved(services: Services, most: int) -> tuple[list[Unresolved], bool]:
    """Up to `most` payments that stand for a person, and whether there are more."""
    with services.database.reading() as session:
        found = resolving.unresolved(session, services.now(), most + 1)
    return found[:most], len(found) > most


def retry(services: Services, key: str, actor: str) -> str:
    """Have a payment's provider asked once more; answers the order's id.

    Raises PaymentNotFound or ImpossibleTransition.
    """
    with services.database.writing() as session:
        found = resolving.lock(session, key)
        resolving.retry(session, found, Act(actor, services.now()), _key_ms(services, found))
    services.payments_bell.ring()
    return found.order.id


def resolve(services: Services, key: str, outcome: Outcome, provider_id: str | None, actor: str) -> str:
    """Let a person say what they saw at the provider; answers the order's id.

    Raises PaymentNotFound, ImpossibleTransition or ValidationFailed.
    """
    with services.database.writing() as session:
        found = resolving.lock(session, key)
        happened = _happened(found.row.kind, outcome, provider_id)
        act = Act(actor, services.now())
        times = _key_ms(services, found), services.rules.payment.action_minutes * 60_000
        ended = resolving.resolve(session, found, happened, provider_id, act, times)
    _tell(services, ended)
    return found.order.id


def _happened(kind: str, outcome: Outcome, provider_id: str | None) -> bool:
    """Raise ValidationFailed for an outcome that this kind of operation cannot have, or one without its id."""
    possible = ("refunded", "not_refunded") if kind == "refund" else ("charged", "not_charged")
    if outcome not in possible:
        raise _wrong("/outcome", f"of a {kind} say {' or '.join(possible)}")
    happened = outcome == possible[0]
    if happened and provider_id is None:
        raise _wrong("/provider_id", f"say what the provider calls what was {outcome}")
    return happened


def _wrong(pointer: str, message: str) -> ValidationFailed:
    return ValidationFailed(f"field {pointer}: {message}", [Fault("validation_failed", message, pointer)])


def _key_ms(services: Services, found: Unresolved) -> int:
    provider = services.providers.get(found.row.provider)
    return provider.key_seconds * 1000 if provider else KEY_MS


def _tell(services: Services, ended: list[Ended]) -> None:
    """After the commit; what a store that is away misses of it, the worker tells it later."""
    services.catalogue.forget([product_id for end in ended for product_id in end.product_ids])
    services.payments_bell.ring()
    if ended:
        with suppress(Unavailable):
            services.inbox.settled([Settled(end.order_id, end.session_id, end.status) for end in ended])
