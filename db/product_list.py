"""The shopper's list of products: any filters, four sorts, and the same speed with a million products.

An index for each sort has what is in stock, or in a category, together, so that one walk along it finds
a page. Words, and a price range under another sort, are asked of each product on the way, and may be
rare there: PostgreSQL has statistics and decides itself what to read first. SQLite has none: for it we walk
a little, then look whether the words or the range let so few through that these are quicker read and
sorted, then walk ten times farther, and so on. That costs a few times what the better of the two would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, cast, column, exists, func, literal, or_, select, table, tuple_, union_all
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session, aliased

from db.models import Category, ListedRow, ProductRow, WordsRow, as_json
from db.planner import hidden
from shop.search import Search, possible_skus

MOST_COUNTED: Final = 1000
"""A longer list is not counted to its end."""
MOST_READ: Final = 5 * MOST_COUNTED
"""So many candidates are looked at to count those that fit."""
MOST_FOUND: Final = 2 * MOST_COUNTED
"""The same among what has the words of a search, which is slower."""
REACHES: Final = (300, 3_000, 30_000, 300_000)
"""How far to walk before another look at what else could lead."""
FARTHER: Final = 10
"""How many times farther the next walk goes."""
IN_STOCK, SOLD_OUT = 1, 0
Place = tuple[Any, str]
"""Where a page ended: the sort value and the id of its last entry."""
SORTS: Final[dict[str, tuple[str, bool]]] = {
    "price": ("price_minor", False),
    "-price": ("price_minor", True),
    "name": ("name", False),
    "-created_at": ("created_at", True),
}
"""A list's orders: the column, and whether it falls. The id is always the last key, in the same direction."""
_fts = table("product_search", column("rowid"), column("words"))
"""SQLite's index of words."""
_Listed = type[ListedRow]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a shopper narrows a list to; None means everything."""

    category_id: int | None = None
    min_price_minor: int | None = None
    max_price_minor: int | None = None
    available: bool | None = None
    text: str | None = None

    @property
    def shelves(self) -> tuple[int, ...]:
        if self.available is None:
            return (IN_STOCK, SOLD_OUT)
        return (IN_STOCK,) if self.available else (SOLD_OUT,)

    @property
    def has_range(self) -> bool:
        return self.min_price_minor is not None or self.max_price_minor is not None


@dataclass(frozen=True, slots=True)
class Count:
    """How many entries there are; if not `exact`, there may be more."""

    entries: int
    exact: bool


def page(
    session: Session, wanted: Filter, sort: str, limit: int, offset: int = 0, after: Place | None = None
) -> Sequence[ProductRow]:
    """One entry for each product or group of variants: of a group, the first variant that fits the filter.

    `after` is the sort value and id of the last entry seen: a page costs the same however deep.
    """
    if (query := _Query.of(session, wanted)) is None:
        return []
    ids = query.page(sort, limit + offset, after)[offset:]
    rows = {row.id: row for row in session.scalars(select(ProductRow).where(ProductRow.id.in_(ids)))}
    return [rows[product_id] for product_id in ids]


def count(session: Session, wanted: Filter) -> Count:
    """How many entries the whole list has, as far as that is found out quickly."""
    query = _Query.of(session, wanted)
    return query.count() if query else Count(0, True)


# ---------------------------------------------------------------- facets


def facets(session: Session, wanted: Filter, names: Iterable[str], price_steps: Sequence[int]) -> dict[str, Any]:
    """Counts of entries for each value of a facet; a facet ignores its own filter (disjunctive).

    `price_steps` are the lower bounds of the price ranges, in minor units, ascending from 0.
    `exact` is false where there may be more than one of the counts says.
    """
    counts: list[Count] = []
    query = _Query.of(session, replace(wanted, category_id=None))
    looked = query.look(query.search) if query and query.search else None

    def entries(**change: Any) -> int:
        narrowed = replace(wanted, **change)
        counts.append(looked.count(narrowed) if looked else count(session, narrowed))
        return counts[-1].entries

    found: dict[str, Any] = {}
    if "category" in names:
        rows = session.execute(select(Category.id, Category.name).order_by(Category.name)).all()
        each = [{"id": row[0], "name": row[1], "count": entries(category_id=row[0])} for row in rows]
        found["category"] = [value for value in each if value["count"]]
    if "price" in names:
        found["price"] = [
            {
                "min": low,
                "below": below,
                "count": entries(min_price_minor=low, max_price_minor=None if below is None else below - 1),
            }
            for low, below in zip(price_steps, [*price_steps[1:], None], strict=True)
        ]
    if "availability" in names:
        found["availability"] = {"available": entries(available=True), "all": entries(available=None)}
    return {**found, "exact": all(each.exact for each in counts)} if found else {}


def categories(session: Session) -> Sequence[tuple[Category, Count]]:
    """Every category, and how many products (groups once) shoppers see in it."""
    rows = session.scalars(select(Category).order_by(Category.name))
    return [(row, count(session, Filter(category_id=row.id))) for row in rows]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a search has found: category, price, shelf and entry of each product."""

    rows: Sequence[Any]

    def count(self, wanted: Filter) -> Count:
        low, high = wanted.min_price_minor or 0, wanted.max_price_minor
        entries = {
            entry
            for category_id, price_minor, shelf, entry in self.rows
            if wanted.category_id in (None, category_id)
            and low <= price_minor
            and (high is None or price_minor <= high)
            and shelf in wanted.shelves
        }
        return Count(len(entries), len(self.rows) < MOST_FOUND)


# ---------------------------------------------------------------- the statements


@dataclass(frozen=True, slots=True)
class _Query:
    """A filter on its way to SQL, on the database of a session."""

    session: Session
    wanted: Filter
    search: Search | None
    pinned: Sequence[str]
    """The products whose SKU was asked for: only they are found."""
    sqlite: bool

    @classmethod
    def of(cls, session: Session, wanted: Filter) -> _Query | None:
        """None: nothing can fit."""
        sqlite = session.get_bind().dialect.name == "sqlite"
        if wanted.text is None or wanted.text.isspace():
            return cls(session, wanted, None, (), sqlite)
        if skus := possible_skus(wanted.text):
            named = select(ProductRow.id).where(ProductRow.sku.in_(sorted(skus)), ProductRow.is_active)
            if pinned := session.scalars(named).all():
                return cls(session, wanted, None, pinned, sqlite)
        search = Search.of(wanted.text)
        return cls(session, wanted, search, (), sqlite) if search else None

    # ------------------------------------------------------------ pages

    def page(self, sort: str, limit: int, after: Place | None) -> list[str]:
        """The ids of the first entries behind `after`."""
        key, falls = SORTS[sort]
        along = _Along(key, falls, after)
        if self.sqlite and (self.search or (self.wanted.has_range and key != "price_minor")):
            found = sorted(self._rows(along, limit), key=lambda row: (row[1], row[0]), reverse=falls)
            return [row[0] for row in found[:limit]]
        sides = [self._walk(along, shelf, limit) for shelf in self.wanted.shelves]
        if len(sides) == 1:
            return [row[0] for row in self.session.execute(sides[0])]
        both = union_all(*(select(side.subquery()) for side in sides)).subquery()
        order = along.order(both.c.key, both.c.product_id)
        return list(self.session.scalars(select(both.c.product_id).order_by(*order).limit(limit)))

    def _rows(self, along: _Along, limit: int) -> Sequence[Any]:
        """The first entries and perhaps others, where it is not known what is rare."""
        for reach in REACHES:
            if (found := self._near(along, limit, reach)) is not None:
                return found
            for lead in self._leads(along):
                # Before the next walk, ten times as long.
                if (few := self._few(lead, FARTHER * reach)) is not None:
                    return self.session.execute(self._led(along, few, lead.rest, limit)).all()
        walks = (self._walk(along, shelf, limit) for shelf in self.wanted.shelves)
        return [row for walk in walks for row in self.session.execute(walk)]

    def _near(self, along: _Along, limit: int, reach: int) -> Sequence[Any] | None:
        """The same among the next `reach` products of each shelf; None: they may not be all there."""
        found: list[Any] = []
        for shelf in self.wanted.shelves:
            rows = self.session.execute(self._short_walk(along, shelf, limit, reach)).all()
            found += rows
            if len(rows) == limit:
                # Of the other shelf only what comes before the last of these matters.
                along = replace(along, until=(rows[-1][1], rows[-1][0]))
            elif self._count(self._on_shelf(along, shelf), reach) == reach:
                return None
        return found

    def _few(self, lead: _Lead, most: int) -> Select[Any] | None:
        """The numbers of a lead, if it has fewer than `most`; a few are read only once: words are slow to find."""
        if most <= MOST_FOUND:
            numbers = self._read(lead, most)
            return self._among(numbers) if len(numbers) < most else None
        if lead.least is not None and self._count(lead.least, most) == most:
            return None
        return lead.numbers if self._count(lead.numbers, most) < most else None

    def _read(self, lead: _Lead, most: int) -> Sequence[int]:
        """The numbers of a lead, at most so many."""
        # The whole words first: to find all that begin like a long word takes SQLite long.
        if lead.least is not None and len(found := self.session.scalars(lead.least.limit(most)).all()) == most:
            return found
        return self.session.scalars(lead.numbers.limit(most)).all()

    def _among(self, numbers: Sequence[int]) -> Any:
        """Something to hold a number against."""
        if self.sqlite:
            return select(column("value")).select_from(func.json_each(as_json(numbers)))
        return numbers

    def _count(self, numbers: Select[Any], most: int) -> int:
        return self.session.scalar(select(func.count()).select_from(numbers.limit(most).subquery())) or 0

    def _walk(self, along: _Along, shelf: int, limit: int) -> Select[Any]:
        """The shelf in the order of the sort's index, as far as it takes."""
        row = ListedRow
        key = getattr(row, along.key)
        range_ = self._range_along(along) if along.key == "price_minor" else self._priced(row, plain=False)
        fitting = (*self._on(row, shelf), *range_, *self._asked(row), self._first(row))
        query = select(row.product_id, key.label("key")).where(*fitting, *along.behind(key, row.product_id))
        return query.order_by(*along.order(key, row.product_id)).limit(limit)

    def _short_walk(self, along: _Along, shelf: int, limit: int, reach: int) -> Select[Any]:
        """The same, among the next `reach` products alone; they come in order, and so do the entries among them."""
        row = ListedRow
        columns = (row.product_id, row.number, row.price_minor, row.group_id, getattr(row, along.key).label("key"))
        near = self._on_shelf(along, shelf).with_only_columns(*columns).limit(reach).subquery().c
        fitting = (*self._priced(near, plain=True), *self._asked(near), self._first(near))
        return select(near.product_id, near.key).where(*fitting).limit(limit)

    def _on_shelf(self, along: _Along, shelf: int) -> Select[Any]:
        """The numbers of the products of a shelf behind a place, in order."""
        row, key = ListedRow, getattr(ListedRow, along.key)
        query = select(row.number).where(*self._on(row, shelf), *along.behind(key, row.product_id))
        if along.key == "price_minor":
            query = query.where(*self._range_along(along))
        return query.order_by(*along.order(key, row.product_id))

    def _leads(self, along: _Along) -> Iterable[_Lead]:
        """What else could be read first."""
        row = ListedRow
        if self.search:
            yield self._worded(self.search)
        if self.wanted.has_range and along.key != "price_minor":
            numbers = select(row.number).where(*self._on(row, *self.wanted.shelves), *self._priced(row, plain=True))
            yield _Lead(numbers, None, self._asked(row))

    def _worded(self, search: Search) -> _Lead:
        if not self.sqlite:
            return _Lead(select(WordsRow.number).where(_has_words(search)), None, self._narrowed(ListedRow))
        return _Lead(_match(search), _match(search, finished=True), self._narrowed(ListedRow))

    def _led(self, along: _Along, numbers: Any, rest: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
        """The entries among few products, read and sorted."""
        row, key = ListedRow, hidden(getattr(ListedRow, along.key))
        fitting = (hidden(row.shelf).in_(self.wanted.shelves), *rest, self._first(row))
        query = select(row.product_id, key.label("key")).where(row.number.in_(numbers), *fitting)
        query = query.where(*along.behind(key, hidden(row.product_id)))
        return query.order_by(*along.order(key, hidden(row.product_id))).limit(limit)

    # ------------------------------------------------------------ counts

    def count(self) -> Count:
        row, wanted = ListedRow, self.wanted
        columns = (row.product_id, row.number, row.price_minor, row.group_id)
        if self.search:
            numbers, most = self._found(self.search), MOST_FOUND
            candidates = select(*columns).where(row.number.in_(self._among(numbers)), *self._narrowed(row))
            candidates = candidates.where(self._seen(row.shelf).in_(wanted.shelves))
        else:
            numbers, most = [], MOST_READ
            candidates = select(*columns).where(*self._on(row, *wanted.shelves), *self._priced(row, plain=True))
        near = candidates.limit(most).subquery().c
        found = self._count(select(near.number).where(self._first(near)), MOST_COUNTED + 1)
        if found > MOST_COUNTED:
            return Count(MOST_COUNTED, False)
        read = len(numbers) if self.search else self._count(candidates.with_only_columns(row.number), most)
        return Count(found, read < most)

    def look(self, search: Search) -> _Looked:
        """What the words have found, whatever else is wanted."""
        row, numbers = ListedRow, self._among(self._found(search))
        entry = func.coalesce(row.group_id, row.product_id)
        query = select(row.category_id, row.price_minor, row.shelf, entry).where(row.number.in_(numbers))
        return _Looked(self.session.execute(query).all())

    def _found(self, search: Search) -> Sequence[int]:
        """Numbers of products that have the words, at most MOST_FOUND."""
        return self._read(self._worded(search), MOST_FOUND)

    # ------------------------------------------------------------ conditions

    def _on(self, row: _Listed, *shelves: int) -> list[ColumnElement[bool]]:
        """What every index of the list begins with."""
        found = [row.shelf.in_(shelves) if len(shelves) > 1 else row.shelf == shelves[0]]
        if self.wanted.category_id is not None:
            found.append(row.category_id == self.wanted.category_id)
        if self.pinned:
            found = [self._seen(row.shelf).in_(shelves), row.product_id.in_(self.pinned), *self._narrowed(row)]
        return found

    def _narrowed(self, row: Any) -> list[ColumnElement[bool]]:
        """Category and price, asked of a product that was found otherwise."""
        found = self._priced(row, plain=False)
        if self.wanted.category_id is not None:
            found.append(self._seen(row.category_id) == self.wanted.category_id)
        return found

    def _priced(self, row: Any, *, plain: bool) -> list[ColumnElement[bool]]:
        price, low, high = row.price_minor, self.wanted.min_price_minor, self.wanted.max_price_minor
        price = price if plain else self._seen(price)
        found = [] if low is None else [price >= low]
        return found if high is None else [*found, price <= high]

    def _range_along(self, along: _Along) -> list[ColumnElement[bool]]:
        """The price range for a walk by price, but for the end that lies behind: SQLite would begin there."""
        passed = along.after and along.after[0]
        low, high = self.wanted.min_price_minor, self.wanted.max_price_minor
        if passed is not None and low is not None and not along.falls and passed >= low:
            low = None
        if passed is not None and high is not None and along.falls and passed <= high:
            high = None
        price = ListedRow.price_minor
        found = [] if low is None else [price >= low]
        return found if high is None else [*found, price <= high]

    def _asked(self, row: Any) -> list[ColumnElement[bool]]:
        """Whether a product has the words."""
        if self.search is None:
            return []
        if self.sqlite:
            parts = [f" {word} " for word in self.search.whole] + [f" {self.search.beginning}"]
            there = [func.instr(WordsRow.words, part) > 0 for part in parts]
            return [exists(select(literal(1)).where(WordsRow.number == row.number, *there))]
        return [row.number.in_(select(WordsRow.number).where(_has_words(self.search)))]

    def _first(self, row: Any) -> ColumnElement[bool]:
        """Whether it is the first variant of its group that fits."""
        other = aliased(ListedRow)
        fits = [*self._narrowed(other), self._seen(other.shelf).in_(self.wanted.shelves), *self._asked(other)]
        if self.pinned:
            fits.append(self._seen(other.product_id).in_(self.pinned))
        earlier = select(literal(1)).where(other.group_id == row.group_id, other.product_id < row.product_id, *fits)
        return or_(row.group_id.is_(None), ~exists(earlier))

    def _seen(self, column: Any) -> Any:
        """A column by which SQLite must not go."""
        return hidden(column) if self.sqlite else column


@dataclass(frozen=True, slots=True)
class _Along:
    """A sort, and the place in it behind which to go on."""

    key: str
    falls: bool
    after: Place | None
    until: Place | None = None
    """Where to stop, this place not included."""

    def order(self, key: Any, product_id: Any) -> list[Any]:
        return [key.desc(), product_id.desc()] if self.falls else [key, product_id]

    def behind(self, key: Any, product_id: Any) -> list[ColumnElement[bool]]:
        here = tuple_(key, product_id)
        found: list[ColumnElement[bool]] = []
        if self.after is not None:
            found.append(here < self.after if self.falls else here > self.after)
        if self.until is not None:
            found.append(here > self.until if self.falls else here < self.until)
        return found


@dataclass(frozen=True, slots=True)
class _Lead:
    """Something that may be rare."""

    numbers: Select[Any]
    """Of the products that alone can fit."""
    least: Select[Any] | None
    """Of some of them, more quickly found."""
    rest: list[ColumnElement[bool]]
    """What is left to ask of each, but for its shelf and group."""


def _match(search: Search, *, finished: bool = False) -> Select[Any]:
    """For SQLite: the numbers of the products that have the words, the last one too if it is `finished`.

    Words are letters and digits alone: none of them can end its quotes.
    """
    last = f'"{search.beginning}"' if finished else f'"{search.beginning}"*'
    text = " ".join([*(f'"{word}"' for word in search.whole), last])
    return select(_fts.c.rowid).where(column("product_search").op("MATCH")(text))


def _has_words(search: Search) -> ColumnElement[bool]:
    """For PostgreSQL."""
    text = " & ".join([*(f"'{word}'" for word in search.whole), f"'{search.beginning}':*"])
    return WordsRow.words.op("@@")(cast(text, TSQUERY))
