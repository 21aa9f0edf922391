"""What payment providers and returning shoppers tell us: only that something happened. We look, we do not believe.

The sandbox provider's own pages are here too; a shop that does not use it has none.
"""

from __future__ import annotations

from contextlib import suppress

import structlog
from flask import Blueprint as FlaskBlueprint
from flask import Response, redirect, render_template, request
from werkzeug.exceptions import NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Response as WerkzeugResponse

from db import payments
from payments.sandbox import Sandbox
from shop.errors import SignatureInvalid, Unavailable
from shop.money import exponent, format_amount
from shop.payments import BadSignature
from tasks.failpoints import failpoint
from web.api import Blueprint, Tag
from web.schemas import OrderPath, ProviderPath
from web.services import Services, services

MOST_WEBHOOK_BYTES = 512 * 1024

log = structlog.get_logger()

calls = Blueprint("payments", __name__, abp_tags=[Tag(name="payments", description="For payment providers.")])
pages = FlaskBlueprint("sandbox", __name__, url_prefix="/sandbox")


@calls.post("/api/payments/<provider>/webhook", responses={204: None})
def receive_webhook(path: ProviderPath) -> tuple[str, int]:
    """Take a provider's webhook. It must be signed; the payment it names is looked up, whatever it says of it."""
    at = services()
    reader = at.webhooks.get(path.provider)
    if reader is None:
        raise NotFound("There is no such payment provider.")
    request.max_content_length = MOST_WEBHOOK_BYTES + 1
    body = request.get_data()
    if len(body) > MOST_WEBHOOK_BYTES:
        raise RequestEntityTooLarge
    try:
        called = reader.read(body, dict(request.headers), at.now() / 1000)
    except BadSignature as error:
        raise SignatureInvalid("This webhook is not signed with our secret, or too long ago.") from error
    if called is not None:
        poked = _look_soon(at, path.provider, called.provider_id, called.order_id)
        log.info("payment.webhook", provider=path.provider, event_id=called.event_id, concerned=poked)
    return "", 204


@calls.get("/api/payments/return/<order_id>", responses={303: None})
def return_from_provider(path: OrderPath) -> WerkzeugResponse:
    """Where a provider sends the shopper back to: the payment is looked up, the shopper goes on to the order."""
    at = services()
    with suppress(Unavailable):  # Only a hint: the worker looks by itself, a little later.
        for provider in at.providers:
            _look_soon(at, provider, None, path.order_id)
    return redirect(at.order_url.replace("{id}", path.order_id), 303)


def _look_soon(at: Services, provider: str, provider_id: str | None, order_id: str | None) -> int:
    with at.database.reading() as session:  # Anybody may ask: the write lock is only for what is there.
        if not payments.can_be_poked(session, provider, provider_id, order_id, at.now()):
            return 0
    with at.database.writing() as session:
        poked = payments.poke(session, provider, provider_id, order_id, at.now())
        failpoint("poke.writing")
    failpoint("poke.committed")
    if poked:
        at.payments_bell.ring()
        failpoint("poke.rung")
    return poked


# ---------------------------------------------------------------- the sandbox's own pages


def _sandbox() -> Sandbox:
    found = services().providers.get("sandbox")
    if not isinstance(found, Sandbox):
        raise NotFound("This shop does not use the sandbox provider.")
    return found


@pages.get("/pay/<provider_id>")
def show_sandbox_payment(provider_id: str) -> str:
    """What a bank's page is in earnest: the shopper approves the payment or refuses it."""
    payment = _sandbox().payment(provider_id)
    if payment is None:
        raise NotFound("There is no such payment.")
    amount = format_amount(payment.amount_minor, exponent(payment.currency))
    return render_template("sandbox.html", payment=payment, amount=f"{amount} {payment.currency}")


@pages.post("/pay/<provider_id>")
def decide_sandbox_payment(provider_id: str) -> WerkzeugResponse | Response:
    """The shopper's click; then back to the shop."""
    sandbox = _sandbox()
    payment = sandbox.payment(provider_id)
    if payment is None:
        raise NotFound("There is no such payment.")
    sandbox.act(provider_id, request.form.get("decision") == "approve")
    return redirect(payment.return_url, 303)
