"""What goes over the wire of the admin API: products, categories and stock."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from web.schemas import (
    Cursor,
    In,
    Instant,
    Line40,
    Line100,
    Line200,
    Money,
    MoneyIn,
    OneLine,
    Out,
    ProductId,
    Query,
    StockStatus,
)

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


REMOVABLE: Final = ("description_html", "group_id")


def _only_removable_may_be_null(schema: dict[str, Any]) -> None:
    for name, member in schema["properties"].items():
        member.pop("default", None)
        if name not in REMOVABLE and (kinds := member.pop("anyOf", None)):
            member.update(next(kind for kind in kinds if kind != {"type": "null"}))


class ProductPatch(ProductChanges):
    """Changes of a product, as a JSON merge patch: what is left out stays; null removes what a product need not have.

    A map such as `specifications` is replaced as a whole.
    """

    model_config = ConfigDict(json_schema_extra=_only_removable_may_be_null)

    @field_validator("*", mode="before")
    @classmethod
    def _null_removes(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.field_name not in REMOVABLE:
            raise ValueError("cannot be null; leave it out to keep what is there")
        return "" if value is None else value


class CategoryChanges(In):
    """Changes of a category; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=_only_removable_may_be_null)

    name: Line100 = Field("", examples=["Kitchen"])
    description: Text20000 = Field("")


class CategoryIn(In):
    """A new category."""

    name: Line100 = Field(examples=["Kitchen"])
    description: Text20000 = ""


class StockChangeIn(In):
    """Units that came or went (`quantity` and `reason`), or what a stock count found (`counted`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"quantity": 24, "reason": "received", "note": "Delivery 4711"},
                {"quantity": -1, "reason": "adjusted", "note": "Broken in the shop window"},
                {"counted": 17, "note": "Stocktaking"},
            ]
        }
    )

    quantity: Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)] | None = Field(
        None, description="More units, or (only `adjusted`) fewer; not 0."
    )
    reason: Literal["received", "adjusted", "returned"] | None = None
    counted: Units | None = Field(None, description="The units on the shelf; the difference is `adjusted`.")
    note: Line200 | None = Field(None, description="Stands in the ledger.")


# ---------------------------------------------------------------- addresses, queries, headers


class CategoryPath(BaseModel):
    category_id: Annotated[int, Field(ge=1, le=2_147_483_647)]


class IfMatchHeader(BaseModel):
    if_match: str | None = Field(
        None, alias="If-Match", description="The ETag of what was read: refused with 412 if it has changed since."
    )


class StockHeader(BaseModel):
    idempotency_key: str | None = Field(
        None, alias="Idempotency-Key", description="Makes repeating this request harmless, for ever."
    )


class PageQuery(Query):
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = Field(None, description="`page.next_cursor` of the page before.")


class AdminProductsQuery(PageQuery):
    is_active: bool | None = None
    category: Line100 | None = Field(None, description="A category's id or name.")
    q: Line100 | None = Field(None, description="Words that name, description or SKU must all contain.")
    sku: Line100 | None = Field(None, description="This SKU exactly.")
    low_stock: bool = Field(default=False, description="`true`: only what is at or below its threshold, by `stock`.")
    sort: Literal["-created_at", "created_at", "name", "sku", "stock"] | None = Field(
        None, description="`-created_at` if left out. `stock` (lowest first) is the sort of `low_stock=true` alone."
    )
    total: bool = Field(default=False, description="`true` counts all entries, which takes longer the more there are.")


class LowStockQuery(PageQuery):
    is_active: bool = Field(default=True, description="`false`: the products that are not sold any more instead.")


# ---------------------------------------------------------------- answers


class AdminPageOut(Out):
    per_page: int
    next_cursor: str | None = Field(description="None on the last page.")


class AdminCountedPageOut(AdminPageOut):
    total: int | None = Field(description="Entries in all; None unless asked for.")


class AdminProductEntry(Out):
    """A product, or one variant of it, as a list shows it."""

    id: str
    sku: str
    name: str
    price: Money
    currency: str
    category_id: int
    category: str
    image_url: str
    stock_quantity: int
    low_stock_threshold: int
    stock_status: StockStatus
    is_active: bool
    group_id: str | None
    options: dict[str, str]
    created_at: Instant
    updated_at: Instant


class AdminProductOut(AdminProductEntry):
    """All of a product. The ETag names its version: a change by a merchant, not a sale."""

    description: str
    description_html: str | None
    images: list[str]
    specifications: dict[str, str]
    tax_class: str
    weight_grams: int


class AdminProductsOut(Out):
    items: list[AdminProductEntry]
    page: AdminCountedPageOut


class LowStockOut(Out):
    items: list[AdminProductEntry]
    page: AdminPageOut


class AdminCategoryOut(Out):
    id: int
    name: str
    description: str
    product_count: int = Field(description="Products and variants, those that are not active included.")


class AdminCategoriesOut(Out):
    items: list[AdminCategoryOut]


class MovementOut(Out):
    """An entry of a product's ledger."""

    id: int
    kind: Literal["opening", "received", "adjusted", "sold", "released", "returned"]
    quantity: int = Field(description="Units that came; negative: that went.")
    balance: int = Field(description="The stock after it.")
    note: str | None
    actor: str | None = Field(description="Whose API key did it; None for the shop itself.")
    order_id: str | None
    at: Instant


class MovementsOut(Out):
    items: list[MovementOut]
    page: AdminPageOut


class StockChangedOut(Out):
    movement: MovementOut | None = Field(description="None when a count found what was expected.")
    product_id: str
    stock_quantity: int = Field(description="The stock now.")
    stock_status: StockStatus
