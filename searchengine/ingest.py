"""Ingestion: files to pixels to vectors to catalog, in one stream of bounded memory.

Walk, skip what has not changed, decode in a bounded look-ahead pool, reuse the vector of any
content that is known already, encode in batches, commit every few seconds, sweep what vanished,
save the snapshot.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine import images
from searchengine.catalog import lift
from searchengine.errors import ImageError
from searchengine.index import Changes, Index, NewImage
from searchengine.types import (
    Encoder,
    Failure,
    ImageFile,
    ImageInfo,
    IndexedImage,
    Pixels,
    Progress,
    Scope,
)

log = logging.getLogger(__name__)

_COMMIT_SECONDS = 2.0


@dataclass(frozen=True)
class Selection:
    """Which files of a folder to take.

    The index remembers `include_hidden` and `exclude` of each root folder: None is what it
    remembers. For a folder inside a root, what is given counts for one run.
    """

    include_hidden: bool | None = None
    exclude: Sequence[str] | None = None
    """Patterns with gitignore syntax, relative to the folder, in the place of those remembered."""
    retry_failed: bool = False
    """Read files again that could not be read in the state they are in."""
    allow_empty: bool = False
    """Drop all images of a folder that is empty now (otherwise: an unmounted drive)."""

    def __post_init__(self) -> None:
        if isinstance(self.exclude, str):  # each of its letters would be remembered
            raise TypeError(f"exclude must be a sequence of patterns: [{self.exclude!r}]")


@dataclass
class Report:
    """What a run found.

    Every picture file counts once, as added, changed, moved, unchanged or failed; `removed` are
    images whose file is gone. `failed` includes those skipped because they failed before.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    unchanged: int = 0
    failed: int = 0
    removed: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def images_per_second(self) -> float:
        """Files read, decoded or recognised, a second."""
        read = self.added + self.changed + self.moved
        return read / self.seconds if self.seconds else 0.0


def ingest(
    index: Index,
    load_encoder: Callable[[], Encoder],
    folders: Iterable[str | Path],
    selection: Selection | None = None,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> Report:
    """Bring the index up to date with the folders; returns what changed.

    The encoder is loaded only when there is something to encode. Setting `stop` ends the run
    after the batch in hand: what is done is kept, and the next run goes on from there. Raises
    `ImageError` before anything is removed when a folder cannot be listed.
    """
    run = _Run(index, load_encoder, selection or Selection(), stop or threading.Event())
    return run(folders, progress)


_Task: TypeAlias = "tuple[ImageFile, int | None]"
"""A file to read, and the id of the image that the catalog holds for its path."""


@dataclass(frozen=True)
class _Scan:
    """What the walk through a folder found to do."""

    todo: list[_Task]
    vanished: list[int]
    forgotten: list[ImageFile]


class _Decoded(NamedTuple):
    info: ImageInfo
    pixels: Pixels


class _Read(NamedTuple):
    """A file that was read. Its content is `decoded`, or known already, or there is a `reason`."""

    file: ImageFile
    id: int | None
    digest: bytes = b""
    decoded: _Decoded | None = None
    reason: str = ""


class _Run:
    def __init__(
        self,
        index: Index,
        load_encoder: Callable[[], Encoder],
        selection: Selection,
        stop: threading.Event,
    ):
        self.index = index
        self.load_encoder = load_encoder
        self.selection = selection
        self.stop = stop
        self.report = Report()
        self.changes = Changes()
        # Content encoded since the last commit, which the catalog does not know yet.
        self.fresh: dict[bytes, tuple[ImageInfo, NDArray[np.float32]]] = {}
        self.relocated: set[int] = set()
        self.sizes: set[int] = set()  # of known files: only one of them can have known content
        self.committed_at = time.monotonic()

    def __call__(self, folders: Iterable[str | Path], progress: Progress) -> Report:
        started = time.monotonic()
        listed = list_folders(folders)
        # All folders become known before any is compared: what is compared is then one state.
        roots = [self.index.add_root(folder) for folder in listed]
        scans = [self._scan(*r, listed[f]) for f, r in zip(listed, roots, strict=True)]
        # Patterns that cannot be read, or a folder that should not be empty, ended the run above.
        for root, under in roots:
            self._remember(root, under)
        todo = [item for scan in scans for item in scan.todo]
        if todo:
            self._process(todo, progress)
        if not self.stop.is_set():
            for scan in scans:
                gone = [id_ for id_ in scan.vanished if id_ not in self.relocated]
                self.report.removed += len(gone)
                self.changes.removed += gone
                self.changes.forgotten += scan.forgotten
        self._commit()
        self.index.save_snapshot()
        self.report.interrupted = self.stop.is_set()
        self.report.seconds = time.monotonic() - started
        return self.report

    # --- find what there is to do ---

    def _scope(self, root: str, under: str) -> Scope:
        """Which files to take: as told, else as remembered; patterns relative to the root."""
        told, known = self.selection, self._remembered(root)
        return Scope(
            known.exclude if told.exclude is None else lift(told.exclude, under),
            known.include_hidden if told.include_hidden is None else told.include_hidden,
        )

    def _remembered(self, root: str) -> Scope:
        return self.index.scopes().get(root, Scope())

    def _remember(self, root: str, under: str) -> None:
        scope = self._scope(root, under)
        if scope == self._remembered(root):
            return
        if under:
            log.warning(
                "which files to take of %s counts for this run only: it is inside %s, for which "
                "the index remembers that",
                os.path.join(root, under),
                root,
            )
        else:
            self.index.set_scope(root, scope)

    def _scan(self, root: str, under: str, has_entries: bool) -> _Scan:
        prefix = f"{under}/" if under else ""
        known = {p: s for p, s in self.index.files(root).items() if p.startswith(prefix)}
        if known and not has_entries and not self.selection.allow_empty:
            folder = os.path.normpath(os.path.join(root, under))
            raise ImageError(
                f"{folder} is empty, but the index holds {len(known)} images of it: is its drive "
                "mounted? If it is meant to be empty, say so with --allow-empty"
            )
        failed = {p: s for p, s in self.index.known_failures(root).items() if p.startswith(prefix)}
        todo, unlisted = self._compare(root, under, known, failed)
        vanished = [path for path in known if not path.startswith(unlisted)]
        healed = [path for path in failed if not path.startswith(unlisted)]
        return _Scan(
            todo,
            [known[path][0] for path in vanished],
            [ImageFile(root, path, *failed[path]) for path in healed],
        )

    def _compare(
        self, root: str, under: str, known: dict[str, Any], failed: dict[str, Any]
    ) -> tuple[list[_Task], tuple[str, ...]]:
        """Walk, and take what is still there out of `known` and `failed`.

        Returns what is to be read, and the prefixes below which nothing can be said.
        """
        todo: list[_Task] = []
        unlisted: list[str] = []
        scope = self._scope(root, under)
        for file in images.walk(
            root, under=under, include_hidden=scope.include_hidden, exclude=scope.exclude
        ):
            if self.stop.is_set():
                break
            if isinstance(file, images.UnreadableFolder):
                log.warning("cannot list %s: %s", os.path.join(root, file.path), file.reason)
                unlisted.append(f"{file.path}/" if file.path else "")
                continue
            state, failure = known.pop(file.path, None), failed.pop(file.path, None)
            if state and state[1:] == (file.size, file.mtime_ns):
                self.report.unchanged += 1
            elif failure == (file.size, file.mtime_ns) and not self.selection.retry_failed:
                self.report.failed += 1
            else:
                todo.append((file, state[0] if state else None))
        return todo, tuple(unlisted)

    # --- read, encode, write ---

    def _process(self, todo: list[_Task], progress: Progress) -> None:
        encoder = self.load_encoder()
        self.sizes = {s[1] for root in self.index.roots() for s in self.index.files(root).values()}
        done = 0
        progress(0, len(todo))
        for batch in images.read_batches(
            partial(self._read, encoder), todo, encoder.batch_size, self.stop
        ):
            self._settle(encoder, batch)
            done += len(batch)
            progress(done, len(todo))
            if time.monotonic() - self.committed_at > _COMMIT_SECONDS:
                self._commit()

    def _read(self, encoder: Encoder, task: _Task) -> _Read:
        """Hash a file and, unless its content is known, decode it. Runs in the pool."""
        file, id_ = task
        try:
            digest = images.digest(file.absolute)
            if file.size in self.sizes and self.index.by_digest([digest]):
                return _Read(file, id_, digest)
            picture = images.read(file.absolute, min_side=min(encoder.pixel_shape[1:]))
            info = replace(picture.info, phash=images.perceptual_hash(picture.image))
            decoded = _Decoded(info, encoder.preprocess(picture.image))
            return _Read(file, id_, digest, decoded)
        except ImageError as error:
            return _Read(file, id_, reason=str(error))

    def _settle(self, encoder: Encoder, batch: list[_Read]) -> None:
        """Decide for every file of a batch what becomes of it."""
        known = self.index.by_digest({item.digest for item in batch if not item.reason})
        # What the catalog knew when the pool looked may have been overwritten since.
        batch = [
            self._read(encoder, (item.file, item.id))
            if not (item.reason or item.decoded or item.digest in known)
            else item
            for item in batch
        ]
        self._encode(encoder, {i.digest: i.decoded for i in batch if i.digest not in known})
        for item in batch:
            if item.reason:
                self.report.failed += 1
                self.changes.failed.append(Failure(item.file, item.reason))
            elif item.digest in known:
                self._reuse(item, known[item.digest])
            else:
                self._put(item, *self.fresh[item.digest])

    def _encode(self, encoder: Encoder, contents: dict[bytes, _Decoded | None]) -> None:
        """Encode each new content once, whichever files have it."""
        new = {d: c for d, c in contents.items() if c is not None and d not in self.fresh}
        if new:
            embeddings = encoder.encode_images(np.stack([c.pixels for c in new.values()]))
            for (digest, content), embedding in zip(new.items(), embeddings, strict=True):
                self.fresh[digest] = content.info, embedding

    def _reuse(self, item: _Read, same: list[IndexedImage]) -> None:
        """A file whose content the catalog knows: touched, moved from elsewhere, or a copy."""
        ids = [image.id for image in same]
        if item.id in ids:
            self.report.unchanged += 1
            self.changes.moved[item.id] = item.file
            return
        gone = [i for i in same if i.id not in self.relocated and _is_gone(i.file)]
        if item.id is None and gone:
            self.report.moved += 1
            self.relocated.add(gone[0].id)
            self.changes.moved[gone[0].id] = item.file
        else:
            self._put(item, same[0].info, self.index.embeddings(ids[:1])[0])

    def _put(self, item: _Read, info: ImageInfo, embedding: NDArray[np.float32]) -> None:
        image = NewImage(item.file, item.digest, info, embedding)
        if item.id is None:
            self.report.added += 1
            self.changes.added.append(image)
        else:
            self.report.changed += 1
            self.changes.changed[item.id] = image

    def _commit(self) -> None:
        if self.changes:
            self.index.write(self.changes)
        self.changes, self.fresh = Changes(), {}
        self.committed_at = time.monotonic()


def list_folders(folders: Iterable[str | Path]) -> dict[str, bool]:
    """Absolute paths of folders, and whether there is anything in each.

    Those that lie inside another one are left out. Raises `ImageError` where one is no folder, or
    cannot be listed.
    """
    paths = {os.path.abspath(os.path.expanduser(folder)) for folder in folders}
    outermost = [p for p in paths if not any(p.startswith(os.path.join(q, "")) for q in paths)]
    try:
        return {path: bool(os.listdir(path)) for path in sorted(outermost)}
    except OSError as error:
        raise ImageError(
            f"cannot list the folder {error.filename}: {error.strerror}; nothing was changed"
        ) from error


def _is_gone(file: ImageFile) -> bool:
    # Of an unmounted drive nothing is gone: its root must be there for a file to be missing.
    return os.path.isdir(file.root) and not os.path.lexists(file.absolute)
