"""Many products in one request: all of them are taken, or none."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Literal

from pydantic import Field

from db.intake import CHANGED, NEW, UNCHANGED, Intake
from shop.catalogue import Draft
from shop.errors import Fault, ValidationFailed
from shop.rules import Rules
from web.admin.auth import actor, catalogue
from web.admin.drafts import draft, id_for
from web.admin.schemas import ProductUpsert
from web.problems import MOST_FAULTS
from web.schemas import In, Out
from web.services import services


class BulkIn(In):
    products: Annotated[list[ProductUpsert], Field(min_length=1, max_length=1000)]
    dry_run: bool = Field(default=False, description="Answer what would happen, and change nothing.")


class BulkProductOut(Out):
    sku: str
    id: str
    result: Literal["created", "changed", "unchanged"]


class BulkOut(Out):
    created: int
    changed: int
    unchanged: int
    dry_run: bool
    products: list[BulkProductOut] = Field(description="In the order of the request.")


_RESULTS: dict[str, Literal["created", "changed", "unchanged"]] = {
    NEW: "created",
    CHANGED: "changed",
    UNCHANGED: "unchanged",
}


@catalogue.post("/products/bulk", responses={200: BulkOut})
def upsert_products(body: BulkIn) -> BulkOut:
    """Create and change up to 1,000 products, known by their SKUs: all of them or none.

    What a product leaves out stays as it is. Stock is only for new products. Missing categories are made.
    """
    at = services()
    drafts = _drafts(body.products, at.rules)
    with Intake(at.database, at.now(), tax_class=at.rules.tax.classes[0], place="/products/") as intake:
        intake.stage((place, made, made.id or id_for(made.sku)) for place, made in enumerate(drafts))
        counts = intake.plan() if body.dry_run else intake.apply(actor=actor())
        if counts.faulty:
            found = islice(intake.faults(), MOST_FAULTS)
            faults = [Fault("validation_failed", f.message, f"/products/{f.line}/{f.field}") for f in found]
            raise _refused(faults)
        taken = list(intake.taken(*_RESULTS))
    if not body.dry_run:
        at.catalogue.forget([row.product_id for row in taken if row.kind == CHANGED])
    return BulkOut(
        created=counts.new,
        changed=counts.changed,
        unchanged=counts.unchanged,
        dry_run=body.dry_run,
        products=[BulkProductOut(sku=row.sku, id=row.product_id, result=_RESULTS[row.kind]) for row in taken],
    )


def _drafts(bodies: Sequence[ProductUpsert], rules: Rules) -> list[Draft]:
    """Raises ValidationFailed naming all that is wrong with them one by one."""
    drafts, faults = [], []
    for place, body in enumerate(bodies):
        made, found = draft(body, rules)
        drafts.append(made)
        faults += [Fault(fault.code, fault.message, f"/products/{place}{fault.pointer}") for fault in found]
    if faults:
        raise _refused(faults[:MOST_FAULTS])
    return drafts


def _refused(faults: list[Fault]) -> ValidationFailed:
    first, more = faults[0], f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return ValidationFailed(f"field {first.pointer}: {first.message}{more}", faults)
