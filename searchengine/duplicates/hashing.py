"""Perceptual hashes of images that were indexed before there were any."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from searchengine.errors import ImageError, IndexFolderError
from searchengine.index import Index
from searchengine.types import IndexedImage, Progress

log = logging.getLogger(__name__)

_LISTED: Final = 1000  # images whose rows are read at a time
_STORED: Final = 256  # hashes written at a time
_MIN_SIDE: Final = 32  # a JPEG is decoded small; 32 is what the hash looks at


def hash_missing(
    index: Index, ids: Sequence[int], progress: Progress, stop: threading.Event
) -> dict[int, int]:
    """Read these images, store their perceptual hashes and return them by id.

    An image whose file is gone, unreadable or not what was indexed is left out, with one warning
    for all. Where the index cannot be written the hashes are only returned.
    """
    from searchengine import images  # a search that collapses its hits is faster without

    found: dict[int, int] = {}
    done, is_stored = 0, True
    for batch in images.read_batches(_hash, _images(index, ids), _STORED, stop):
        hashed = [(image, phash) for image, phash in batch if phash is not None]
        found |= {image.id: phash for image, phash in hashed}
        is_stored = is_stored and _store(index, hashed)
        done += len(batch)
        progress(done, len(ids))
    if left_out := done - len(found):
        log.warning(
            "%d images could not be compared: their files are gone or have changed; "
            "`searchengine index` brings the index up to date",
            left_out,
        )
    return found


def _images(index: Index, ids: Sequence[int]) -> Iterator[IndexedImage]:
    for start in range(0, len(ids), _LISTED):
        yield from index.images(ids[start : start + _LISTED])


def _hash(image: IndexedImage) -> tuple[IndexedImage, int | None]:
    """An image and its hash, if its file still is what was indexed. Runs in the pool."""
    from searchengine import images

    try:
        state = os.stat(image.path)
        if (state.st_size, state.st_mtime_ns) == (image.file.size, image.file.mtime_ns):
            picture = images.read(image.path, min_side=_MIN_SIDE).image
            return image, images.perceptual_hash(picture)
    except (ImageError, OSError) as error:
        log.info("%s: %s", image.path, error)
    return image, None


def _store(index: Index, hashed: Sequence[tuple[IndexedImage, int]]) -> bool:
    try:
        index.set_phashes(hashed)
    except IndexFolderError as error:
        log.warning("the hashes of pictures are not kept: %s", error)
        return False
    return True
