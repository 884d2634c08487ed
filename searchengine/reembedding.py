"""Re-embedding: changing an index to another model while it answers from the present one.

Every image is read again and its new embedding staged beside the old one. When all are there,
one transaction makes them those that are searched. What is staged survives a stop or a kill, and
what was searched before is kept until another model is staged: going back encodes nothing twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from searchengine.catalog.paths import is_url
from searchengine.errors import ImageError
from searchengine.index import Index
from searchengine.ingest import Workers
from searchengine.types import EncoderSpec, IndexedImage, NothingKnown, Progress, Reading, Task

log = logging.getLogger(__name__)

_LISTED: Final = 1000  # images whose rows are read at a time
_WAVE: Final = 1_000_000  # images that are handed to the workers at a time


def re_embed(
    index: Index,
    spec: EncoderSpec,
    workers: Workers,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> bool:
    """Change the index to another encoder; True when that is done, False when it was stopped.

    `workers` read and embed, with the encoder of this `spec`. Setting `stop` ends the run after
    the batch in hand; the next one with the same encoder goes on from there. An image whose file
    is gone, unreadable or not what was indexed gets no new embedding: it leaves the index, and the
    next `ingest` reads what is there now. Raises `ImageError` when a whole folder is not there, or
    is none that the workers can read, `IndexChangedError` when another process began to change
    the index to yet another encoder.
    """
    stop = stop or threading.Event()
    _require_folders(index, workers)
    index.begin_staging(spec)
    left_out: set[int | None] = set()
    # Again, because images may have come or moved meanwhile.
    while ids := [each for each in index.unstaged(spec) if each not in left_out]:
        tasks = [Task(each.file, each.id) for each in _images(index, ids[:_WAVE])]
        total = index.count
        done = max(0, total - len(ids))
        progress(done, total)
        for batch in workers.embed(tasks, NothingKnown(), stop):
            left_out |= _stage(index, spec, batch)
            done += len(batch)
            progress(done, total)
        if stop.is_set():
            return False
    _require_folders(index, workers)
    index.switch(spec)
    return True


def _require_folders(index: Index, workers: Workers) -> None:
    for root in index.roots():
        files = index.files(root)
        if hidden := workers.out_of_sight(root, files):
            raise ImageError(
                f"{len(hidden)} of the pictures of {root} are behind an address or inside of tar "
                "archives, and nothing was changed; add --ray to embed those as well"
            )
        if files and not _has_entries(root, workers):
            raise ImageError(
                f"{root} is empty or cannot be listed, but the index holds images of it: is its "
                "drive mounted? Nothing was changed; if it is meant to be empty, first run: "
                f"searchengine index --allow-empty {root}"
            )


def _has_entries(root: str, workers: Workers) -> bool:
    try:
        return any(workers.list_folders([root]).values())
    except ImageError:
        if is_url(root):  # has no drive
            raise
        return False


def _images(index: Index, ids: Sequence[int]) -> Iterator[IndexedImage]:
    for start in range(0, len(ids), _LISTED):
        yield from index.images(ids[start : start + _LISTED])


def _stage(index: Index, spec: EncoderSpec, batch: Sequence[Reading]) -> set[int | None]:
    """Stage the embeddings of a batch; returns the ids of the images that get none."""
    same = index.by_digest({each.digest for each in batch if not each.reason})
    contents, left_out = {}, set()
    for task, digest, _, embedding, failure in batch:
        is_same = task.id in {image.id for image in same.get(digest, ())}
        if reason := failure or ("" if is_same else "it has changed since it was indexed"):
            path = task.file.absolute
            log.warning("%s: %s; it leaves the index until the next run", path, reason)
            left_out.add(task.id)
        elif embedding is not None:
            contents[digest] = embedding
    if contents:
        index.stage(spec, list(contents), np.stack(list(contents.values())))
    return left_out
