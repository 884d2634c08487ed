"""Filters as conditions on a table of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

from searchengine.filters import Filters, Orientation, format_of
from searchengine.scale.pgvector.rows import storable

Names: TypeAlias = Callable[[str, str], list[str]]
"""For a column and a text, what the query of `holding` finds."""

_LONGEST: Final = 500  # characters; PostgreSQL takes 2,700 bytes into an index
_LARGEST: Final = 2**63 - 1  # that the database takes
_SHAPES: Final[dict[Orientation, str]] = {
    "landscape": "width > height",
    "portrait": "width < height",
    "square": "width = height",
}


def can_express(filters: Filters) -> bool:
    """Tell whether a condition on the facts says the same as the catalog would.

    Folders and captions change without the content, and places need a sphere.
    """
    return filters.near is None and filters.folder is None and filters.captioned is None


def condition(filters: Filters, names: Names) -> tuple[str, list[Any]]:
    """What must hold, in SQL with placeholders, and what fills these. See catalog.filtering.

    `names` looks into the table.
    """
    parts = list(_parts(filters, names))
    values = [value for _, *values in parts for value in values]
    return " AND ".join(sql for sql, *_ in parts) or "true", values


def _parts(filters: Filters, names: Names) -> Iterator[tuple[Any, ...]]:
    if filters.after is not None:
        yield "taken_at >= %s", storable(filters.after[:19])
    if filters.before is not None:
        yield "taken_at < %s", storable(filters.before[:19])
    if filters.camera is not None:
        yield _named("camera", filters.camera, names)
    if filters.lens is not None:
        yield _named("lens", filters.lens, names)
    if filters.types:
        yield "format = ANY(%s)", sorted({format_of(name) for name in filters.types})
    if filters.min_bytes is not None:
        yield "size >= %s", min(filters.min_bytes, _LARGEST)
    if filters.min_width is not None:
        yield "width >= %s", min(filters.min_width, _LARGEST)
    if filters.orientation is not None:
        yield (_SHAPES[filters.orientation],)


def head(column: str) -> str:
    """As much of a name as an index takes, whatever a picture says that it was taken with."""
    return f"left({column}, {_LONGEST})"


def holding(table: str, column: str) -> str:
    """A query for the names in a column that hold a text, or may, by jumping along the index.

    See "Loose indexscan" in PostgreSQL's wiki. Gives what `head` does.
    """
    first = f"SELECT min({head(column)}) FROM {table}"
    following = f"SELECT min({head(column)}) FROM {table} WHERE {head(column)} > name"
    return (
        f"WITH RECURSIVE names(name) AS ({first} UNION ALL"
        f" SELECT ({following}) FROM names WHERE name IS NOT NULL)"
        f" SELECT name FROM names WHERE {_holds('name')} OR length(name) = {_LONGEST}"
    )


def _named(column: str, text: str, names: Names) -> tuple[Any, ...]:
    """A condition on whole names: the server knows how many rows have them."""
    found = names(column, text)
    if any(len(name) == _LONGEST for name in found):
        return f"{head(column)} = ANY(%s) AND {_holds(column)}", found, storable(text)
    return f"{head(column)} = ANY(%s)", found


def _holds(column: str) -> str:
    # Under the collation "C", `lower` knows ASCII letters only, as in the catalog.
    return f'strpos(lower({column} COLLATE "C"), lower(%s::text COLLATE "C")) > 0'
