"""The index folder: what is in it, what is near to a query, and every change of it."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog import (
    Catalog,
    Changes,
    Reader,
    Writer,
    below,
    settings_of,
)
from searchengine.errors import (
    IndexChangedError,
    IndexFolderError,
    IndexModelError,
    ModelError,
)
from searchengine.index import roots, soundness
from searchengine.index.contents import Contents
from searchengine.index.snapshot import Snapshot
from searchengine.types import (
    Embeddings,
    EncoderSpec,
    Hit,
    IndexedImage,
    Scope,
)
from searchengine.vectors import check_embeddings, sync_folder

CATALOG = "catalog.db"


class Index(Contents):
    """An index folder: what is in it, and what is near to a query.

    Searching follows the catalog: what any process has committed is found by the next search.
    Safe to share between threads. Every method raises IndexFolderError where the catalog cannot
    be read or written (disk full, locked for long, damaged), and every one that gives or takes
    embeddings IndexModelError where another process has changed the index to another encoder.
    """

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self._catalog = catalog
        with catalog.reading() as rows:
            settings = rows.settings().keys()
            if missing := {"encoder", "fingerprint", "dim", "kind", "stamp"} - settings:
                raise IndexFolderError(f"{folder} lost its settings {missing}; index it again")
            self.spec = rows.encoder()
            self._held = rows.stamp()  # the state that this object's writes build upon
        self._snapshot = Snapshot(folder, catalog, self.spec)
        self._lock = threading.RLock()  # guards the three above

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Tell whether a folder holds an index; one whose creation was cut short does not."""
        return Catalog.exists(Path(folder) / CATALOG)

    @classmethod
    def create(cls, folder: str | Path, spec: EncoderSpec) -> Index:
        """Make an empty index for the embeddings of one encoder.

        Raises:
            IndexFolderError: the folder holds an index already, or cannot be written.
        """
        folder = Path(folder)
        values = settings_of(spec) | {"kind": "exact", "stamp": _fresh_stamp()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            catalog = Catalog.create(folder / CATALOG, values)
            sync_folder(folder)
        except OSError as error:
            raise IndexFolderError(f"cannot make an index in {folder}: {error}") from error
        return cls(folder, catalog)

    @classmethod
    def open(cls, folder: str | Path, spec: EncoderSpec | None = None) -> Index:
        """Open an index; with a spec, one made by that encoder only. Never creates a file.

        Raises:
            IndexFolderError: the folder is not an index.
            IndexModelError: another encoder made it.
        """
        index = cls(Path(folder), Catalog.open(Path(folder) / CATALOG))
        if spec is not None and spec.fingerprint != index.spec.fingerprint:
            index.close()
            raise IndexModelError(
                f"{folder} was made with the model {index.spec.name} "
                f"({index.spec.fingerprint[:12]}), not {spec.name} ({spec.fingerprint[:12]}); to "
                "change its model: "
                f"`searchengine index --re-embed --index {folder} --model {spec.name}`"
            )
        return index

    def close(self) -> None:
        """Close the catalog."""
        self._catalog.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- Search ---

    def search(
        self, queries: Embeddings, k: int, allowed: NDArray[np.int64] | None = None
    ) -> list[list[Hit]]:
        """For each of (n, dim) queries the k nearest images, best first, equal scores by id.

        With `allowed`, (m,) int64, only among the images with those ids, and exactly.

        Raises:
            ModelError: the queries are not embeddings of this dimension.
            QueryError: k is not positive.
        """
        scores, ids = self.nearest(queries, k, allowed)
        with self._catalog.reading() as rows:
            found = rows.images(np.unique(ids).tolist())
        return [
            [Hit(found[each], score) for each, score in zip(*row, strict=True) if each in found]
            for row in zip(ids.tolist(), scores.tolist(), strict=True)
        ]

    def nearest(
        self, queries: Embeddings, k: int, allowed: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same as `search`, as (n, k') cosines and ids; k' is k or as many as there are."""
        with self._lock:
            scores, ids = self._snapshot.follow().search(queries, k, allowed)
        return scores.clip(-1, 1), ids

    def preload(self) -> None:
        """Bring the vectors into memory, as the next search would."""
        with self._lock:
            self._snapshot.follow()

    def save_snapshot(self) -> bool:
        """Write the snapshot of the present state, delete older ones; call it after the last batch.

        False where it cannot be written: nothing is lost, it is only rebuilt at the next search.
        """
        with self._lock:
            return self._snapshot.save()

    # --- Writing ---

    def add_root(self, path: str | Path, scope: Scope = Scope()) -> tuple[str, str]:  # noqa: B008
        """Make a folder known, and start writing from the present state.

        Returns the root that holds it and its path below that root: itself and "" if it is new.
        Roots inside a new one become part of it: their images keep id and vector, and what their
        patterns exclude stays excluded. `scope` is that of a new root.
        """
        path = os.path.abspath(path)
        with self._lock, self._catalog.writing() as rows:
            self._require_model(rows)
            stamp = rows.stamp()
            for root in rows.roots():
                if (under := below(path, root)) is not None:
                    self._held = stamp
                    return root, under
            if rows.add_root(path, scope):
                rows.restamp(stamp, stamp := _fresh_stamp())
        self._held = stamp
        return path, ""

    def write(self, changes: Changes) -> None:
        """Write one batch: when this returns, it is on disk; when it raises, nothing of it is.

        Raises:
            ModelError: an embedding is not what it must be.
            IndexChangedError: another process wrote since `open`, `add_root` or the last `write`.
        """
        for image in (*changes.added, *changes.changed.values()):
            try:
                check_embeddings(image.embedding[np.newaxis], self.spec.dim)
            except ModelError as error:
                raise ModelError(f"{image.file.absolute}: {error}") from error
        if not changes:
            return
        with self._lock:
            fresh = _fresh_stamp()
            with self._catalog.writing() as rows:
                if not rows.restamp(self._held, fresh):
                    raise IndexChangedError(
                        f"another process wrote to {self.folder}; run the same command again"
                    )
                rows.apply(changes)
            self._held = fresh

    def set_phashes(self, hashed: Sequence[tuple[IndexedImage, int]]) -> None:
        """Store perceptual hashes of images that have none, if they still are what was hashed.

        What is found does not change, so neither does the stamp.
        """
        with self._catalog.writing() as rows:
            rows.set_phashes(hashed)

    def set_scope(self, root: str | Path, scope: Scope) -> None:
        """Say which files of a root folder belong to the index, from the next run over it on.

        What is found does not change, so neither does the stamp.

        Raises:
            IndexFolderError: it is not a root.
        """
        with self._catalog.writing() as rows:
            rows.set_scope(roots.known(rows.roots(), root), scope)

    def move_root(self, old: str | Path, new: str | Path) -> None:
        """Say that a root folder is somewhere else now; its images keep path, id and vector.

        Raises:
            IndexFolderError: `old` is not a root, `new` not a folder, or it overlaps another root.
        """
        with self._rewriting() as rows:
            old, new = roots.known(rows.roots(), old), roots.free(rows.roots(), old, new)
            rows.move_root(old, new)

    def remove_root(self, root: str | Path) -> int:
        """Forget a root folder, its images and failures; its files stay as they are.

        Returns how many images were forgotten.

        Raises:
            IndexFolderError: it is not a root.
        """
        with self._rewriting() as rows:
            return rows.remove_root(roots.known(rows.roots(), root))

    @contextmanager
    def _rewriting(self) -> Iterator[Writer]:
        """Change the catalog from whatever state it is in, and give it a fresh stamp."""
        with self._lock:
            fresh = _fresh_stamp()
            with self._catalog.writing() as rows:
                self._require_model(rows)
                stamp = rows.stamp()
                rows.restamp(stamp, fresh)
                yield rows
            if stamp == self._held:  # else another process wrote, and the next `write` must say so
                self._held = fresh

    # --- Changing the encoder ---

    def begin_staging(self, spec: EncoderSpec) -> None:
        """Start, or go on, to collect the embeddings of another encoder.

        Searches answer from the present ones until `switch`. What was staged of the same encoder
        is kept, that of any other is dropped.
        """
        with self._catalog.writing() as rows:
            self._require_model(rows)
            rows.begin_staging(spec.fingerprint)

    def unstaged(self, spec: EncoderSpec) -> list[int]:
        """The ids of images without a staged embedding of this encoder, ascending."""
        with self._catalog.reading() as rows:
            self._require_staging(rows, spec)
            return rows.unstaged()

    def stage(self, spec: EncoderSpec, digests: Sequence[bytes], embeddings: Embeddings) -> None:
        """Stage (n, dim) embeddings of n contents: when this returns, they are on disk.

        They count for the images that have one of these contents now, so that a file which
        changes at the same time never gets the embedding of what it was. What is found does not
        change, so neither does the stamp.

        Raises:
            ModelError: the embeddings are not what they must be.
            IndexChangedError: another process began to stage for another encoder.
        """
        check_embeddings(embeddings, spec.dim)
        with self._catalog.writing() as rows:
            self._require_staging(rows, spec)
            rows.stage(digests, embeddings)

    def switch(self, spec: EncoderSpec) -> None:
        """Put the staged embeddings in the place of all others, in one transaction.

        Images without one are removed; the next `index` finds them again, if they can be read.
        From then on this object takes embeddings of the new encoder only.

        Raises:
            IndexChangedError: another process began to stage for another encoder.
        """
        with self._lock:
            with self._catalog.writing() as rows:
                self._require_staging(rows, spec)
                rows.switch(spec)
                rows.restamp(rows.stamp(), fresh := _fresh_stamp())
            self.spec, self._held = spec, fresh
            self._snapshot = Snapshot(self.folder, self._catalog, spec)
            self._snapshot.save()

    def _require_staging(self, rows: Reader, spec: EncoderSpec) -> None:
        self._require_model(rows)
        if rows.staged_fingerprint() != spec.fingerprint:
            raise IndexChangedError(
                f"{self.folder} is not being changed to the model {spec.name} any more: another "
                "process began to change it to another one"
            )

    # --- Soundness ---

    def check(self) -> list[str]:
        """Say what is unsound, a line each; nothing if the index is sound.

        A missing snapshot is sound: the next search rebuilds it.
        """
        try:
            with self._catalog.reading() as rows:
                self._require_model(rows)
                snapshot = self._snapshot.path(rows.stamp())
                return soundness.problems(rows, self.spec.dim, snapshot)
        except IndexFolderError as error:
            return [str(error)]

    def repair(self) -> list[str]:
        """Drop what has no usable vector, so that `index` reads it again; rebuild the snapshot.

        Returns what was done, a line each.
        """
        with self._lock:
            with self._catalog.writing() as rows:
                self._require_model(rows)
                stamp = rows.stamp()
                if done := soundness.mend(rows, self.spec.dim):
                    rows.restamp(stamp, stamp := _fresh_stamp())
                snapshot = self._snapshot.path(stamp)
                sound = soundness.matches(rows, self.spec.dim, snapshot)
            self._held = stamp
            if not sound:
                self._snapshot.forget()
                snapshot.unlink(missing_ok=True)
                if self._snapshot.save():
                    done.append(f"rebuilt the snapshot of {self.count} vectors")
        return done


def _fresh_stamp() -> str:
    return secrets.token_hex(16)
