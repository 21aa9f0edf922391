"""The merchant's stock: what came and went, stocktaking, the ledger, what is running low."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db import catalogue as products
from db import stock as rows
from db.models import ProductRow, StockMovementRow
from shop.catalogue import stock_status
from shop.errors import Fault, IdempotencyKeyReused, InsufficientStock, ProductNotFound, ValidationFailed
from web.admin import schemas, views
from web.admin.auth import actor, stock
from web.admin.catalogue import cut
from web.checkout import idempotency_key
from web.schemas import ProductPath
from web.services import services


@stock.post("/products/<product_id>/stock", responses={200: schemas.StockChangedOut, 201: schemas.StockChangedOut})
def change_stock(
    path: ProductPath, header: schemas.StockHeader, body: schemas.StockChangeIn
) -> tuple[schemas.StockChangedOut, int, dict[str, str]]:
    """Book units that came or went, or the result of a stock count. Stock never falls below zero.

    201 with the movement; 200 without one when a count found what was expected. With an Idempotency-Key
    every count makes a movement, be it of 0 units, by which a repeated request is recognised.
    """
    at = services()
    _check(body)
    key = idempotency_key(header.idempotency_key)
    with at.database.writing() as session:
        product = products.lock(session, path.product_id)
        if product is None:
            raise ProductNotFound(f"There is no product {path.product_id}.")
        earlier = rows.by_key(session, product.id, key) if key else None
        if earlier:
            found = _repeated(session, earlier, body)
            return _changed(product, found, product.stock_quantity), 201, {"Idempotent-Replayed": "true"}
        moved = _move(session, product, body, rows.Note(_kind(body), at.now(), body.note, actor(), key))
    if moved is None:
        return _changed(product, None, product.stock_quantity), 200, {}
    at.catalogue.forget([product.id])
    return _changed(product, moved, moved[1]), 201, {}


def _check(body: schemas.StockChangeIn) -> None:
    """Raise ValidationFailed for what its form alone does not rule out."""
    if body.counted is not None:
        twice = "/quantity" if body.quantity is not None else "/reason" if body.reason is not None else None
        if twice:
            raise _invalid(twice, "cannot stand beside counted")
        return
    if body.quantity is None:
        raise _invalid("/quantity", "write quantity and reason, or counted")
    if body.reason is None:
        raise _invalid("/reason", "say why: received, adjusted or returned")
    if body.quantity == 0:
        raise _invalid("/quantity", "cannot be 0")
    if body.quantity < 0 and body.reason != "adjusted":
        raise _invalid("/quantity", f"must be positive for what is {body.reason}")


def _invalid(pointer: str, message: str) -> ValidationFailed:
    return ValidationFailed(f"field {pointer}: {message}", [Fault("validation_failed", message, pointer)])


def _kind(body: schemas.StockChangeIn) -> str:
    return body.reason or "adjusted"


def _move(
    session: Session, product: ProductRow, body: schemas.StockChangeIn, note: rows.Note
) -> tuple[StockMovementRow, int] | None:
    """Do what the body says to a locked product; None when a count found no difference. Raises InsufficientStock."""
    quantity = body.quantity or 0
    if body.counted is not None:
        quantity = body.counted - product.stock_quantity
        if quantity == 0 and note.key is None:
            return None
    moved = rows.move(session, product.id, quantity, note)
    if moved is None:
        message = f"Only {product.stock_quantity} of {product.sku} are there; {-quantity} were to be taken off."
        fault = Fault(
            "insufficient_stock",
            message,
            "/quantity",
            product_id=product.id,
            requested=-quantity,
            available=product.stock_quantity,
        )
        raise InsufficientStock(message, [fault])
    return moved


def _repeated(session: Session, earlier: StockMovementRow, body: schemas.StockChangeIn) -> tuple[StockMovementRow, int]:
    """What an earlier request with this key did. Raises IdempotencyKeyReused when this one asks for something else."""
    balance = rows.stock_after(session, earlier)
    done = balance if body.counted is not None else earlier.quantity
    asked = body.counted if body.counted is not None else body.quantity
    if (earlier.kind, earlier.reason, done) != (_kind(body), body.note, asked):
        raise IdempotencyKeyReused("This Idempotency-Key was used for another change of this product's stock.")
    return earlier, balance


def _changed(product: ProductRow, moved: tuple[StockMovementRow, int] | None, left: int) -> schemas.StockChangedOut:
    return schemas.StockChangedOut(
        movement=views.movement(*moved) if moved else None,
        product_id=product.id,
        stock_quantity=left,
        stock_status=stock_status(left, product.low_stock_threshold),  # type: ignore[arg-type]
    )


@stock.get("/products/<product_id>/movements", responses={200: schemas.MovementsOut})
def list_movements(path: ProductPath, query: schemas.PageQuery) -> schemas.MovementsOut:
    """List a product's ledger, newest first, with the stock after each movement."""
    at, kind = services(), f"admin.movements:{path.product_id}"
    before = at.cursors.read(query.cursor, kind) if query.cursor else None
    with at.database.reading() as session:
        if products.get(session, path.product_id) is None:
            raise ProductNotFound(f"There is no product {path.product_id}.")
        place = (before[0], before[1]) if before else None
        found = rows.movements(session, path.product_id, query.per_page + 1, place)
    shown = found[: query.per_page]
    cursor = None
    if len(found) > query.per_page:
        last, balance = shown[-1]
        cursor = at.cursors.write(kind, last.id, balance - last.quantity)
    return schemas.MovementsOut(
        items=[views.movement(row, balance) for row, balance in shown],
        page=schemas.AdminPageOut(per_page=query.per_page, next_cursor=cursor),
    )


@stock.get("/stock/low", responses={200: schemas.LowStockOut})
def list_low_stock(query: schemas.LowStockQuery) -> schemas.LowStockOut:
    """List what is sold and at or below its threshold, lowest stock first."""
    at = services()
    after = at.cursors.read(query.cursor, "admin.low:stock") if query.cursor else None
    wanted = products.Filter(is_active=query.is_active, low_stock=True)
    with at.database.reading() as session:
        found = products.page(session, wanted, "stock", query.per_page + 1, (after[0], after[1]) if after else None)
    shown, cursor = cut(found, query.per_page, "stock", "admin.low")
    return schemas.LowStockOut(
        items=views.entries(shown, at.rules),
        page=schemas.AdminPageOut(per_page=query.per_page, next_cursor=cursor),
    )
