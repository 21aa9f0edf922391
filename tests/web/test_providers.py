"""The payment providers of shop.toml are there and have their keys, or the shop does not start."""

from __future__ import annotations

from pathlib import Path

import pytest

from shop.errors import BadSettings
from shop.rules import Rules, parse
from web.providers import KNOWN, check_providers, connect_providers, readers
from web.settings import ROOT, Settings


def rules_with(provider: str) -> Rules:
    return parse((ROOT / "shop.toml").read_text().replace('provider = "sandbox"', f'provider = "{provider}"'))


def test_a_provider_that_there_is_not_is_named_with_those_that_there_are(settings: Settings) -> None:
    with pytest.raises(
        BadSettings, match=r"^SHOP_FILE: there is no payment provider paypal; there are sandbox, stripe$"
    ):
        check_providers(settings, rules_with("paypal"))


@pytest.mark.parametrize("missing", ["stripe_secret_key", "stripe_webhook_secret"])
def test_a_provider_without_a_key_says_which(tmp_path: Path, missing: str) -> None:
    keys = {"stripe_secret_key": "sk_test_of_nobody", "stripe_webhook_secret": "whsec_of_nobody"}
    keys[missing] = ""

    with pytest.raises(BadSettings, match=f"^{missing.upper()}: "):
        check_providers(Settings(_env_file=None, var_dir=tmp_path, **keys), rules_with("stripe"))


def test_the_demo_has_the_sandbox_and_reads_its_webhooks(settings: Settings, rules: Rules) -> None:
    settings.var_dir.mkdir(exist_ok=True)
    found = connect_providers(settings, rules)

    assert list(found) == ["sandbox"]
    assert list(readers(found)) == ["sandbox"]
    assert set(KNOWN) == {"sandbox", "stripe"}
