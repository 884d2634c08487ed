"""One run: compare, embed, settle what became of each file, commit, sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.index import Changes, Index, NewImage
from searchengine.ingest.comparing import Comparison, Scan
from searchengine.ingest.known import Known
from searchengine.ingest.local import LocalWorkers
from searchengine.ingest.report import Report
from searchengine.ingest.selection import Selection
from searchengine.ingest.workers import Workers
from searchengine.types import (
    Encoder,
    Failure,
    ImageInfo,
    IndexedImage,
    Progress,
    Reading,
    Task,
)

_COMMIT_SECONDS: Final = 2.0


def ingest(
    index: Index,
    workers: Workers | Callable[[], Encoder],
    folders: Iterable[str | Path],
    selection: Selection | None = None,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> Report:
    """Bring the index up to date with the folders; returns what changed.

    `workers` read and embed; a function that loads an encoder stands for this machine, and is
    called only when there is something to encode. Setting `stop` ends the run after the batch in
    hand: what is done is kept, and the next run goes on from there. Raises `ImageError` before
    anything is removed when a folder cannot be listed.
    """
    if callable(workers):
        workers = LocalWorkers(workers)
    run = _Run(index, workers, selection or Selection(), stop or threading.Event())
    return run(folders, progress)


class _Run:
    def __init__(self, index: Index, workers: Workers, selection: Selection, stop: threading.Event):
        self.index = index
        self.workers = workers
        self.stop = stop
        self.report = Report()
        self.comparison = Comparison(index, workers, selection, stop, self.report)
        self.changes = Changes()
        # Content encoded since the last commit, which the catalog does not know yet.
        self.fresh: dict[bytes, tuple[ImageInfo, NDArray[np.float32]]] = {}
        self.vanished: set[int] = set()
        self.relocated: set[int] = set()
        self.committed_at = time.monotonic()

    def __call__(self, folders: Iterable[str | Path], progress: Progress) -> Report:
        started = time.monotonic()
        listed = self.workers.list_folders(folders)
        # All folders become known before any is compared: what is compared is then one state.
        roots = [self.index.add_root(folder) for folder in listed]
        scans = [
            self.comparison.scan(*root, listed[folder])
            for folder, root in zip(listed, roots, strict=True)
        ]
        # Patterns that cannot be read, or a folder that should not be empty, ended the run above.
        for root, under in roots:
            self.comparison.remember(root, under)
        self.vanished = {id_ for scan in scans for id_ in scan.vanished}
        if todo := [task for scan in scans for task in scan.todo]:
            self._embed(todo, progress)
        if not self.stop.is_set():
            self._sweep(scans)
        self._commit()
        self.index.save_snapshot()
        self.report.interrupted = self.stop.is_set()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _embed(self, todo: Sequence[Task], progress: Progress) -> None:
        done, total = 0, len(todo)
        progress(done, total)
        while todo and not self.stop.is_set():
            again: list[Task] = []
            known = Known(self.index, self.fresh.keys())
            for batch in self.workers.embed(todo, known, self.stop):
                unsettled = self._settle(batch)
                again += unsettled
                done += len(batch) - len(unsettled)
                progress(done, total)
                if time.monotonic() - self.committed_at > _COMMIT_SECONDS:
                    self._commit()
            todo = again

    def _settle(self, batch: Sequence[Reading]) -> list[Task]:
        """Decide for every file of a batch what becomes of it; returns what must be read again.

        That is content which the catalog knew when a worker looked, but which was overwritten
        since.
        """
        again = []
        known = self.index.by_digest({each.digest for each in batch if not each.reason})
        for reading in batch:
            task, digest = reading.task, reading.digest
            if reading.reason:
                self.report.failed += 1
                self.changes.failed.append(Failure(task.file, reading.reason))
            elif digest in known:
                self._reuse(task, digest, known[digest])
            elif digest in self.fresh:
                self._put(task, digest, *self.fresh[digest])
            elif reading.info is not None and reading.embedding is not None:
                self.fresh[digest] = reading.info, reading.embedding
                self._put(task, digest, *self.fresh[digest])
            else:
                again.append(task)
        return again

    def _reuse(self, task: Task, digest: bytes, same: Sequence[IndexedImage]) -> None:
        """A file whose content the catalog knows: touched, moved from elsewhere, or a copy."""
        ids = [image.id for image in same]
        if task.id in ids:
            self.report.unchanged += 1
            self.changes.moved[task.id] = task.file
            return
        gone = next(filter(self._is_gone, same), None) if task.id is None else None
        if gone:
            self.report.moved += 1
            self.relocated.add(gone.id)
            self.changes.moved[gone.id] = task.file
        else:
            self._put(task, digest, same[0].info, self.index.embeddings(ids[:1])[0])

    def _is_gone(self, image: IndexedImage) -> bool:
        if image.id in self.relocated:
            return False
        gone = self.workers.is_gone(image.file)
        return image.id in self.vanished if gone is None else gone

    def _put(
        self, task: Task, digest: bytes, info: ImageInfo, embedding: NDArray[np.float32]
    ) -> None:
        image = NewImage(task.file, digest, info, embedding)
        if task.id is None:
            self.report.added += 1
            self.changes.added.append(image)
        else:
            self.report.changed += 1
            self.changes.changed[task.id] = image

    def _sweep(self, scans: Sequence[Scan]) -> None:
        """Take out what vanished and did not turn up elsewhere."""
        for scan in scans:
            gone = [id_ for id_ in scan.vanished if id_ not in self.relocated]
            self.report.removed += len(gone)
            self.changes.removed += gone
            self.changes.forgotten += scan.forgotten

    def _commit(self) -> None:
        if self.changes:
            self.index.write(self.changes)
        self.changes = Changes()
        self.fresh.clear()
        self.committed_at = time.monotonic()
