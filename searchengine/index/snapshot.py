"""The vectors of an index in memory, at the state of its catalog, and their file on disk."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog import Catalog, Reader, decode
from searchengine.errors import IndexFolderError, IndexModelError, ModelError
from searchengine.filters import Filters
from searchengine.types import Embeddings, EncoderSpec
from searchengine.vectors import Among, VectorIndex

ABANDONED = 3600  # seconds after which a temporary file has no writer any more


class _State(NamedTuple):
    """A state of the catalog: its stamp, and the number of the vector written last."""

    stamp: str
    seq: int


_NOTHING = _State("", 0)


class Snapshot:
    """Vectors that follow the catalog, while it holds those of one encoder.

    Safe to share between threads, one of which searches at a time.
    """

    def __init__(self, folder: Path, catalog: Catalog, spec: EncoderSpec) -> None:
        self._folder = folder
        self._catalog = catalog
        self._spec = spec
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Start from nothing: the next `follow` reads the file, or else all vectors, anew."""
        self._vectors = VectorIndex(self._spec.dim)
        self._seen = _NOTHING  # the state that _vectors is at
        self._saved = ""  # stamp of the last file read or written

    def path(self, stamp: str) -> Path:
        """The file that holds the vectors of a state of the catalog, if it is there."""
        return self._folder / f"{stamp}.faiss"

    def follow(self, *, to_search: bool = True) -> VectorIndex:
        """Bring the vectors in memory to the state of the catalog.

        To search they may stay in their file, which takes no time to open; to save the next state
        they are read at once.

        Raises:
            IndexModelError: the catalog holds those of another encoder by now.
            IndexFolderError: the catalog holds damaged vectors.
        """
        with self._lock:
            with self._catalog.reading() as rows:
                stamp, first = rows.stamp(), not self._seen.stamp
                if stamp == self._seen.stamp:
                    return self._vectors
                require_model(rows, self._spec, self._folder)
                loaded = self._load(stamp, rows.count(), mapped=to_search)
                if not loaded:
                    self._catch_up(rows)
                self._seen = _State(stamp, rows.last_seq())
            if first and not loaded:
                self._write()  # or every process that only searches would rebuild again
            return self._vectors

    def search(
        self, queries: Embeddings, k: int, among: Among | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search the state of the catalog; see `VectorIndex.search`."""
        if isinstance(among, Filters):
            raise TypeError("ids are all that it takes; see `can_apply`")
        with self._lock:
            return self.follow().search(queries, k, among)

    def can_apply(self, filters: Filters) -> bool:
        """Ids are all it takes."""
        return False

    def prepare(self) -> None:
        """Be ready for the catalog to take these vectors: the file is written afterwards."""

    def save(self) -> bool:
        """Write the file of the present state, delete older ones; False where it is impossible."""
        with self._lock:
            self.follow(to_search=False)
            return self._write()

    def problems(self) -> list[str]:
        """Say whether the file differs from the catalog. A missing one is sound."""
        with self._catalog.reading() as rows:
            path = self.path(rows.stamp())
            if not path.exists() or _matches(rows, self._spec.dim, path):
                return []
        return [f"{path} is damaged or differs from the catalog"]

    def repair(self) -> list[str]:
        """Write the file anew where it is missing or differs; says so."""
        with self._lock:
            with self._catalog.reading() as rows:
                path = self.path(rows.stamp())
                if _matches(rows, self._spec.dim, path):
                    return []
            self.forget()
            path.unlink(missing_ok=True)
            if not self.save():
                return []
            return [f"rebuilt the snapshot of {self._vectors.count} vectors"]

    def close(self) -> None:
        """Nothing is open."""

    def _load(self, stamp: str, count: int, *, mapped: bool) -> bool:
        try:
            vectors = VectorIndex.load(self.path(stamp), mapped=mapped)
        except (OSError, IndexFolderError):
            return False
        if (vectors.count, vectors.dim) != (count, self._spec.dim):
            return False
        self._vectors, self._saved = vectors, stamp
        return True

    def _catch_up(self, rows: Reader) -> None:
        """Read the vectors written since the state seen last: all of them, the first time."""
        try:
            if self._vectors.count == 0:
                self._vectors = VectorIndex(self._spec.dim)
                self._vectors.reserve(rows.count())
            for ids, blobs in rows.vectors_after(self._seen.seq):
                self._vectors.remove(ids)
                self._vectors.add(ids, decode(blobs, self._spec.dim))
            if self._vectors.count != rows.count():
                self._vectors.remove(np.setdiff1d(self._vectors.ids, rows.ids()))
            self._vectors.settle()
        except ModelError as error:
            raise IndexFolderError(
                f"{self._folder} holds damaged vectors: {error}; "
                f"run `searchengine check --repair --index {self._folder}`"
            ) from error
        except BaseException:  # Ctrl-C: what is half done must not be taken for a state
            self.forget()
            raise

    def _write(self) -> bool:
        try:
            if self._saved != self._seen.stamp:
                self._vectors.save(self.path(self._seen.stamp))
                self._saved = self._seen.stamp
            self._record_kind()
            self._sweep()
        except (OSError, IndexFolderError):
            return False
        return True

    def _record_kind(self) -> None:
        with self._catalog.reading() as rows:
            recorded = rows.settings()["kind"]
        if recorded != self._vectors.kind:
            with self._catalog.writing() as rows:
                rows.set("kind", self._vectors.kind)

    def _sweep(self) -> None:
        """Delete the files of older states, and temporary ones whose writer was killed."""
        with self._catalog.reading() as rows:
            current = self.path(rows.stamp())
        for path in self._folder.glob("*.faiss"):
            if path != current:
                path.unlink(missing_ok=True)
        for path in self._folder.glob("*.faiss.*.tmp"):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)


def _matches(rows: Reader, dim: int, snapshot: Path) -> bool:
    """Tell whether a snapshot holds exactly the vectors of the catalog."""
    try:
        ids, vectors = VectorIndex.load(snapshot).items()
    except (OSError, IndexFolderError):
        return False
    if vectors.shape != (rows.count(), dim):
        return False
    for block, blobs in rows.vectors_after(0):
        places = np.searchsorted(ids, block).clip(max=len(ids) - 1)
        if (ids[places] != block).any() or vectors[places].tobytes() != b"".join(blobs):
            return False
    return True


def require_model(rows: Reader, spec: EncoderSpec, folder: Path) -> None:
    """Make sure that the catalog still holds the vectors of this encoder.

    Raises:
        IndexModelError: another process has changed it to another one.
    """
    now = rows.encoder()
    if now.fingerprint != spec.fingerprint:
        raise IndexModelError(f"{folder} was changed to the model {now.name}; open it again")
