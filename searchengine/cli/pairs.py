"""Captioned images as the commands name them: a file, a folder, shards, or an index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from searchengine.types import CaptionedImage


@dataclass(frozen=True)
class Pairs:
    """Captioned images, why some rows were skipped, and the model of the index they come from."""

    images: Sequence[CaptionedImage]
    skipped: Mapping[str, int]
    model: str | None = None


def read_pairs(source: Path, images: Path | None) -> Pairs:
    """Read PAIRS; raises `CaptionError`, or what opening an index raises."""
    from searchengine.index import Index

    if Index.exists(source):
        return _of_index(source)
    from searchengine.captions import read_captions

    read = read_captions(source, images)
    return Pairs(read.images, read.skipped)


def say_skipped(skipped: Mapping[str, int]) -> None:
    """Say on stderr which rows were of no use."""
    for reason, count in skipped.items():
        click.echo(f"skipped: {reason} ({count})", err=True)


def _of_index(folder: Path) -> Pairs:
    from searchengine.captioning import captioned_images
    from searchengine.errors import CaptionError
    from searchengine.scale.opening import open_index

    with open_index(folder) as index:
        images, model = captioned_images(index), index.spec.name
    if not images:
        raise CaptionError(
            f"the index {folder} holds no captions; store some with: "
            f"searchengine index --index {folder} --captions FILE"
        )
    return Pairs(images, {}, model)
