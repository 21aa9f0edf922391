"""The payment providers that shop.toml names, set up from the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from payments.sandbox import Sandbox
from shop.errors import BadSettings
from shop.payments import Provider, Webhooks
from shop.rules import Rules
from web.settings import Settings


def open_sandbox(settings: Settings) -> Sandbox:
    return Sandbox(settings.var_dir / "sandbox.db", public_url=settings.public_url)


def open_stripe(settings: Settings) -> Provider:
    from payments.stripe import Stripe  # Its library is large: only a shop that uses it carries it.

    return Stripe(settings.stripe_secret_key, settings.stripe_webhook_secret)


KNOWN: Final[Mapping[str, Callable[[Settings], Provider]]] = {"sandbox": open_sandbox, "stripe": open_stripe}
"""How each provider is opened, by the name that shop.toml calls it. A new one is a line here."""
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {"stripe": ("stripe_secret_key", "stripe_webhook_secret")}
"""Settings that must be there before a provider can be opened."""


def wanted(rules: Rules) -> list[str]:
    """The providers that the payment methods name."""
    return sorted({method.provider for method in rules.payment.methods if method.provider})


def check_providers(settings: Settings, rules: Rules) -> None:
    """Raise BadSettings for a provider that there is not, or that lacks its keys."""
    for name in wanted(rules):
        if name not in KNOWN:
            raise BadSettings(f"SHOP_FILE: there is no payment provider {name}; there are {', '.join(KNOWN)}")
        for setting in NEEDED.get(name, ()):
            if not getattr(settings, setting):
                raise BadSettings(f"{setting.upper()}: the payment provider {name} in shop.toml needs it; set it")


def connect_providers(settings: Settings, rules: Rules) -> dict[str, Provider]:
    """The providers by name; to be called after any fork. Raises BadSettings."""
    check_providers(settings, rules)
    return {name: KNOWN[name](settings) for name in wanted(rules)}


def readers(providers: Mapping[str, Provider]) -> dict[str, Webhooks]:
    """Who reads what each provider sends us."""
    found: dict[str, Webhooks] = {}
    for name, provider in providers.items():
        reader = provider.webhooks() if isinstance(provider, Sandbox) else provider
        if isinstance(reader, Webhooks):
            found[name] = reader
    return found
