"""From what a merchant sent to a draft of a product: the same for one, for many and for a file."""

from __future__ import annotations

import re

from slugify import slugify

from shop.catalogue import Draft
from shop.descriptions import plain_text, sanitize
from shop.errors import Fault
from shop.money import parse_amount
from shop.rules import Rules
from web.admin.schemas import ProductUpsert

LONGEST_ID = 64
LONGEST_HTML = 100_000
LONGEST_TEXT = 20_000
_SLUG = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")
"""What slugify would only write in small letters; it takes its time to find that out."""


def draft(body: ProductUpsert, rules: Rules) -> tuple[Draft, list[Fault]]:
    """A draft, and what is wrong with it beside its form: the price's decimals, an unknown tax class.

    The faults' pointers lead into the body of one product.
    """
    faults = []
    price_minor = None
    if body.price is not None:
        try:
            price_minor = parse_amount(body.price, rules.digits)
        except ValueError as error:
            faults.append(Fault("validation_failed", str(error), "/price"))
    if body.tax_class is not None and body.tax_class not in rules.tax.classes:
        message = f"there is no tax class {body.tax_class}; shop.toml has {', '.join(rules.tax.classes)}"
        faults.append(Fault("validation_failed", message, "/tax_class"))
    description, html = body.description, body.description_html
    if html is not None:
        html = sanitize(html)
        description = plain_text(html) if description is None and html else description
        faults += _too_long(html, description)
    elif description is not None:
        html = ""  # Whoever writes plain text alone does not want to see the old HTML.
    made = Draft(
        sku=body.sku,
        id=body.id,
        name=body.name,
        description=description,
        description_html=html,
        price_minor=price_minor,
        category=body.category,
        stock_quantity=body.stock_quantity,
        images=body.images,
        specifications=body.specifications,
        tax_class=body.tax_class,
        weight_grams=body.weight_grams,
        group_id=body.group_id,
        options=body.options,
        is_active=body.is_active,
        low_stock_threshold=body.low_stock_threshold,
    )
    return made, faults


def _too_long(html: str, description: str | None) -> list[Fault]:
    """Escaping makes HTML longer, and plain text that was made from HTML has a limit of its own."""
    message = None
    if len(html) > LONGEST_HTML:
        message = f"is longer than {LONGEST_HTML} characters once it is made safe"
    elif description is not None and len(description) > LONGEST_TEXT:
        message = f"says more than {LONGEST_TEXT} characters"
    return [Fault("validation_failed", message, "/description_html")] if message else []


def id_for(sku: str) -> str:
    """The id of a new product that came without one: its SKU in letters, digits and hyphens; empty if it has none."""
    return sku.lower() if _SLUG.fullmatch(sku) else slugify(sku, max_length=LONGEST_ID)
