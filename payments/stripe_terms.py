"""Stripe's words and numbers in ours: currencies, refusals, and means of payment."""

from __future__ import annotations

import re
from typing import Any

from shop.money import exponent

# https://docs.stripe.com/currencies. Where ISO 4217 says otherwise, Stripe is asked in Stripe's units.
_ZERO_DECIMALS = frozenset(
    (
        *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
        *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
    )
)
_THREE_DECIMALS = frozenset(("BHD", "JOD", "KWD", "OMR", "TND"))
# UGX stands there both as a currency without decimals and as one to be sent with two: a guess may be wrong by 100.
# Of the others Stripe says nothing, and our own exponent is not the usual two.
_REFUSED = frozenset(("UGX", "UYI", "IQD", "LYD"))


def to_stripe(amount_minor: int, currency: str) -> int | None:
    """Our minor units in Stripe's: (500, "ISK") -> 50000. None if Stripe cannot take this amount exactly."""
    amount, rest = _shift(amount_minor, _digits(currency) - exponent(currency))
    if currency in _REFUSED or rest:
        return None
    # The card networks have two decimals at most: a third one must be 0.
    if currency in _THREE_DECIMALS and amount % 10:
        return None
    return amount


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's minor units in ours. Raises ValueError where they have no exact equal."""
    amount_minor, rest = _shift(amount, exponent(currency) - _digits(currency))
    if currency in _REFUSED or rest:
        raise ValueError(f"{amount} is no amount of {currency}")
    return amount_minor


def _shift(amount: int, places: int) -> tuple[int, int]:
    """An amount with its decimal point moved, and what did not fit: (50055, -2) -> (500, 55)."""
    scale: int = 10 ** abs(places)
    return (amount * scale, 0) if places >= 0 else divmod(amount, scale)


def _digits(currency: str) -> int:
    if currency in _ZERO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


_MEANS = re.compile(r"(pm|card|src|tok|ctoken)_[A-Za-z0-9_]{1,250}")


def means_of_payment(token: str) -> dict[str, Any] | None:
    """The parameters that name a means of payment; None for what is no token of Stripe's, and is never sent."""
    match = _MEANS.fullmatch(token)
    if not match:
        return None
    if match[1] == "tok":
        return {"payment_method_data": {"type": "card", "card": {"token": token}}}
    return {"confirmation_token" if match[1] == "ctoken" else "payment_method": token}


# https://docs.stripe.com/declines/codes and https://docs.stripe.com/error-codes. What is not here is `card_declined`,
# as are fraudulent, lost_card, stolen_card, pickup_card and merchant_blacklist on purpose.
_REASONS = {
    **dict.fromkeys(("insufficient_funds", "balance_insufficient"), "insufficient_funds"),
    "expired_card": "expired_card",
    **dict.fromkeys(
        (
            *("incorrect_address", "incorrect_cvc", "incorrect_number", "incorrect_pin", "incorrect_zip"),
            *("invalid_cvc", "invalid_expiry_month", "invalid_expiry_year", "invalid_number", "invalid_pin"),
            *("postal_code_invalid", "token_already_used", "email_invalid"),
        ),
        "incorrect_data",
    ),
    **dict.fromkeys(
        (
            *("authentication_required", "mobile_device_authentication_required", "authentication_not_handled"),
            *("payment_intent_authentication_failure", "payment_intent_payment_attempt_expired"),
            *("payment_method_customer_decline", "online_or_offline_pin_required", "offline_pin_required"),
        ),
        "authentication_failed",
    ),
    **dict.fromkeys(
        (
            *("card_velocity_exceeded", "withdrawal_count_limit_exceeded", "pin_try_exceeded", "invalid_amount"),
            *("amount_too_large", "card_decline_rate_limit_exceeded"),
        ),
        "limit_exceeded",
    ),
    **dict.fromkeys(
        (
            *("card_not_supported", "currency_not_supported", "amount_too_small", "payment_method_unactivated"),
            *("payment_method_not_available", "payment_method_currency_mismatch", "resource_missing"),
        ),
        "not_supported",
    ),
    **dict.fromkeys(
        (
            *("processing_error", "issuer_not_available", "try_again_later", "reenter_transaction", "approve_with_id"),
            "payment_method_provider_timeout",
        ),
        "processing_error",
    ),
}


def decline_reason(error: dict[str, Any], otherwise: str = "card_declined") -> str:
    """Which of our reasons an error object of Stripe's is: its `decline_code`, else its `code`."""
    return _REASONS.get(error.get("decline_code") or error.get("code") or "", otherwise)


OUR_MISTAKES = frozenset(
    (
        *("account_invalid", "api_key_expired", "livemode_mismatch", "platform_api_key_expired", "parameter_missing"),
        *("parameter_unknown", "secret_key_required", "testmode_charges_only", "tls_version_unsupported"),
        "url_invalid",
    )
)
"""Refusals that no other card would change: the shop's settings are wrong, or its code is."""
