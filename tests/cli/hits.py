"""Hits made for tests of how they are shown."""

from __future__ import annotations

import os

from searchengine.types import Hit, ImageFile, ImageInfo, IndexedImage, Relevance


def image(number: int, path: str = "", taken_at: str | None = None) -> IndexedImage:
    root, name = os.path.split(path or f"/photos/{number:04}.jpg")
    return IndexedImage(
        number, ImageFile(root, name, 1, 1), ImageInfo(96, 64, "JPEG", taken_at=taken_at)
    )


def hit(
    number: int,
    relevance: Relevance | None = "strong",
    *,
    path: str = "",
    taken_at: str | None = None,
    matched: tuple[str, ...] = ("picture",),
    copies: int = 0,
) -> Hit:
    """A hit that scores the less the higher its number, with copies numbered from 100."""
    others = tuple(image(100 + copy) for copy in range(copies))
    score = 0.5 - number / 100
    return Hit(image(number, path, taken_at), score, relevance, matched, others)
