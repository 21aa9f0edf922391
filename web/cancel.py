"""A shopper cancels their order, until any of it is shipped."""

from __future__ import annotations

from contextlib import suppress

from carts.inbox import Settled
from db import fulfilment, orders
from db.fulfilment import Act
from shop.errors import OrderNotFound, Unavailable
from shop.orders import OPEN
from tasks.failpoints import failpoint
from web.follow import follow, read_order
from web.services import Services
from web.views import Document

SETTLING_SECONDS = 5
"""An order that was accepted a moment ago is settled in milliseconds; so long we wait for that."""


def cancel(services: Services, order_id: str, session_id: str, reason: str | None) -> Document:
    """The order, cancelled; one that was cancelled already stays as it is.

    Raises OrderNotFound, ImpossibleTransition once it is shipped or failed, Unavailable while it is not settled.
    """
    if not _cancelled(services, order_id, session_id, reason):
        follow(services, order_id, session_id, SETTLING_SECONDS)
        if not _cancelled(services, order_id, session_id, reason):
            raise Unavailable("The order is still being settled; try again in a moment.")
    return read_order(services, order_id, session_id)


def _cancelled(services: Services, order_id: str, session_id: str, reason: str | None) -> bool:
    """Cancel an order that is in SQL; False for one that is still waiting to be settled."""
    with services.database.writing() as session:
        found = orders.get(session, order_id, session_id)
        if found is not None:
            order = fulfilment.lock(session, order_id)
            if order.status == "cancelled":
                return True
            was_open, now = order.status in OPEN, services.now()
            order.updated_at = max(now, order.updated_at + 1)
            products = fulfilment.cancel(session, order, True, reason, Act(None, now))
            failpoint("cancel.writing")
    failpoint("cancel.committed")
    if found is None:
        if services.inbox.find(order_id, session_id) is None:
            raise OrderNotFound("There is no such order, or it was placed in another session.")
        return False
    told_of_cancel(services, order_id, session_id, was_open, products)
    return True


def told_of_cancel(services: Services, order_id: str, session_id: str, was_open: bool, product_ids: list[str]) -> None:
    """After the commit: the cart back to who had not paid yet, the worker to the money, the stock to all eyes.

    What a store that is away misses of it, the worker tells it later.
    """
    failpoint("cancel.telling")
    services.catalogue.forget(product_ids)
    failpoint("cancel.forgotten")
    services.payments_bell.ring()
    failpoint("cancel.rung")
    if was_open:
        with suppress(Unavailable):
            services.inbox.settled([Settled(order_id, session_id, "cancelled")])
        failpoint("cancel.told")
