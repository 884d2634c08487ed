"""Filters as expressions of Milvus, and what of an image it keeps for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from searchengine.filters import Filters, Orientation, format_of
from searchengine.types import Facts

LONGEST_FORMAT: Final = 64  # characters
LONGEST_DATE: Final = 32
_LARGEST: Final = 2**63 - 1  # that Milvus takes
_SHAPES: Final[dict[Orientation, str]] = {
    "landscape": "width > height",
    "portrait": "width < height",
    "square": "width == height",
}


def can_express(filters: Filters) -> bool:
    """Tell whether an expression says the same as the catalog would.

    Folders and captions change without the content, places need a sphere, and parts of names
    without regard to case are nothing that every version of Milvus finds.
    """
    others = (filters.camera, filters.lens, filters.near, filters.folder, filters.captioned)
    return all(each is None for each in others)


def expression(filters: Filters) -> str:
    """What must hold of the fields that `kept` gives; "" where all pass. See catalog.filtering."""
    return " and ".join(f"({part})" for part in _parts(filters))


def _parts(filters: Filters) -> Iterator[str]:
    if filters.after is not None:
        yield f'taken_at != "" and taken_at >= {quoted(filters.after[:19])}'
    if filters.before is not None:
        yield f'taken_at != "" and taken_at < {quoted(filters.before[:19])}'
    if filters.types:
        formats = sorted({format_of(name) for name in filters.types})
        yield f"format in [{', '.join(map(quoted, formats))}]"
    if filters.min_bytes is not None:
        yield f"size >= {min(filters.min_bytes, _LARGEST)}"
    if filters.min_width is not None:
        yield f"width >= {min(filters.min_width, _LARGEST)}"
    if filters.orientation is not None:
        yield _SHAPES[filters.orientation]


def quoted(text: str) -> str:
    """A text as a literal that ends where it is meant to, whatever is in it."""
    for special, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(special, escaped)
    return f'"{text}"'


def of_ids(ids: Iterable[int]) -> str:
    """One of these ids."""
    return f"id in [{','.join(map(str, ids))}]"


def kept(facts: Facts) -> dict[str, Any]:
    """The fields of an image beside its embedding; Milvus 2.3 has no null, a missing date is ""."""
    return {
        "size": facts.size,
        "width": facts.width,
        "height": facts.height,
        "format": facts.format[:LONGEST_FORMAT],
        "taken_at": (facts.taken_at or "")[:LONGEST_DATE],
    }
