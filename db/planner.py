"""Telling SQLite, which has no statistics, which index to walk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, UnaryExpression, func
from sqlalchemy.sql.operators import custom_op


def hidden(column: Any) -> ColumnElement[Any]:
    """A column whose indexes SQLite's planner must not consider, by its unary plus."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def unindexed(column: Any) -> ColumnElement[Any]:
    """The same value on either database, in a form for which no index is looked for."""
    return func.coalesce(column, column)
