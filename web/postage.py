"""Mail to shoppers, set up from the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shop.rules import Rules
from web.settings import Settings, all_secrets

if TYPE_CHECKING:
    from tasks.mail import Mail
    from tasks.mail.smtp import Smtp


def open_mail(settings: Settings, rules: Rules) -> Mail | None:
    """Whoever writes and sends mail; None where SMTP_URL is not set."""
    if not settings.smtp_url:
        return None
    # The libraries are large: only a shop that sends mail carries them.
    from tasks.mail import Mail, Smtp, Writer
    from tasks.order_tokens import OrderTokens

    order_url = settings.order_url if "://" in settings.order_url else f"{settings.public_url}{settings.order_url}"
    writer = Writer(rules, settings.mail_from, order_url, OrderTokens(all_secrets(settings)))
    return Mail(writer, Smtp(settings.smtp_url))


def open_smtp(settings: Settings) -> Smtp:
    """The mail server alone, to see whether it answers."""
    from tasks.mail.smtp import Smtp

    return Smtp(settings.smtp_url)
