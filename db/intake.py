"""Taking in many products at once: an import, a bulk request.

The rows are staged in tables of their own, which keep nobody else out: temporary ones on PostgreSQL, a nameless
file beside the shop's on SQLite, where some builds keep whatever is temporary in memory. What is wrong with the
rows, and what is new or differs, is found with a few statements over all of them, and written with a few more in
one transaction: the only moment at which others wait.

Memory does not grow with the rows. What SQLite keeps there is kept small: an index gives each order, so that
nothing is sorted; large statements go in portions; and new products are written in the order of their ids.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    Text,
    case,
    cast,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

from db.bulk import BulkInsert
from db.models import Category, Flag, ProductRow, StockMovementRow, Whole, as_json
from db.session import CATALOGUE_KEY, SQLITE, Database, database_errors, take_turns
from shop.catalogue import LOW_STOCK, Draft
from shop.errors import Unavailable

ROWS_AT_ONCE = 2000
ROWS_A_STATEMENT: Final = {"sqlite": 500, "postgresql": 100_000}
"""SQLite remembers each page that a statement changes until it is through, some builds in memory."""
TRIES: Final = 3
CACHE_KIB: Final = 65_536
"""SQLite, while it writes: as much as may be of the indexes, three of which are filled in no order."""
SCRATCH_CACHE_KIB: Final = 8_192
NEW, CHANGED, UNCHANGED, FAULTY = "new", "changed", "unchanged", "faulty"

_TABLES = MetaData()


def _temporary(name: str, *parts: Any) -> Table:
    return Table(name, _TABLES, *parts, prefixes=["TEMPORARY"])


def _position() -> Column[int]:
    return Column("position", Whole, primary_key=True, autoincrement=False)


_rows = _temporary(
    "intake_rows",
    _position(),
    Column("line", Whole),
    Column("sku", Text),
    Column("id", Text),
    Column("new_id", Text),
    Column("name", Text),
    Column("description", Text),
    Column("description_html", Text),
    Column("price_minor", Whole),
    Column("category", Text),
    Column("new_category", Text),
    Column("stock_quantity", Whole),
    Column("image_url", Text),
    Column("images", Text),
    Column("specifications", Text),
    Column("tax_class", Text),
    Column("weight_grams", Whole),
    Column("group_id", Text),
    Column("options", Text),
    Column("is_active", Flag),
    Column("low_stock_threshold", Whole),
)
_order = _temporary("intake_order", Column("place", Whole, primary_key=True), Column("position", Whole))
"""The rows in the order of their ids: indexes are filled page by page in it, and all over the place in a file's."""
_repeats = _temporary("intake_repeats", _position(), Column("first_line", Whole))
"""Rows whose SKU an earlier row has."""
_twins = _temporary("intake_twins", _position(), Column("first", Whole))
"""Rows that would make the same id, and the first of them."""
_gaps = _temporary("intake_gaps", Column("position", Whole), Column("field", Text))
"""What rows lack that a new product needs."""
_names = _temporary(
    "intake_categories", Column("name", Text, primary_key=True), Column("key", Text), Column("category_id", Whole)
)
"""Each spelling of a category, and which category it means, if there is one."""
_verdicts = _temporary(
    "intake_verdicts",
    _position(),
    Column("product_id", Text),
    Column("kind", Text),
    Column("edited", Flag),
    Column("stock_change", Whole),
    Column("renamed", Flag),
)
_faults = _temporary("intake_faults", Column("position", Whole), Column("field", Text), Column("message", Text))
_INDEXES: Final = {
    "intake_rows": ("sku, position", "new_id, position", "new_category, position"),
    "intake_twins": ("first, position",),
    "intake_categories": ("key",),
    "intake_faults": ("position",),
}
"""There before the rows: nothing needs to be sorted later."""
# A mapped class's __table__ is typed as any FromClause; these are tables.
_PRODUCTS: Table = ProductRow.__table__  # type: ignore[assignment]
_CATEGORIES: Table = Category.__table__  # type: ignore[assignment]
_r, _v, _p = _rows.c, _verdicts.c, _PRODUCTS.c
_NEEDED: Final = {"name": _r.name, "price": _r.price_minor, "category": _r.new_category}
_stage = BulkInsert(_rows, *_rows.c.keys())
_EMPTY_LIST, _EMPTY_MAP = as_json([]), as_json({})
_DEFAULTS: Final[dict[str, Any]] = {
    "description": "",
    "image_url": "",
    "images": _EMPTY_LIST,
    "specifications": _EMPTY_MAP,
    "weight_grams": 0,
    "options": _EMPTY_MAP,
    "low_stock_threshold": LOW_STOCK,
}
"""What a new product gets where nothing is said; is_active and tax_class aside."""
_GIVEN_OR_KEPT = ("name", "price_minor", "tax_class", "is_active", *_DEFAULTS)
"""Columns that a row gives or leaves; the others have rules of their own."""


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a row beside its form; `field` is named as in a product's body."""

    line: int
    sku: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What becomes, or became, of a row."""

    line: int
    sku: str
    product_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows are new products, change one, change nothing or are faulty."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    faulty: int = 0


class Intake:
    """Products on their way in: `stage`, look at `plan` and `faults`, `apply`.

    A row is found by its SKU. What it leaves out stays as it is; a plain description that differs, without
    HTML beside it, removes the HTML. Stock is only for new products, unless `set_stock`: then it becomes the
    number given. `tax_class` and `category` are a new product's where its row names none. `place` and a
    line's number name a row in the faults of others. Everything raises Unavailable.
    """

    def __init__(
        self,
        database: Database,
        now: int,
        *,
        tax_class: str = "standard",
        category: str | None = None,
        set_stock: bool = False,
        place: str = "line ",
    ) -> None:
        self._database = database
        self._now = now
        self._tax_class = tax_class
        self._category = category
        self._set_stock = set_stock
        self._place = place
        self._positions = count()
        self._looked = False
        self._connection: Connection

    def __enter__(self) -> Self:
        with database_errors():
            self._connection = self._database.engine.connect()
            # Out of the pool: nobody must inherit the tables, and closing it is what removes them.
            self._connection.detach()
        try:
            with database_errors():
                if self._database.is_sqlite():
                    _attach_scratch(self._connection)
            with self._transaction() as session:
                _create_tables(session.connection())
        except BaseException:
            self._connection.close()  # Nobody else will.
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with database_errors():
            self._connection.close()

    def stage(self, rows: Iterable[tuple[int, Draft, str]]) -> None:
        """Put rows aside: each row's line, its draft, and the id of the product in case it is a new one.

        Reads `rows` in portions and keeps none of them in memory.
        """
        coming = iter(rows)
        while portion := [_values(next(self._positions), self._category, *row) for row in islice(coming, ROWS_AT_ONCE)]:
            with self._transaction() as session:
                _stage(session, portion)

    def plan(self) -> Counts:
        """What `apply` would do now. Keeps nobody out."""
        self._look_across()
        with self._transaction() as session:
            return self._judge(session)

    def apply(self, *, drop_faulty: bool = False, actor: str | None = None) -> Counts:
        """Write every row in one transaction; nothing at all if one is faulty, unless those are to be dropped.

        Looks again first: since `plan` others may have changed the shop.
        """
        self._look_across()  # What needs no lock is done before.
        for left in reversed(range(TRIES)):
            try:
                with self._transaction(writes=True) as session:
                    self._keep_still(session)
                    counts = self._judge(session)
                    if drop_faulty or not counts.faulty:
                        self._write(session, counts, actor)
                    return counts
            except IntegrityError:
                # Somebody made the same product or category this very moment: now it can be seen. Nobody can on SQLite.
                if not left or self._database.is_sqlite():
                    raise
        raise AssertionError("unreachable")

    def faults(self) -> Iterator[RowFault]:
        """What the last plan or apply found wrong, in the order of the rows."""
        query = select(_r.line, _r.sku, _faults.c.field, _faults.c.message).join_from(
            _faults, _rows, _r.position == _faults.c.position
        )
        yield from (RowFault(*row) for row in self._stream(query.order_by(_faults.c.position)))

    def taken(self, *kinds: str) -> Iterator[Taken]:
        """What the last plan or apply made of the rows: those of some kinds, in their order."""
        query = select(_r.line, _r.sku, _v.product_id, _v.kind).join_from(_verdicts, _rows, _r.position == _v.position)
        yield from (Taken(*row) for row in self._stream(query.where(_v.kind.in_(kinds)).order_by(_v.position)))

    def _stream(self, query: Any) -> Iterator[Any]:
        with self._transaction() as session:
            yield from session.execute(query.execution_options(yield_per=ROWS_AT_ONCE))

    @contextmanager
    def _transaction(self, writes: bool = False) -> Iterator[Session]:
        """On SQLite without the write lock, unless it `writes` more than the temporary tables."""
        self._connection.execution_options(writes=writes)
        with database_errors(), Session(self._connection) as session, session.begin():
            if not self._database.is_sqlite():
                # A million rows may take their time; waiting for somebody's lock still may not.
                session.connection().exec_driver_sql("SET LOCAL statement_timeout = 0")
            yield session

    def _keep_still(self, session: Session) -> None:
        """PostgreSQL: hold the products concerned, in id order as settlements do. SQLite's lock is there already."""
        if self._database.is_sqlite():
            return
        take_turns(session.connection(), CATALOGUE_KEY)  # Two intakes could deadlock over what is new.
        found = (
            select(_p.id).where(_p.sku.in_(select(_r.sku))).order_by(_p.id).with_for_update(key_share=True).cte("held")
        )
        session.execute(select(func.count()).select_from(found))

    def _look_across(self) -> None:
        """What the rows alone can tell, once: SKUs that come again, and the spellings of categories."""
        if self._looked:
            return
        with self._transaction() as session:
            for table, columns, found in _across():
                session.execute(insert(table).from_select(columns, found))
            if not self._database.is_sqlite():
                # Nobody else tells the planner how many rows there are.
                for table in (_rows, _order, _repeats, _twins, _gaps, _names):
                    session.connection().exec_driver_sql(f"ANALYZE {table.name}")
        self._looked = True

    # ------------------------------------------------------------ judging

    def _judge(self, session: Session) -> Counts:
        """Hold every row against the shop as it is now."""
        for table in (_verdicts, _faults):
            session.execute(delete(table))
        session.execute(update(_names).values(category_id=None))
        _find_categories(session)
        for part in self._parts(session, _r.position):
            session.execute(insert(_verdicts).from_select(_v.keys(), self._verdicts().where(part)))
        for faulty in _checks(self._place):
            session.execute(insert(_faults).from_select(["position", "field", "message"], faulty))
        bad = select(_faults.c.position).distinct().subquery()
        faulty_rows = session.scalar(select(func.count()).select_from(bad)) or 0
        if faulty_rows:
            is_bad = select(_faults.c.position).where(_faults.c.position == _v.position).exists()
            session.execute(update(_verdicts).where(is_bad).values(kind=FAULTY))
        # One pass and three counters: SQLite would sort the rows to group them.
        of_new, of_changed, of_unchanged = (func.count().filter(_v.kind == kind) for kind in (NEW, CHANGED, UNCHANGED))
        new, changed, unchanged = session.execute(select(of_new, of_changed, of_unchanged)).one()
        return Counts(new, changed, unchanged, faulty_rows)

    def _parts(self, session: Session, number: ColumnElement[int]) -> Iterator[ColumnElement[bool]]:
        """All rows in portions, each of consecutive positions or places."""
        rows = (session.scalar(select(func.max(_r.position))) or 0) + 2
        size = ROWS_A_STATEMENT[self._database.engine.dialect.name]
        yield from (number.between(first, first + size - 1) for first in range(0, rows, size))

    def _verdicts(self) -> Any:
        is_new = _p.id.is_(None)
        edited = or_(*(_p[name].is_distinct_from(value) for name, value in _wanted(_names.c.category_id).items()))
        change: ColumnElement[int] = literal(0, Whole)
        if self._set_stock:
            change = func.coalesce(_r.stock_quantity - _p.stock_quantity, 0)
        kind = case((is_new, NEW), (or_(edited, change != 0), CHANGED), else_=UNCHANGED)
        return (
            select(
                _r.position,
                func.coalesce(_p.id, _r.new_id),
                kind,
                case((is_new, false()), else_=edited),
                case((is_new, 0), else_=change),
                func.coalesce(_r.id != _p.id, false()),
            )
            .select_from(_rows)
            .outerjoin(_PRODUCTS, _p.sku == _r.sku)
            .outerjoin(_names, _names.c.name == _r.category)
            .outerjoin(_repeats, _repeats.c.position == _r.position)
            .where(_repeats.c.position.is_(None))
        )

    # ------------------------------------------------------------ writing

    def _write(self, session: Session, counts: Counts, actor: str | None) -> None:
        _make_categories(session)
        for numbers in self._parts(session, _order.c.place):
            part = numbers & (_v.position == _order.c.position)
            if counts.changed:
                self._change(session, part)
                if self._set_stock:
                    self._adjust(session, part, actor)
            if counts.new:
                self._open(session, part, actor)

    def _change(self, session: Session, part: ColumnElement[bool]) -> None:
        category_id = select(_names.c.category_id).where(_names.c.name == _r.category).scalar_subquery()
        version = case((_p.updated_at < self._now, self._now), else_=_p.updated_at + 1)
        session.execute(
            update(_PRODUCTS)
            .where(_p.id == _v.product_id, _v.position == _r.position, _v.kind == CHANGED, _v.edited == true(), part)
            .values(**_wanted(category_id), updated_at=version),
            execution_options={"synchronize_session": False},
        )

    def _adjust(self, session: Session, part: ColumnElement[bool], actor: str | None) -> None:
        """The stock becomes what the row says, and the ledger says so (P4)."""
        concerned = (_v.kind == CHANGED, _v.stock_change != 0, part)
        session.execute(
            update(_PRODUCTS)
            .where(_p.id == _v.product_id, *concerned)
            .values(stock_quantity=_p.stock_quantity + _v.stock_change),
            execution_options={"synchronize_session": False},
        )
        self._move(session, "adjusted", select(_v.product_id, _v.stock_change).where(*concerned), actor)

    def _open(self, session: Session, part: ColumnElement[bool], actor: str | None) -> None:
        """New products, and the first entries of their ledgers."""
        stock = func.coalesce(_r.stock_quantity, 0)
        values: dict[str, Any] = {
            "id": _v.product_id,
            "sku": _r.sku,
            "name": _r.name,
            "price_minor": _r.price_minor,
            "category_id": _names.c.category_id,
            "stock_quantity": stock,
            **{name: func.coalesce(_r[name], default) for name, default in _DEFAULTS.items()},
            "tax_class": func.coalesce(_r.tax_class, self._tax_class),
            "is_active": func.coalesce(_r.is_active, true()),
            "description_html": func.nullif(_r.description_html, ""),
            "group_id": func.nullif(_r.group_id, ""),
            "created_at": literal(self._now, Whole),
            "updated_at": literal(self._now, Whole),
        }
        rows = (
            select(*values.values())
            .select_from(_order)
            .join(_verdicts, _v.position == _order.c.position)
            .join(_rows, _r.position == _v.position)
            .join(_names, _names.c.name == _r.new_category)
            .where(_v.kind == NEW, part)
            .order_by(_order.c.place)
        )
        session.execute(insert(_PRODUCTS).from_select(list(values), rows, include_defaults=False))
        opened = select(_v.product_id, stock).join_from(_verdicts, _rows, _r.position == _v.position)
        self._move(session, "opening", opened.where(_v.kind == NEW, part).order_by(_order.c.place), actor)

    def _move(self, session: Session, kind: str, query: Any, actor: str | None) -> None:
        """Entries of the ledger: `query` answers product ids and quantities."""
        query = query.add_columns(literal(kind), literal(self._now, Whole), literal(actor, Text))
        columns = ["product_id", "quantity", "kind", "at", "actor"]
        session.execute(insert(StockMovementRow).from_select(columns, query, include_defaults=False))


def _values(position: int, category: str | None, line: int, draft: Draft, new_id: str) -> tuple[Any, ...]:
    """A row as the columns of its table."""
    images = draft.images
    return (
        position,
        line,
        draft.sku,
        draft.id,
        new_id,
        draft.name,
        draft.description,
        draft.description_html,
        draft.price_minor,
        draft.category,
        draft.category or category,
        draft.stock_quantity,
        None if images is None else images[0] if images else "",
        as_json(images),
        as_json(draft.specifications),
        draft.tax_class,
        draft.weight_grams,
        draft.group_id,
        as_json(draft.options),
        draft.is_active,
        draft.low_stock_threshold,
    )


def _wanted(category_id: ColumnElement[Any]) -> dict[str, ColumnElement[Any]]:
    """What an existing product's columns shall be: given by the row, or as they are."""
    rewritten = _r.description.is_distinct_from(_p.description)
    html = case(
        (_r.description_html.is_not(None), func.nullif(_r.description_html, "")),
        (_r.description.is_not(None) & rewritten, None),
        else_=_p.description_html,
    )
    return {
        **{name: func.coalesce(_r[name], _p[name]) for name in _GIVEN_OR_KEPT},
        "description_html": html,
        "category_id": case((_r.category.is_(None), _p.category_id), else_=category_id),
        "group_id": case((_r.group_id.is_(None), _p.group_id), else_=func.nullif(_r.group_id, "")),
    }


def _across() -> Iterator[tuple[Table, list[str], Any]]:
    """What the rows alone can tell: the table for it, its columns, the query."""
    in_order = select(_r.position).order_by(_r.new_id, _r.position)
    yield _order, ["position"], in_order
    first, again = _rows.alias(), _shared(_r.sku)
    repeats = (
        select(_r.position, first.c.line)
        .join_from(again, _rows, (_r.sku == again.c.value) & (_r.position > again.c.first))
        .join(first, first.c.position == again.c.first)
    )
    yield _repeats, ["position", "first_line"], repeats
    again = _shared(_r.new_id)
    twins = select(_r.position, again.c.first).join_from(again, _rows, _r.new_id == again.c.value)
    yield _twins, ["position", "first"], twins.where(again.c.value != "")
    for field, column in _NEEDED.items():
        yield _gaps, ["position", "field"], select(_r.position, literal(field)).where(column.is_(None))
    spelled = select(_r.new_category, func.lower(_r.new_category)).group_by(_r.new_category)
    yield _names, ["name", "key"], spelled.where(_r.new_category.is_not(None))


def _shared(column: Column[Any]) -> Any:
    """The values that several rows have, and the first of those rows."""
    values = select(column.label("value"), func.min(_r.position).label("first"))
    return values.group_by(column).having(func.count() > 1).subquery()


def _checks(place: str) -> Iterator[Any]:
    """Queries for what can be wrong: position, field and message, in the order in which they are told."""
    owner = _PRODUCTS.alias()
    repeated = literal(place) + cast(_repeats.c.first_line, Text) + " has the SKU " + _r.sku + " already"
    yield select(_r.position, literal("sku"), repeated).join_from(_repeats, _rows, _r.position == _repeats.c.position)
    other = "the id of this product is " + _v.product_id + " and cannot change"
    yield select(_v.position, literal("id"), other).where(_v.renamed == true())
    none = "no id can be made from this SKU: give one"
    nameless = select(_v.position, literal("id"), literal(none)).where(_r.new_id == "", _v.kind == NEW)
    yield nameless.join_from(_rows, _verdicts, _v.position == _r.position)
    taken = "the id " + _v.product_id + " belongs to the product with the SKU " + owner.c.sku
    owned = select(_v.position, literal("id"), taken).join_from(_verdicts, owner, owner.c.id == _v.product_id)
    yield owned.where(_v.kind == NEW)
    yield _ids_twice(place)
    for field in _NEEDED:
        lacking = select(_v.position, literal(field), literal(f"a new product needs a {field}"))
        lacking = lacking.join_from(_gaps, _verdicts, _v.position == _gaps.c.position)
        yield lacking.where(_gaps.c.field == field, _v.kind == NEW)


def _ids_twice(named: str) -> Any:
    """New products that want the id of an earlier one."""
    t, later = _twins.c, _twins.alias()
    is_new = (_v.position == t.position) & (_v.kind == NEW)
    # An outer join, so that SQLite begins with the twins, which are in order, and has nothing to sort.
    first = (
        select(t.first, func.min(_v.position).label("position"))
        .join_from(_twins, _verdicts, is_new, isouter=True)
        .group_by(t.first)
        .subquery()
    )
    message = literal(named) + cast(_r.line, Text) + " has the id " + _v.product_id + " already"
    return (
        select(later.c.position, literal("id"), message)
        .join_from(first, later, (later.c.first == first.c.first) & (later.c.position > first.c.position))
        .join(_verdicts, _v.position == later.c.position)
        .join(_rows, _r.position == first.c.position)
        .where(_v.kind == NEW)
    )


def _find_categories(session: Session) -> None:
    """The category of each spelling: the one spelled just so, else any that differs only in case."""
    exact = select(_CATEGORIES.c.id).where(_CATEGORIES.c.name == _names.c.name).scalar_subquery()
    unknown = _names.c.category_id.is_(None)
    session.execute(update(_names).where(unknown).values(category_id=exact))
    key = func.lower(_CATEGORIES.c.name)
    alike = select(key.label("key"), func.min(_CATEGORIES.c.id).label("id")).group_by(key).subquery()
    session.execute(update(_names).where(unknown, _names.c.key == alike.c.key).values(category_id=alike.c.id))


def _make_categories(session: Session) -> None:
    """The categories that rows name and nobody has made, spelled as the first of those rows does."""
    needed = or_(_v.kind == NEW, (_v.kind == CHANGED) & _r.category.is_not(None))
    first_row = (
        select(_r.position)
        .join_from(_rows, _verdicts, _v.position == _r.position)
        .where(_r.new_category == _names.c.name, needed)
        .order_by(_r.position)
        .limit(1)
        .scalar_subquery()
    )
    spellings = select(_names.c.key, first_row.label("position")).where(_names.c.category_id.is_(None)).subquery()
    first = select(func.min(spellings.c.position).label("position")).group_by(spellings.c.key).subquery()
    last = select(func.coalesce(func.max(_CATEGORIES.c.id), 0)).scalar_subquery()
    number = func.row_number().over(order_by=first.c.position)
    made = select(last + number, _r.new_category, literal("")).join_from(first, _rows, _r.position == first.c.position)
    session.execute(insert(_CATEGORIES).from_select(["id", "name", "description"], made, include_defaults=False))
    _find_categories(session)


# ---------------------------------------------------------------- the tables


def _attach_scratch(connection: Connection) -> None:
    """SQLite: a file for the staged rows that nobody else can see, and that is gone with its last user."""
    try:
        place, path = tempfile.mkstemp(prefix=".intake-", dir=Path(connection.engine.url.database or "").parent)
        os.close(place)
    except OSError as error:
        raise Unavailable(f"There is no place for the rows: {error}") from error
    driver: Any = connection.connection.dbapi_connection
    try:
        driver.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        driver.execute("ATTACH ? AS intake", (path,))
        settings = (
            "journal_mode=OFF",  # Whatever fails ends the intake: nothing is undone here, and memory need not hold it.
            "synchronous=OFF",
            "locking_mode=EXCLUSIVE",
            f"cache_size=-{SCRATCH_CACHE_KIB}",
        )
        for setting in settings:
            driver.execute(f"PRAGMA intake.{setting}").fetchall()
    except SQLITE.Error as error:
        raise Unavailable(f"There is no place for the rows: {error}") from error
    finally:
        Path(path).unlink()


def _create_tables(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    for table in _TABLES.sorted_tables:
        text = str(CreateTable(table).compile(dialect=connection.dialect))
        connection.exec_driver_sql(text.replace("CREATE TEMPORARY TABLE ", "CREATE TABLE intake.") if sqlite else text)
    for table_name, indexes in _INDEXES.items():
        for number, columns in enumerate(indexes):
            name = f"{'intake.' if sqlite else ''}ix_{table_name}_{number}"
            connection.exec_driver_sql(f"CREATE INDEX {name} ON {table_name} ({columns})")
