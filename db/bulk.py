"""Writing many rows at the driver's own speed.

SQLAlchemy writes the statement, once for each kind of database; the rows go to the driver as they
are, for an INSERT many in one statement. What is skipped is the work for each value of each row, half
of the time of a settlement.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from sqlalchemy import Table, Update, insert
from sqlalchemy.orm import Session

from db.models import Base

ROWS_A_STATEMENT = 32


class BulkInsert:
    """An INSERT into some columns of a table, named in the table's own order."""

    def __init__(self, table: type[Base] | Table, *columns: str, if_new: bool = False) -> None:
        """`if_new` leaves rows out that are there already."""
        # inline: PostgreSQL's would end with RETURNING the key that the database gives, after the first row of many.
        self._statement = insert(table).inline()
        self._columns = columns
        self._end = " ON CONFLICT DO NOTHING" if if_new else ""
        self._texts: dict[str, tuple[str, str]] = {}

    def __call__(self, session: Session, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of values in the order of the columns; documents as JSON text (db.models.as_json)."""
        if not rows:
            return
        connection = session.connection()
        one, many = self._text(connection.dialect)
        whole = len(rows) - len(rows) % ROWS_A_STATEMENT
        if whole:
            groups = (rows[first : first + ROWS_A_STATEMENT] for first in range(0, whole, ROWS_A_STATEMENT))
            connection.exec_driver_sql(many, [tuple(chain.from_iterable(group)) for group in groups])
        if rest := rows[whole:]:
            connection.exec_driver_sql(one, [tuple(row) for row in rest])

    def _text(self, dialect: Any) -> tuple[str, str]:
        """The statement for one row and for many."""
        if dialect.name not in self._texts:
            compiled = self._statement.compile(dialect=dialect, column_keys=list(self._columns))
            if tuple(compiled.positiontup or ()) != self._columns:
                raise ValueError(f"name the columns in the order of the table: {compiled.positiontup}")
            head, marks = str(compiled).rsplit(" VALUES ", 1)
            many = ", ".join([marks] * ROWS_A_STATEMENT)
            self._texts[dialect.name] = (f"{compiled}{self._end}", f"{head} VALUES {many}{self._end}")
        return self._texts[dialect.name]


class BulkUpdate:
    """An UPDATE for each of many rows, with bound parameters named as the rows' members are."""

    def __init__(self, statement: Update) -> None:
        self._statement = statement
        self._texts: dict[str, tuple[str, Any]] = {}

    def __call__(self, session: Session, rows: Sequence[dict[str, Any]]) -> int:
        """Answers how many rows of the table were changed."""
        connection = session.connection()
        if connection.dialect.name not in self._texts:
            compiled = self._statement.compile(dialect=connection.dialect)
            self._texts[connection.dialect.name] = (str(compiled), itemgetter(*(compiled.positiontup or ())))
        text, arranged = self._texts[connection.dialect.name]
        return connection.exec_driver_sql(text, [arranged(row) for row in rows]).rowcount
