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

from sqlalchemy import Insert, Update
from sqlalchemy.orm import Session

ROWS_A_STATEMENT = 32

Row = dict[str, Any]
"""Values reach the driver untouched: documents must be JSON text already (db.models.as_json)."""


class BulkInsert:
    """An INSERT for rows that have the same members in the same order."""

    def __init__(self, statement: Insert) -> None:
        self._statement = statement
        self._texts: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}

    def __call__(self, session: Session, rows: Sequence[Row]) -> None:
        if not rows:
            return
        connection = session.connection()
        one, many = self._text(connection.dialect, tuple(rows[0]))
        whole = len(rows) - len(rows) % ROWS_A_STATEMENT
        if whole:
            groups = (rows[first : first + ROWS_A_STATEMENT] for first in range(0, whole, ROWS_A_STATEMENT))
            values = [tuple(chain.from_iterable(row.values() for row in group)) for group in groups]
            connection.exec_driver_sql(many, values)
        if rest := rows[whole:]:
            connection.exec_driver_sql(one, [tuple(row.values()) for row in rest])

    def _text(self, dialect: Any, names: tuple[str, ...]) -> tuple[str, str]:
        """The statement for one row and for many, with the values in the order of `names`."""
        key = (dialect.name, names)
        if key not in self._texts:
            compiled = self._statement.compile(dialect=dialect, column_keys=list(names))
            if tuple(compiled.positiontup or ()) != names:
                raise ValueError(f"name the columns in the order of the table: {compiled.positiontup}")
            head, marks = str(compiled).rsplit(" VALUES ", 1)
            self._texts[key] = (str(compiled), f"{head} VALUES {', '.join([marks] * ROWS_A_STATEMENT)}")
        return self._texts[key]


class BulkUpdate:
    """An UPDATE for each of many rows, with bound parameters named as their members are."""

    def __init__(self, statement: Update) -> None:
        self._statement = statement
        self._texts: dict[str, tuple[str, Any]] = {}

    def __call__(self, session: Session, rows: Sequence[Row]) -> int:
        """Answers how many rows of the table were changed."""
        connection = session.connection()
        if connection.dialect.name not in self._texts:
            compiled = self._statement.compile(dialect=connection.dialect)
            self._texts[connection.dialect.name] = (str(compiled), itemgetter(*(compiled.positiontup or ())))
        text, arranged = self._texts[connection.dialect.name]
        return connection.exec_driver_sql(text, [arranged(row) for row in rows]).rowcount
