"""What goes over the wire of the admin API: products, categories and stock."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from web.schemas import In, Line40, Line100, Line200, MoneyIn, OneLine, ProductId

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _text(value: str) -> str:
    if _UNPRINTABLE.search(value):
        raise ValueError("control characters are not allowed")
    return value


def _image(value: str) -> str:
    parts = urlsplit(value)
    if (parts.scheme in ("http", "https") and parts.netloc) or (value.startswith("/") and not value.startswith("//")):
        return value
    raise ValueError("write a URL (https://…) or a path that begins with /")


Units = Annotated[int, Field(ge=0, le=1_000_000_000)]
Text20000 = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000), AfterValidator(_text)]
Html = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100_000), AfterValidator(_text)]
Value = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), OneLine]
Image = Annotated[str, Field(max_length=2000, pattern=r"^[^\s<>\"\\^`{|}\x00-\x1f\x7f-\x9f]+$"), AfterValidator(_image)]


class ProductChanges(In):
    """What a merchant may say of a product. Left out means: leave it as it is, or at its default."""

    sku: Line100 | None = Field(None, examples=["MUG-1"])
    name: Line200 | None = Field(None, examples=["Enamel mug"])
    description: Text20000 | None = Field(None, description="Plain text. Alone it replaces the HTML too.")
    description_html: Html | None = Field(
        None, description="Sanitized before it is stored; the plain text is made from it where none is given."
    )
    price: MoneyIn | None = Field(None, examples=["14.50"])
    category: Line100 | None = Field(None, description="A category's name.", examples=["Kitchen"])
    images: Annotated[list[Image], Field(max_length=50)] | None = Field(None, description="The first stands in lists.")
    specifications: Annotated[dict[Line100, Value], Field(max_length=100)] | None = None
    tax_class: Line40 | None = None
    weight_grams: Annotated[int, Field(ge=0, le=100_000_000)] | None = None
    group_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$")] | None = Field(
        None, description="What variants of one product share; empty: it has none."
    )
    options: Annotated[dict[Line40, Line100], Field(max_length=10)] | None = Field(
        None, description="What a variant is.", examples=[{"Size": "Large"}]
    )
    is_active: bool | None = None
    low_stock_threshold: Units | None = None


class ProductUpsert(ProductChanges):
    """A product as a bulk request or an import names it: known by its SKU."""

    sku: Line100 = Field(examples=["MUG-1"])
    id: ProductId | None = Field(None, description="For a new product; made from the SKU where it is left out.")
    stock_quantity: Units | None = Field(None, description="What a new product's ledger opens with.")


class ProductIn(ProductUpsert):
    """A new product."""

    name: Line200 = Field(examples=["Enamel mug"])
    price: MoneyIn = Field(examples=["14.50"])
    category: Line100 = Field(description="A category's name.", examples=["Kitchen"])
