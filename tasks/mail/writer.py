"""What a mail to a shopper says: text and HTML from one order, by the templates beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from db.notices import Work
from shop.pricing import percent
from shop.rules import Rules
from tasks.letters import Told
from tasks.order_tokens import OrderTokens

SUBJECTS: Final = {
    "order.confirmed": "Your {order} at {shop}",
    "order.shipped": "{Order} is on its way",
    "order.cancelled": "{Order} was cancelled",
    "order.refunded": "Money back for {order}",
    "order.failed": "{Order} could not be paid",
}


class Unaddressable(ValueError):
    """This order's address is none that a mail can go to."""


class Writer:
    """Thread-safe."""

    def __init__(self, rules: Rules, sender: str, order_url: str, tokens: OrderTokens) -> None:
        """`sender` as in a From header; `order_url` is where a shopper looks at an order, with `{id}` in it."""
        name, address = parseaddr(sender)
        self._rules = rules
        self._sender = Address(_one_line(name or rules.name), addr_spec=address)
        self._order_url = order_url
        self._tokens = tokens
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def write(self, work: Work, told: Told) -> EmailMessage:
        """A whole message, the same each time but for its date. Raises Unaddressable."""
        message = EmailMessage(policy=SMTP)
        number = told.row.number
        names = {
            "shop": _one_line(self._rules.name),
            "order": f"order {number}" if number else "order",
            "Order": f"Order {number}" if number else "Your order",
        }
        message["Subject"] = SUBJECTS[work.event].format(**names)
        message["From"] = self._sender
        message["To"] = _recipient(told.row.email)
        message["Date"] = format_datetime(datetime.now(UTC))
        # The same for each try: a mail server that took it twice can see that.
        message["Message-ID"] = f"<{work.id}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        facts = self._facts(work, told)
        message.set_content(self._templates.get_template("order.txt").render(facts))
        message.add_alternative(self._templates.get_template("order.html").render(facts), subtype="html")
        return message

    def _facts(self, work: Work, told: Told) -> Mapping[str, Any]:
        row, rules, money = told.row, self._rules, told.money
        method, paying = rules.shipping_method(row.shipping_method), rules.payment_method(row.payment_method)
        shipment = told.shipment(work.number)
        positions = {item.position: item for item in told.items}
        refund = told.refund(work.number) if work.event == "order.refunded" else None
        return {
            "event": work.event,
            "shop": rules.name,
            "order": row,
            "items": told.items,
            "money": lambda minor: f"{money(minor)} {row.currency}",
            "tax_lines": [
                {"name": line["name"], "percent": percent(line["rate_ppm"]), "minor": line["tax_minor"]}
                for line in row.quote["tax_lines"]
            ],
            "tax_included": row.quote["prices_include_tax"],
            "shipping_method": method.name if method else row.shipping_method,
            "payment_method": paying.name if paying else row.payment_method,
            "address": _address(row.shipping_address),
            "shipment": shipment.row if shipment else None,
            "parcel": [(positions[part.position], part.quantity) for part in shipment.parts] if shipment else [],
            "refund": refund,
            "link": self._link(row.id),
        }

    def _link(self, order_id: str) -> str:
        address = self._order_url.replace("{id}", order_id)
        return f"{address}{'&' if '?' in address else '?'}token={self._tokens.make(order_id)}"


def _recipient(email: str) -> Address:
    """The shopper's address; a domain in other letters goes over the wire in ASCII."""
    local, _, domain = email.rpartition("@")
    try:
        return Address(addr_spec=f"{local}@{domain.encode('idna').decode()}")
    except Exception as error:
        raise Unaddressable(str(error)) from error


def _address(stored: Mapping[str, Any] | None) -> list[str]:
    """As on an envelope; empty for a pick-up."""
    if stored is None:
        return []
    city = " ".join(filter(None, (stored["postal_code"], stored["city"], stored.get("region"))))
    lines = (stored["name"], stored.get("company"), stored["line1"], stored.get("line2"), city, stored["country"])
    return [line for line in lines if line]


def _one_line(text: str) -> str:
    return " ".join(text.split())
