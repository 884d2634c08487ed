"""What every reader yields: a caption of a picture, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

IMAGE_NAMES: Final = ("image", "file_name", "filename", "filepath", "path")
"""What a column or a key with a picture's name is called; the first that is there counts."""

CAPTION_NAMES: Final = ("caption", "captions", "text", "title")

IMAGE_IS_MISSING: Final = "image is missing"
CAPTION_IS_EMPTY: Final = "caption is empty"
ROW_REPEATS: Final = "row repeats"
SHARD_IS_CUT_OFF: Final = "shard is cut off"


class Row(NamedTuple):
    """One caption of one picture; `where` is its place in the source, for people.

    `path` is the picture's file, relative to the folder of the pictures or absolute; with `span`,
    the file that holds the picture's bytes at (offset, size).
    """

    where: str
    name: str
    path: str
    caption: str
    span: tuple[int, int] | None = None


class Skip(NamedTuple):
    """A place in the source that gives no caption of a picture: why, and which."""

    where: str
    why: str
    what: str


Rows: TypeAlias = Iterable[Row | Skip]


def clean(text: str) -> str:
    """The text on one line with single spaces.

    What UTF-8 cannot hold, such as half of a pair of surrogates in JSON, becomes a question mark.
    """
    return " ".join(text.encode("utf-8", "replace").decode("utf-8").split())


def expected(found: Iterable[object]) -> str:
    """Say which names were found and which are expected."""
    shown = ", ".join(clean(str(name))[:40] for name in list(found)[:8])
    return (
        f"found {shown or 'nothing'}; expected one of {', '.join(IMAGE_NAMES)} for the picture "
        f"and one of {', '.join(CAPTION_NAMES)} for the caption"
    )
