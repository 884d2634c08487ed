"""Filters as conditions on a table of embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from searchengine.filters import Filters, Orientation, format_of
from searchengine.scale.pgvector.rows import storable

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


def condition(filters: Filters) -> tuple[str, list[Any]]:
    """What must hold, in SQL with placeholders, and what fills these. See catalog.filtering."""
    parts = list(_parts(filters))
    values = [value for _, *values in parts for value in values]
    return " AND ".join(sql for sql, *_ in parts) or "true", values


def _parts(filters: Filters) -> Iterator[tuple[Any, ...]]:
    if filters.after is not None:
        yield "taken_at >= %s", storable(filters.after[:19])
    if filters.before is not None:
        yield "taken_at < %s", storable(filters.before[:19])
    if filters.camera is not None:
        yield _holds("camera"), storable(filters.camera)
    if filters.lens is not None:
        yield _holds("lens"), storable(filters.lens)
    if filters.types:
        yield "format = ANY(%s)", sorted({format_of(name) for name in filters.types})
    if filters.min_bytes is not None:
        yield "size >= %s", min(filters.min_bytes, _LARGEST)
    if filters.min_width is not None:
        yield "width >= %s", min(filters.min_width, _LARGEST)
    if filters.orientation is not None:
        yield (_SHAPES[filters.orientation],)


def _holds(column: str) -> str:
    # Under the collation "C", `lower` knows ASCII letters only, as in the catalog.
    return f'strpos(lower({column} COLLATE "C"), lower(%s::text COLLATE "C")) > 0'
