"""Re-embedding: changing an index to another model while it answers from the present one.

Every image is read again and its new embedding staged beside the old one. When all are there,
one transaction makes them those that are searched. What is staged survives a stop or a kill, and
what was searched before is kept until another model is staged: going back encodes nothing twice.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from searchengine import images
from searchengine.errors import ImageError
from searchengine.index import Index
from searchengine.types import Encoder, IndexedImage, Pixels, Progress

log = logging.getLogger(__name__)

_LISTED = 1000  # images whose rows are read at a time


def re_embed(
    index: Index,
    encoder: Encoder,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> bool:
    """Change the index to another encoder; True when that is done, False when it was stopped.

    Setting `stop` ends the run after the batch in hand; the next one with the same encoder goes
    on from there. An image whose file is gone, unreadable or not what was indexed gets no new
    embedding: it leaves the index, and the next `ingest` reads what is there now. Raises
    `ImageError` when a whole folder is not there, `IndexChangedError` when another process began
    to change the index to yet another encoder.
    """
    stop = stop or threading.Event()
    _require_folders(index)
    index.begin_staging(encoder.spec)
    left_out: set[int] = set()
    # Again, because images may have come or moved meanwhile.
    while ids := [each for each in index.unstaged(encoder.spec) if each not in left_out]:
        left_out |= _stage(index, encoder, ids, progress, stop)
        if stop.is_set():
            return False
    _require_folders(index)
    index.switch(encoder.spec)
    return True


def _require_folders(index: Index) -> None:
    for root in index.roots():
        if not _has_entries(root) and index.files(root):
            raise ImageError(
                f"{root} is empty or cannot be listed, but the index holds images of it: is its "
                "drive mounted? Nothing was changed; if it is meant to be empty, first run: "
                f"searchengine index --allow-empty {root}"
            )


def _has_entries(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


class _Content(NamedTuple):
    """What a file holds, hashed and decoded."""

    digest: bytes
    pixels: Pixels


def _stage(
    index: Index, encoder: Encoder, ids: Sequence[int], progress: Progress, stop: threading.Event
) -> set[int]:
    """Encode these images and stage them, batch by batch; returns those that are of no use."""
    left_out: set[int] = set()
    total = index.count
    done = max(0, total - len(ids))
    progress(done, total)
    read = partial(_read, index, encoder)
    for batch in images.read_batches(read, _images(index, ids), encoder.batch_size, stop):
        left_out |= {id_ for id_, content in batch if content is None}
        if contents := [content for _, content in batch if content is not None]:
            embeddings = encoder.encode_images(np.stack([each.pixels for each in contents]))
            index.stage(encoder.spec, [each.digest for each in contents], embeddings)
        done += len(batch)
        progress(done, total)
    return left_out


def _images(index: Index, ids: Sequence[int]) -> Iterator[IndexedImage]:
    for start in range(0, len(ids), _LISTED):
        yield from index.images(ids[start : start + _LISTED])


def _read(index: Index, encoder: Encoder, image: IndexedImage) -> tuple[int, _Content | None]:
    """An image's id, and its file decoded if it still is what was indexed. Runs in the pool."""
    try:
        digest = images.digest(image.path)
        if image.id not in {same.id for same in index.by_digest([digest]).get(digest, [])}:
            raise ImageError("it has changed since it was indexed")
        picture = images.read(image.path, min_side=min(encoder.pixel_shape[1:]))
    except ImageError as error:
        log.warning("%s: %s; it leaves the index until the next run", image.path, error)
        return image.id, None
    return image.id, _Content(digest, encoder.preprocess(picture.image))
