"""From rows to captioned images: each image once, and what was of no use counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from searchengine.captions.rows import (
    CAPTION_IS_EMPTY,
    IMAGE_IS_MISSING,
    ROW_REPEATS,
    Row,
    Rows,
    Skip,
    clean,
)
from searchengine.errors import CaptionError
from searchengine.types import CaptionedImage

_EXAMPLES = 5


@dataclass(frozen=True)
class Captions:
    """What a source holds.

    `images` has each image once, in order of first appearance, with all its captions in order.
    `skipped` tells how many rows were of no use and why: "image is missing", "caption is empty",
    "row repeats", "shard is cut off"; `examples` has the first few, such as
    "captions.csv:17: image is missing: dog.jpg".
    """

    images: tuple[CaptionedImage, ...]
    skipped: Mapping[str, int]
    examples: tuple[str, ...]


_Place: TypeAlias = tuple[str, tuple[int, int] | None]
"""Where a picture is: its file, and the span in it."""


class _Found(NamedTuple):
    name: str
    captions: dict[str, None]  # ordered


def gather(rows: Rows, source: Path, folder: Path | None) -> Captions:
    """Collect the captions of each image; relative paths are below `folder`.

    `folder` is None where the source holds the pictures itself. Raises `CaptionError` when there
    is not one usable caption of a picture.
    """
    found: dict[_Place, _Found] = {}
    skipped: Counter[str] = Counter()
    examples: list[str] = []

    @cache  # one look at the disk for each image, not for each row
    def locate(path: str) -> str | None:
        path = os.path.abspath(os.path.join(folder or "", path))
        return path if os.path.isfile(path) else None

    for row in rows:
        skip = row if isinstance(row, Skip) else _add(row, locate(row.path), found)
        if skip is not None:
            skipped[skip.why] += 1
            if len(examples) < _EXAMPLES:
                examples.append(clean(f"{skip.where}: {skip.why}: {skip.what}")[:300])
    if not found:
        raise CaptionError(_why_nothing(source, folder, skipped, examples))
    images = (
        CaptionedImage(name, tuple(captions), path, span)
        for (path, span), (name, captions) in found.items()
    )
    return Captions(tuple(images), dict(skipped), tuple(examples))


def _add(row: Row, path: str | None, found: dict[_Place, _Found]) -> Skip | None:
    """Add a row to what was found; otherwise say why not."""
    caption = clean(row.caption)
    if path is None:
        return Skip(row.where, IMAGE_IS_MISSING, row.name)
    if not caption:
        return Skip(row.where, CAPTION_IS_EMPTY, row.name)
    captions = found.setdefault((path, row.span), _Found(row.name, {})).captions
    if caption in captions:
        return Skip(row.where, ROW_REPEATS, row.name)
    captions[caption] = None
    return None


def _why_nothing(
    source: Path, folder: Path | None, skipped: Counter[str], examples: list[str]
) -> str:
    message = f"{source} holds no usable pair of an image and a caption"
    if skipped:
        reasons = ", ".join(f"{why} ({count})" for why, count in skipped.items())
        message += f"; skipped {skipped.total()} rows: {reasons}; the first is {examples[0]}"
    else:
        message += "; each row names a picture and has a caption, each picture has its .txt"
    if folder is not None and IMAGE_IS_MISSING in skipped:
        message += (
            f"; pictures were looked for in {os.path.abspath(folder)}: name their folder with "
            "--images"
        )
    return message
