"""Reading rows at the driver's own speed, for the few looks that every shopper takes again and again.

SQLAlchemy writes the statement, once for each kind of database; the rows come as plain records. What is
skipped is the session, the mapping of rows to objects and the work for each execution: of an order's page
that was three quarters of the time (python -m bench.routes).
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import ColumnElement, bindparam, select
from sqlalchemy.engine import Dialect

from db.models import Base

RowType = TypeVar("RowType", bound=Base)


class Look:
    """One moment of the database: what Database.looking gives, for a Lookup to ask."""

    def __init__(self, dialect: Dialect, run: Callable[[str, tuple[Any, ...]], Sequence[Any]]) -> None:
        self.dialect = dialect
        self.run = run


class Lookup(Generic[RowType]):
    """The rows of a table that have these values in some columns, in an order.

    A record has the columns of the mapped class and nothing else of it: it is no part of any session.
    """

    def __init__(
        self,
        table: type[RowType],
        *by: str,
        order_by: Sequence[ColumnElement[Any]] = (),
        only: Sequence[str] = (),
    ) -> None:
        """`by` are the columns that are given, `only` those that are wanted, if it is not all."""
        columns = table.__table__.columns
        wanted = [columns[name] for name in only or columns.keys()]
        self._record = cast("Callable[..., Any]", namedtuple(table.__name__, [column.key for column in wanted]))
        self._types = [column.type for column in wanted]
        given = [columns[name] == bindparam(name) for name in by]
        self._statement = select(*wanted).where(*given).order_by(*order_by)
        self._by = by
        self._text = cache(self._compiled)

    def __call__(self, look: Look, *values: Any) -> list[RowType]:
        """The records; `values` in the order in which the columns were named."""
        text, places, readers = self._text(look.dialect.name, look.dialect)
        rows = look.run(text, tuple(values[place] for place in places))
        if not readers:
            return [self._record(*row) for row in rows]
        found = []
        for row in rows:
            members = list(row)
            for place, read in readers:
                members[place] = read(members[place])
            found.append(self._record(*members))
        return found

    def one(self, look: Look, *values: Any) -> RowType | None:
        return next(iter(self(look, *values)), None)

    def _compiled(self, _name: str, dialect: Dialect) -> tuple[str, list[int], list[tuple[int, Callable[[Any], Any]]]]:
        """The statement, the places of its parameters in `by`, and what is to be read from what the driver gives."""
        compiled = self._statement.compile(dialect=dialect)
        readers = [kind.dialect_impl(dialect).result_processor(dialect, None) for kind in self._types]
        places = [self._by.index(name) for name in compiled.positiontup or ()]
        return str(compiled), places, [(place, read) for place, read in enumerate(readers) if read]
