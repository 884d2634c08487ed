"""Make an index of pictures whose embeddings another program has computed already."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine import images
from searchengine.errors import ImageError
from searchengine.index import Index, NewImage
from searchengine.portable.adding import Batch
from searchengine.portable.layouts import Record, Source
from searchengine.portable.origin import Locator, normalised
from searchengine.types import Encoder, Failure, ImageFile, Progress

_BATCH = 64
_COMMIT_SECONDS = 2.0


@dataclass
class Imported:
    """What became of the rows."""

    added: int = 0
    known: int = 0
    """Rows of a picture that the index holds already."""
    missing: int = 0
    """Rows whose picture is not below the folder."""
    changed: int = 0
    """Rows whose picture is not what it was when it was exported."""
    unusable: int = 0
    """Rows whose vector is zero or not finite."""
    failed: int = 0
    """Rows whose picture cannot be read."""
    interrupted: bool = False
    examples: dict[str, str] = field(default_factory=dict)
    """The first path of each kind that was left out."""

    def leave_out(self, kind: str, path: str) -> None:
        """Count a row that is left out."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.examples.setdefault(kind, path)


class _Row(NamedTuple):
    """A row whose picture is there and whose vector is of use."""

    file: ImageFile
    record: Record
    embedding: NDArray[np.float32]


def bring_in(
    index: Index,
    encoder: Encoder,
    source: Source,
    folder: Path,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> Imported:
    """Add the pictures below `folder` with the vectors that `source` has for them.

    The pictures are read for their digest and facts, but not encoded. What the index holds already
    is left as it is, so that an import that was cut short is completed by the next one. Call
    `check_origin` first. Raises `IndexChangedError` when another process wrote meanwhile.
    """
    stop = stop or threading.Event()
    run = _Import(index, source, folder)
    read = partial(_read, min(encoder.pixel_shape[1:]))
    committed_at = time.monotonic()
    for batch in images.read_batches(read, run.rows(), _BATCH, stop):
        for row, result in batch:
            run.settle(row, result)
        progress(run.seen, source.count)
        if time.monotonic() - committed_at > _COMMIT_SECONDS:
            run.batch.write()
            committed_at = time.monotonic()
    run.batch.write()
    index.save_snapshot()
    run.report.interrupted = stop.is_set()
    return run.report


_Result = NewImage | str | None
"""What was read; the reason why it cannot be; None where the picture has changed."""


def _read(min_side: int, row: _Row) -> tuple[_Row, _Result]:
    """Hash and decode a picture. Runs in the pool."""
    try:
        digest = images.digest(row.file.absolute)
        if row.record.digest not in (None, digest):
            return row, None
        picture = images.read(row.file.absolute, min_side=min_side)
    except ImageError as error:
        return row, str(error)
    info = replace(picture.info, phash=images.perceptual_hash(picture.image))
    return row, NewImage(row.file, digest, info, row.embedding)


class _Import:
    def __init__(self, index: Index, source: Source, folder: Path):
        self.source = source
        self.report = Imported()
        self.batch = Batch(index)
        self.seen = 0
        self.root, self.under = index.add_root(folder)
        self.locate = Locator(os.path.abspath(folder))
        self.known = {path: state[0] for path, state in index.files(self.root).items()}
        self.taken: set[str] = set()

    def rows(self) -> Iterator[_Row]:
        """The rows to read; the others are counted."""
        for records, vectors in self.source.rows():
            embeddings, good = normalised(vectors)
            for record, embedding, is_usable in zip(records, embeddings, good, strict=True):
                self.seen += 1
                if not is_usable:
                    self.report.leave_out("unusable", record.path)
                elif row := self._find(record, embedding):
                    yield row

    def _find(self, record: Record, embedding: NDArray[np.float32]) -> _Row | None:
        if (below := self.locate(record.path)) is None:
            self.report.leave_out("missing", record.path)
            return None
        path = f"{self.under}/{below}" if self.under else below
        if path in self.known or path in self.taken:
            self.report.known += 1
            if path in self.known:
                self.batch.unite(self.known[path], record.captions)
            return None
        try:
            state = os.stat(os.path.join(self.root, path))
        except OSError:
            self.report.leave_out("missing", record.path)
            return None
        self.taken.add(path)
        return _Row(ImageFile(self.root, path, state.st_size, state.st_mtime_ns), record, embedding)

    def settle(self, row: _Row, result: _Result) -> None:
        """Decide what becomes of a row that was read."""
        if result is None:
            self.report.leave_out("changed", row.file.absolute)
        elif isinstance(result, str):
            self.report.leave_out("failed", row.file.absolute)
            self.batch.changes.failed.append(Failure(row.file, result))
        else:
            self.report.added += 1
            self.batch.add(result, row.record.captions)
