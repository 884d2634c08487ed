"""Expressions that each database writes in its own way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from searchengine.catalog.schema import AnyText

CHUNK = 900  # values in one IN list; SQLite before 3.32 takes 999 variables


class position(FunctionElement[int]):  # noqa: N801
    """Where the second text starts in the first one, from 1; 0 if it is not there."""

    type = sa.Integer()
    inherit_cache = True


class lower(FunctionElement[str]):  # noqa: N801
    """The text with its ASCII letters in lower case."""

    type = AnyText()
    inherit_cache = True


class first_folder(FunctionElement[str]):  # noqa: N801
    """All of a path before its first slash; "" where it has none."""

    type = AnyText()
    inherit_cache = True


class joined(FunctionElement[str]):  # noqa: N801
    """All values of the first one, with the second one between them."""

    type = AnyText()
    inherit_cache = True


class local_time(FunctionElement[str]):  # noqa: N801
    """Nanoseconds since 1970 as `2024-07-01T18:30:00` by the clock of this machine."""

    type = AnyText()
    inherit_cache = True


class _among(FunctionElement[bool]):  # noqa: N801
    type = sa.Boolean()
    inherit_cache = True


class _Listed(sa.TypeDecorator[Any]):
    """Any number of integers as one value of a statement."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        """Write them as a JSON list, or as an array of PostgreSQL."""
        written = json.dumps(value)
        return f"{{{written[1:-1]}}}" if dialect.name == "postgresql" else written


def among(column: ColumnElement[int], ids: Iterable[int]) -> ColumnElement[bool]:
    """Whether a column is one of any number of ids."""
    values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    return _among(column, sa.bindparam(None, values, type_=_Listed))


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Cut values, or an array of numbers, into lists that one statement takes."""
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


def numbers(db: Connection, query: sa.Select[Any]) -> NDArray[np.int64]:
    """The integers that a query of one column finds, ascending, (n,) int64."""
    # As one text a million of them take 0.1 s, as rows 1 s.
    (found,) = query.subquery().c
    every = sa.func.aggregate_strings(sa.cast(found, sa.Text), ",")
    listed = db.execute(sa.select(every)).scalar_one()
    return np.sort(np.fromstring(listed, np.int64, sep=",")) if listed else np.empty(0, np.int64)


def _write(element: Any, template: str, dialect: str) -> None:
    """Say how an expression is written; `{0}` and `{1}` are what is given to it."""

    @compiles(element, dialect)
    def write(element: Any, compiler: Any, **options: Any) -> str:
        return template.format(*(compiler.process(each, **options) for each in element.clauses))


for _element, _sqlite, _postgresql in (
    (position, "instr({0}, {1})", "strpos({0}, {1})"),
    # In the collation "C" only ASCII letters have a lower case, as in SQLite.
    (lower, "lower({0})", 'lower(({0}) COLLATE "C")'),
    (
        first_folder,
        "substr({0}, 1, instr({0}, '/') - 1)",
        "substr({0}, 1, greatest(strpos({0}, '/') - 1, 0))",
    ),
    (joined, "group_concat({0}, {1})", "string_agg({0}, {1})"),
    (
        local_time,
        "strftime('%Y-%m-%dT%H:%M:%S', {0} / 1000000000, 'unixepoch', 'localtime')",
        """to_char(to_timestamp({0} / 1000000000), 'YYYY-MM-DD"T"HH24:MI:SS') COLLATE "C\"""",
    ),
    (
        _among,
        "{0} IN (SELECT value FROM json_each({1}))",
        # As a list it would be read again for every row, and searched from its start.
        "{0} IN (SELECT unnest(CAST({1} AS BIGINT[])))",
    ),
):
    _write(_element, _sqlite, "sqlite")
    _write(_element, _postgresql, "postgresql")
