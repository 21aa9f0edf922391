"""Stripe behind the payment port: one PaymentIntent per order. How to set it up: docs/payments/stripe.md."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import stripe
from stripe import CardError, InvalidRequestError

from payments.stripe_http import Connection, Lost, NeverSent
from payments.stripe_signature import check_signature
from payments.stripe_terms import OUR_MISTAKES, decline_reason, from_stripe, means_of_payment, to_stripe
from shop.payments import (
    Absent,
    ActionRequired,
    Approved,
    BadSignature,
    Called,
    Declined,
    Done,
    NoAnswer,
    PaymentRequest,
    Refused,
    State,
    Unknown,
    Unreachable,
    Voided,
)

T = TypeVar("T")
Object = dict[str, Any]
"""An object of Stripe's API, as its JSON says it."""

HOUR = 3_600
METADATA_CHARACTERS = 500
UNPAID = ("requires_payment_method", "requires_confirmation")
"""Declined, or never tried: no money is reserved, but the same PaymentIntent could be paid in another way."""

NOTHING_DONE = (NeverSent, stripe.RateLimitError, stripe.AuthenticationError, stripe.PermissionError)
"""A server's error is not among them: what Stripe had done before it failed stays done."""

# The library would write a file into the home directory and tell Stripe about this machine.
stripe.enable_telemetry = False
# Below WARNING it logs requests and answers whole: tokens, and the secrets that let a client confirm a payment.
logging.getLogger("stripe").setLevel(logging.WARNING)


class Stripe:
    """Implements `Provider` and `Webhooks`. `api_base` is for tests; `clock` tells seconds since the epoch."""

    name = "stripe"
    # Stripe forgets keys after 24 hours at the earliest; an hour for calls on their way and clocks that differ.
    key_seconds = 23 * HOUR

    def __init__(
        self,
        secret_key: str,
        webhook_secret: str,
        *,
        api_base: str | None = None,
        time_out_seconds: float = 10,
        clock: Callable[[], float] = time.time,
    ) -> None:
        for secret in (secret_key, webhook_secret):
            if not (secret.isascii() and secret.isprintable() and secret and " " not in secret):
                raise ValueError("a Stripe key is empty, or has characters that no key has")
        base = api_base or stripe.DEFAULT_API_BASE
        self._http = Connection(base, time_out_seconds)
        self._client = stripe.StripeClient(
            secret_key,
            http_client=self._http,
            base_addresses={"api": base},
            max_network_retries=0,  # whether and when to ask again is the shop's decision
        )
        self._intents = self._client.v1.payment_intents
        self._refunds = self._client.v1.refunds
        self._webhook_secret = webhook_secret
        self._clock = clock
        self._mode = "live" if "_live_" in secret_key else "test"

    def __repr__(self) -> str:
        return f"Stripe({self._mode})"

    # ------------------------------------------------------------ authorize

    def authorize(self, request: PaymentRequest) -> State | NoAnswer:
        amount, means = to_stripe(request.amount_minor, request.currency), means_of_payment(request.token)
        if amount is None or means is None:
            return Declined("not_supported")
        return self._ask(lambda: self._create(request, amount, means))

    def _create(self, request: PaymentRequest, amount: int, means: Object) -> State | NoAnswer:
        metadata = {"order_id": request.order_id}
        if len(request.return_url) <= METADATA_CHARACTERS:
            metadata["return_url"] = request.return_url
        parameters: Any = {
            "amount": amount,
            "currency": request.currency.lower(),
            "capture_method": "automatic" if request.capture else "manual",
            "confirm": True,
            "return_url": request.return_url,
            "metadata": metadata,
            **means,
        }
        try:
            intent = self._intents.create(parameters, {"idempotency_key": request.key})
        except (CardError, InvalidRequestError) as error:
            return _not_approved(error)
        return _state(intent.to_dict())

    # ------------------------------------------------------------ look up

    def look_up(self, order_id: str, provider_id: str | None) -> State | Absent | NoAnswer:
        return self._ask(lambda: self._look_up(order_id, provider_id))

    def _look_up(self, order_id: str, provider_id: str | None) -> State | Absent | NoAnswer:
        found = provider_id or self._find(order_id)
        if not isinstance(found, str):
            return found
        intent = self._retrieve(found)
        if intent["metadata"].get("order_id") != order_id:
            return Unknown(f"{found} is not the payment of this order")
        return self._give_up(intent) if intent["status"] in UNPAID else _state(intent)

    def _retrieve(self, provider_id: str) -> Object:
        return self._intents.retrieve(provider_id).to_dict()

    def _give_up(self, intent: Object) -> State | Unknown:
        """Make sure of a refusal: whoever came back from an action could try the same payment with another card."""
        now = self._canceled(intent["id"])
        if now["status"] == "canceled":
            return _declined(intent)
        # Somebody was faster, in whichever direction.
        return _state(now) if now["status"] not in UNPAID else Unknown("a declined payment that cannot be given up")

    def _canceled(self, provider_id: str) -> Object:
        """The payment after it was cancelled, or as it stands if it cannot be."""
        try:
            return self._intents.cancel(provider_id).to_dict()
        except (CardError, InvalidRequestError):
            return self._retrieve(provider_id)

    def _find(self, order_id: str) -> str | Absent | Unknown:
        """The PaymentIntent of an order whose id never reached us.

        Stripe's search may lag behind by a minute, by an hour in an outage, and is not there for everybody: it can
        find, but not deny. The list is up to date. It is read from the order's time on, which a UUID of version 7
        tells; and only once no call with our key can be under way any more, not finding it means there is none.
        """
        ids = self._search(order_id)
        placed_at = _seconds_of(order_id)
        if not ids and placed_at is not None:
            ids = self._list(order_id, since=placed_at - HOUR)
            if not ids and self._clock() > placed_at + self.key_seconds + 2 * HOUR:
                return Absent()
        if not ids:
            return Unknown("no payment of this order was found yet")
        return ids[0] if len(ids) == 1 else Unknown(f"several payments of one order: {', '.join(ids)}")

    def _search(self, order_id: str) -> list[str]:
        quoted = order_id.replace("\\", "\\\\").replace("'", "\\'")
        try:
            found = self._intents.search({"query": f"metadata['order_id']:'{quoted}'", "limit": 100})
        except (InvalidRequestError, stripe.PermissionError):
            return []
        return _of_order(order_id, map(_plain, found.data))

    def _list(self, order_id: str, since: float) -> list[str]:
        return _of_order(order_id, _all_pages(self._intents.list, {"created": {"gte": int(since)}}))

    # ------------------------------------------------------------ capture, void, refund

    def capture(
        self,
        provider_id: str,
        amount_minor: int,
        currency: str,
        key: str,  # noqa: ARG002
    ) -> Done | Refused | NoAnswer:
        """Without the key: a PaymentIntent is captured once at most, and asking it is safer than a stored answer.

        Stripe repeats the first answer to a key for a day, a failure of its own included.
        """
        amount = to_stripe(amount_minor, currency)
        if amount is None:
            return Refused(f"Stripe cannot take {amount_minor} minor units of {currency}.")
        return self._ask(lambda: self._capture(provider_id, amount))

    def _capture(self, provider_id: str, amount: int) -> Done | Refused | NoAnswer:
        why = ""
        try:
            intent = self._intents.capture(provider_id, {"amount_to_capture": amount}).to_dict()
        except (CardError, InvalidRequestError) as error:
            intent, why = self._retrieve(provider_id), error.user_message or ""
        if intent["status"] == "processing":
            return Unknown("the payment is processing")
        if intent["status"] == "succeeded" and intent["amount_received"] == amount:
            return Done(provider_id)
        return Refused(f"The payment is {intent['status']}. {why}".strip())

    def void(self, provider_id: str, key: str) -> Done | Refused | NoAnswer:  # noqa: ARG002
        """Without the key, for the reason given at `capture`."""
        return self._ask(lambda: self._void(provider_id))

    def _void(self, provider_id: str) -> Done | Refused | NoAnswer:
        intent = self._canceled(provider_id)
        if intent["status"] == "canceled":
            return Done(provider_id)
        if intent["status"] == "succeeded":
            return Refused("The money was taken already; it can be refunded.")
        return Unknown(f"the payment is {intent['status']}")

    def refund(self, provider_id: str, amount_minor: int, currency: str, key: str) -> Done | Refused | NoAnswer:
        amount = to_stripe(amount_minor, currency)
        if amount is None:
            return Refused(f"Stripe cannot give back {amount_minor} minor units of {currency}.")
        return self._ask(lambda: self._refund(provider_id, amount, key))

    def _refund(self, provider_id: str, amount: int, key: str) -> Done | Refused | NoAnswer:
        # Stripe forgets our key after a day, and would then pay a second time. The refund itself remembers it.
        refunds = _all_pages(self._refunds.list, {"payment_intent": provider_id})
        earlier = next((it for it in refunds if (it.get("metadata") or {}).get("key") == key), None)
        if earlier:
            return _refunded(earlier)
        try:
            made = self._refunds.create(
                {"payment_intent": provider_id, "amount": amount, "metadata": {"key": key}}, {"idempotency_key": key}
            )
        except (CardError, InvalidRequestError) as error:
            return Refused(error.user_message or "Stripe refused the refund.")
        return _refunded(made.to_dict())

    # ------------------------------------------------------------ webhooks

    def read(self, body: bytes, headers: dict[str, str], now_seconds: float) -> Called | None:
        header = next((value for name, value in headers.items() if name.lower() == "stripe-signature"), None)
        if header is None:
            raise BadSignature("no signature")
        check_signature(body, header, self._webhook_secret, now_seconds)
        return _called(body)

    # ------------------------------------------------------------ asking

    def _ask(self, question: Callable[[], T]) -> T | NoAnswer:
        """What the question finds out, within the time-out; NoAnswer for everything that may go wrong."""
        with self._http.question():
            try:
                return question()
            except stripe.StripeError as error:
                return _no_answer(error)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                # An answer, but not of the shape that Stripe documents: a proxy's, or of a version to come.
                return Unknown(f"an answer that cannot be read ({type(error).__name__})")


def _state(intent: Object) -> State | Unknown:
    match intent["status"]:
        case "succeeded":
            return _approved(intent, intent["amount_received"], captured=True)
        case "requires_capture":
            return _approved(intent, intent["amount_capturable"], captured=False)
        case "requires_action":
            return _action(intent)
        case "canceled" if not intent.get("last_payment_error"):
            return Voided(intent["id"])
        case "requires_payment_method" | "canceled":
            return _declined(intent)
        case status:
            return Unknown(str(status))


def _declined(intent: Object) -> Declined:
    return Declined(decline_reason(intent.get("last_payment_error") or {}), intent["id"])


def _approved(intent: Object, amount: int, *, captured: bool) -> Approved:
    currency = intent["currency"].upper()
    return Approved(intent["id"], from_stripe(amount, currency), currency, captured)


def _action(intent: Object) -> ActionRequired | Unknown:
    """Where to send the shopper: to the bank, to Stripe's page, or to the shop's own, which has Stripe.js.

    The last is called as Stripe itself calls a return URL: with the payment's id and client secret.
    """
    action = intent["next_action"]
    details = action.get(action["type"]) or {}
    for name in ("url", "hosted_instructions_url", "hosted_voucher_url", "hosted_verification_url"):
        if str(details.get(name)).startswith(("https://", "http://")):
            return ActionRequired(intent["id"], details[name])
    page = intent["metadata"].get("return_url")
    if not page:
        return Unknown(f"an action without an address: {action['type']}")
    separator = "&" if "?" in page else "?"
    secret = f"payment_intent={intent['id']}&payment_intent_client_secret={intent['client_secret']}"
    return ActionRequired(intent["id"], f"{page}{separator}{secret}")


def _not_approved(error: CardError | InvalidRequestError) -> State | NoAnswer:
    """What a 402, 400 or 404 to a new payment means. Not all of them say that there is no money."""
    body = _error_object(error)
    intent = body.get("payment_intent")
    if isinstance(intent, dict) and intent.get("status") not in (*UNPAID, "canceled"):
        return _state(intent)
    if body.get("code") in OUR_MISTAKES:
        return Unreachable(_detail(error))
    # The client secret of such a payment was never given to anyone: nobody can confirm it with another card.
    otherwise = "card_declined" if isinstance(error, CardError) else "not_supported"
    return Declined(decline_reason(body, otherwise), intent["id"] if isinstance(intent, dict) else None)


def _no_answer(error: stripe.StripeError) -> NoAnswer:
    if isinstance(error, NOTHING_DONE):
        return Unreachable(_detail(error))
    return Unknown(_detail(error))


def _detail(error: stripe.StripeError) -> str:
    """For the log and the person on duty: not Stripe's message, which may repeat keys and tokens."""
    if isinstance(error, Lost):
        return f"{type(error).__name__}: {error.user_message}"
    code = _error_object(error).get("code") or "no code"
    return f"{type(error).__name__} {error.http_status} ({code}, request {error.request_id})"


def _error_object(error: stripe.StripeError) -> Object:
    body = error.json_body
    found = body.get("error") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def _refunded(refund: Object) -> Done | Refused:
    """A pending refund is done for us: it was accepted, and the bank takes its days."""
    if refund["status"] in ("failed", "canceled"):
        return Refused(
            f"The refund {refund['id']} is {refund['status']}: {refund.get('failure_reason') or 'no reason'}."
        )
    return Done(refund["id"])


def _plain(found: stripe.StripeObject) -> Object:
    return found.to_dict()


def _all_pages(page: Callable[[Any], stripe.ListObject[Any]], query: Object) -> Iterator[Object]:
    """Everything in a list. The library's own iterator asks on with the keys of its globals, which we do not set."""
    found = page({**query, "limit": 100})
    yield from map(_plain, found.data)
    while found.has_more:
        found = page({**query, "limit": 100, "starting_after": found.data[-1].id})
        yield from map(_plain, found.data)


def _of_order(order_id: str, intents: Iterable[Object]) -> list[str]:
    """The ids of the intents that carry this order's id exactly: Stripe's search is not that strict."""
    return [it["id"] for it in intents if it["metadata"].get("order_id") == order_id]


def _seconds_of(order_id: str) -> float | None:
    """When the order was accepted, if its id is a UUID of version 7."""
    try:
        parsed = uuid.UUID(order_id)
    except ValueError:
        return None
    return (parsed.int >> 80) / 1_000 if parsed.version == 7 else None


def _called(body: bytes) -> Called | None:
    try:
        event = json.loads(body)
        about = event["data"]["object"]
        intent_id = about["id"] if about["object"] == "payment_intent" else about["payment_intent"]
        ours = about["object"] in ("payment_intent", "charge", "refund", "dispute") and isinstance(intent_id, str)
        order_id = (about.get("metadata") or {}).get("order_id")
        return Called(order_id, intent_id, event["id"]) if ours else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
