"""The merchant's products and categories: /api/admin/products and /api/admin/categories."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from db import catalogue as rows
from db import products
from db.models import Category, ProductRow
from shop.catalogue import Draft
from shop.errors import CategoryNotFound, Fault, InvalidParameter, ProductNotFound, ValidationFailed
from web.admin import schemas, views
from web.admin.auth import PREFIX, actor, catalogue
from web.admin.drafts import draft, id_for
from web.admin.versions import check_match, etag, next_version, require_match
from web.schemas import ProductPath
from web.services import services

Headers = dict[str, str]

# ---------------------------------------------------------------- products


@catalogue.get("/products", responses={200: schemas.AdminProductsOut})
def list_all_products(query: schemas.AdminProductsQuery) -> schemas.AdminProductsOut:
    """List all products, each variant an entry of its own, those that are not active included."""
    at = services()
    sort = _sort(query)
    after = at.cursors.read(query.cursor, f"admin.products:{sort}") if query.cursor else None
    with at.database.reading() as session:
        wanted = rows.Filter(
            is_active=query.is_active,
            category_id=_category_id(session, query.category),
            text=query.q,
            sku=query.sku,
            low_stock=query.low_stock,
        )
        found = rows.page(session, wanted, sort, query.per_page + 1, (after[0], after[1]) if after else None)
        total = rows.count(session, wanted) if query.total else None
    shown, cursor = cut(found, query.per_page, sort, "admin.products")
    return schemas.AdminProductsOut(
        items=views.entries(shown, at.rules),
        page=schemas.AdminCountedPageOut(per_page=query.per_page, total=total, next_cursor=cursor),
    )


def _sort(query: schemas.AdminProductsQuery) -> str:
    sort = query.sort or ("stock" if query.low_stock else "-created_at")
    if (sort == "stock") != query.low_stock:
        raise _wrong("sort", "stock is the sort of low_stock=true, and the only one it has")
    return sort


def _category_id(session: Session, category: str | None) -> int | None:
    found = products.category_id(session, category) if category else None
    if category and found is None:
        raise _wrong("category", f"there is no category {category}")
    return found


def _wrong(parameter: str, message: str) -> InvalidParameter:
    return InvalidParameter(f"{parameter}: {message}", [Fault("invalid_parameter", message, parameter=parameter)])


def cut(found: Any, per_page: int, sort: str, kind: str) -> tuple[Any, str | None]:
    """A page of the rows found, which are one more when there is another page, and the cursor to that."""
    if len(found) <= per_page:
        return found, None
    last = found[per_page - 1]
    place = getattr(last, rows.SORTS[sort][0])
    return found[:per_page], services().cursors.write(f"{kind}:{sort}", place, last.id)


@catalogue.get("/products/<product_id>", responses={200: schemas.AdminProductOut})
def show_whole_product(path: ProductPath) -> tuple[schemas.AdminProductOut, int, Headers]:
    """Show all of a product. The ETag goes into If-Match of the request that changes it."""
    with services().database.reading() as session:
        found = rows.whole(session, path.product_id)
    row, category = found if found else (_found(None, path), "")
    return views.product(row, category, services().rules), 200, etag(row.updated_at)


@catalogue.post("/products", responses={201: schemas.AdminProductOut})
def create_product(body: schemas.ProductIn) -> tuple[schemas.AdminProductOut, int, Headers]:
    """Create a product. Without an `id` it gets one made from its SKU."""
    at = services()
    new = _checked(body)
    product_id = new.id or id_for(new.sku)
    if not product_id:
        raise _invalid(Fault("validation_failed", "cannot be made from this SKU; write one", "/id"))
    with at.database.writing() as session:
        category_id = _category_named(session, body.category)
        row = rows.create(session, product_id, new, category_id, at.now(), actor())
        answer = _product(session, row)
    at.catalogue.forget([row.id])
    return answer, 201, {"Location": f"{PREFIX}/products/{row.id}", **etag(row.updated_at)}


@catalogue.patch("/products/<product_id>", responses={200: schemas.AdminProductOut})
def change_product(
    path: ProductPath,
    header: schemas.IfMatchHeader,  # noqa: ARG001 - for the documentation; versions.py reads it
    body: schemas.ProductPatch,
) -> tuple[schemas.AdminProductOut, int, Headers]:
    """Change a product (JSON merge patch); If-Match is required. A change of nothing keeps the version."""
    at = services()
    given = body.model_dump(exclude_unset=True)
    wanted = _checked(schemas.ProductUpsert.model_construct(**{"sku": "", **given}))
    columns = rows.changed_columns(wanted)
    if body.sku:
        columns["sku"] = body.sku
    with at.database.writing() as session:
        row = _found(rows.lock(session, path.product_id), path)
        require_match(row.updated_at)
        if body.category:
            columns["category_id"] = _category_named(session, body.category)
        changed = rows.change(session, row, columns, next_version(at.now(), row.updated_at))
        answer = _product(session, row)
    if changed:
        at.catalogue.forget([row.id])
    return answer, 200, etag(row.updated_at)


@catalogue.delete("/products/<product_id>", responses={204: None})
def delete_product(
    path: ProductPath,
    header: schemas.IfMatchHeader,  # noqa: ARG001 - for the documentation; versions.py reads it
) -> tuple[str, int]:
    """Delete a product that was never sold, and its ledger. What was sold can only be deactivated."""
    at = services()
    with at.database.writing() as session:
        row = _found(rows.lock(session, path.product_id), path)
        check_match(row.updated_at)
        rows.remove(session, row)
    at.catalogue.drop([path.product_id])
    return "", 204


def _checked(body: schemas.ProductUpsert) -> Draft:
    """The body as a draft. Raises ValidationFailed."""
    made, faults = draft(body, services().rules)
    if faults:
        raise _invalid(*faults)
    return made


def _invalid(*faults: Fault) -> ValidationFailed:
    return ValidationFailed(f"field {faults[0].pointer}: {faults[0].message}", faults)


def _found(row: ProductRow | None, path: ProductPath) -> ProductRow:
    if row is None:
        raise ProductNotFound(f"There is no product {path.product_id}.")
    return row


def _category_named(session: Session, name: str) -> int:
    found = rows.category_named(session, name)
    if found is None:
        raise _invalid(Fault("validation_failed", f"there is no category {name}", "/category"))
    return found.id


def _product(session: Session, row: ProductRow) -> schemas.AdminProductOut:
    names = rows.category_names(session, [row.category_id])
    return views.product(row, names[row.category_id], services().rules)


# ---------------------------------------------------------------- categories


@catalogue.get("/categories", responses={200: schemas.AdminCategoriesOut})
def list_all_categories() -> schemas.AdminCategoriesOut:
    """List the categories by name, with the number of all their products."""
    with services().database.reading() as session:
        found = rows.categories(session)
    return schemas.AdminCategoriesOut(items=[views.category(row, products) for row, products in found])


@catalogue.get("/categories/<category_id>", responses={200: schemas.AdminCategoryOut})
def show_category(path: schemas.CategoryPath) -> tuple[schemas.AdminCategoryOut, int, Headers]:
    """Show a category. The ETag goes into If-Match of the request that changes it."""
    with services().database.reading() as session:
        row = _existing(rows.category(session, path.category_id), path)
        return _category(session, row), 200, etag(_version(row))


@catalogue.post("/categories", responses={201: schemas.AdminCategoryOut})
def create_category(body: schemas.CategoryIn) -> tuple[schemas.AdminCategoryOut, int, Headers]:
    """Create a category. Names are unique, whatever the case."""
    with services().database.writing() as session:
        row = rows.create_category(session, body.name, body.description)
        answer = _category(session, row)
    return answer, 201, {"Location": f"{PREFIX}/categories/{row.id}", **etag(_version(row))}


@catalogue.patch("/categories/<category_id>", responses={200: schemas.AdminCategoryOut})
def change_category(
    path: schemas.CategoryPath,
    header: schemas.IfMatchHeader,  # noqa: ARG001 - for the documentation; versions.py reads it
    body: schemas.CategoryChanges,
) -> tuple[schemas.AdminCategoryOut, int, Headers]:
    """Change a category's name or description; If-Match is required."""
    with services().database.writing() as session:
        row = _existing(rows.lock_category(session, path.category_id), path)
        require_match(_version(row))
        rows.change_category(session, row, body.model_dump(exclude_unset=True))
        return _category(session, row), 200, etag(_version(row))


@catalogue.delete("/categories/<category_id>", responses={204: None})
def delete_category(
    path: schemas.CategoryPath,
    header: schemas.IfMatchHeader,  # noqa: ARG001 - for the documentation; versions.py reads it
) -> tuple[str, int]:
    """Delete a category that has no products."""
    with services().database.writing() as session:
        row = _existing(rows.lock_category(session, path.category_id), path)
        check_match(_version(row))
        rows.remove_category(session, row)
    return "", 204


def _existing(row: Category | None, path: schemas.CategoryPath) -> Category:
    if row is None:
        raise CategoryNotFound(f"There is no category {path.category_id}.")
    return row


def _category(session: Session, row: Category) -> schemas.AdminCategoryOut:
    return views.category(row, rows.product_count(session, row.id))


def _version(row: Category) -> int:
    """A category has no column for its version: its content is the version."""
    content = msgspec.json.encode((row.id, row.name, row.description))
    return int.from_bytes(hashlib.sha256(content).digest()[:8])
