"""Captions in an index: which of its images a source of captions describes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from searchengine.captions import Captions
from searchengine.index import Changes, Index
from searchengine.types import CaptionedImage

_TOGETHER = 5000  # images whose captions share a transaction


@dataclass(frozen=True)
class Stored:
    """What was stored: captions of how many images; `unknown` images are not in the index."""

    images: int
    captions: int
    unknown: int


def store_captions(index: Index, captions: Captions) -> Stored:
    """Give the images of the index their captions in place of those they had.

    An image is known by its absolute path, or by that of the file that links lead to. Images that
    the source does not name keep what they have, and those it has from an archive are unknown.
    Nothing is written where nothing changes. Raises `IndexChangedError` when another process
    wrote to the index meanwhile.
    """
    wanted: dict[int, dict[str, None]] = {}  # several names may lead to one image
    unknown = 0
    for image_id, image in _find(index, captions):
        if image_id is None:
            unknown += 1
        else:
            wanted.setdefault(image_id, {}).update(dict.fromkeys(image.captions))
    texts = {image_id: tuple(each) for image_id, each in wanted.items()}
    _write(index, texts)
    return Stored(len(texts), sum(map(len, texts.values())), unknown)


def captioned_images(index: Index) -> list[CaptionedImage]:
    """The images of the index that have captions, by id; each is named by its path in its root."""
    texts = index.captions()
    return [
        CaptionedImage(image.file.path, texts[image.id], image.path)
        for image in index.images(list(texts))
    ]


def _find(index: Index, captions: Captions) -> Iterator[tuple[int | None, CaptionedImage]]:
    """Yield every captioned image with its id in the index."""
    ids = {
        os.path.join(root, path): image_id
        for root in index.roots()
        for path, (image_id, _, _) in index.files(root).items()
    }
    real = _without_links()
    real_ids: dict[str, int] = {}
    for image in captions.images:
        image_id = None
        if image.span is None and (image_id := ids.get(os.path.abspath(image.path))) is None:
            # This asks the disk about every image of the index, so only where one is not found.
            real_ids = real_ids or {real(path): each for path, each in ids.items()}
            image_id = real_ids.get(real(image.path))
        yield image_id, image


def _without_links() -> Callable[[str], str]:
    """An `os.path.realpath` that is quick for many files of one folder."""
    real_folder = cache(os.path.realpath)

    def real(path: str) -> str:
        folder, name = os.path.split(path)
        path = os.path.join(real_folder(folder), name)
        return os.path.realpath(path) if os.path.islink(path) else path

    return real


def _write(index: Index, texts: dict[int, tuple[str, ...]]) -> None:
    stored = index.captions()
    changed = [pair for pair in texts.items() if stored.get(pair[0]) != pair[1]]
    for start in range(0, len(changed), _TOGETHER):
        index.write(Changes(captions=dict(changed[start : start + _TOGETHER])))
    if changed:
        index.save_snapshot()
