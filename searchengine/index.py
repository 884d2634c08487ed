"""The index: a folder with a catalog and a snapshot of its vectors. The only writer of both.

The catalog is the truth. Every batch gives it a fresh random stamp, and `<stamp>.faiss` is the
snapshot of exactly that state: the file's name is the consistency check. A snapshot that is
missing, damaged or of another state is rebuilt from the catalog.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog import Catalog, Changes, NewImage, Reader, below, decode
from searchengine.errors import (
    IndexChangedError,
    IndexFolderError,
    IndexModelError,
    ModelError,
    QueryError,
)
from searchengine.types import Embeddings, EncoderSpec, Failure, Hit, IndexedImage
from searchengine.vectors import VectorIndex, check_embeddings, sync_folder, usable

__all__ = ["Changes", "Index", "NewImage"]

CATALOG = "catalog.db"
ABANDONED = 3600  # seconds after which a temporary file has no writer any more


class _State(NamedTuple):
    """A state of the catalog: its stamp, and the number of the vector written last."""

    stamp: str
    seq: int


_NOTHING = _State("", 0)


class Index:
    """An index folder: what is in it, and what is near to a query.

    Searching follows the catalog: what any process has committed is found by the next search.
    Safe to share between threads. Every method raises IndexFolderError where the catalog cannot
    be read or written (disk full, locked for long, damaged).
    """

    def __init__(self, folder: Path, catalog: Catalog) -> None:
        self.folder = folder
        self._catalog = catalog
        with catalog.reading() as rows:
            values = rows.settings()
        if missing := {"encoder", "fingerprint", "dim", "kind", "stamp"} - values.keys():
            raise IndexFolderError(f"{folder} lost its settings {missing}; index it again")
        self.spec = EncoderSpec(values["encoder"], values["fingerprint"], int(values["dim"]))
        self._held = values["stamp"]  # the state that this object's writes build upon
        self._vectors = VectorIndex(self.spec.dim)
        self._seen = _NOTHING  # the state that _vectors is at
        self._saved = ""  # stamp of the last snapshot read or written
        self._lock = threading.RLock()  # guards the four above

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
        values = {"encoder": spec.name, "fingerprint": spec.fingerprint, "dim": str(spec.dim)}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            catalog = Catalog.create(
                folder / CATALOG, values | {"kind": "exact", "stamp": _fresh_stamp()}
            )
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

    # --- What is in it ---

    @property
    def count(self) -> int:
        """How many images there are."""
        with self._catalog.reading() as rows:
            return rows.count()

    @property
    def kind(self) -> str:
        """How it is searched, as of the last snapshot: `exact`, or `ivf` and a number."""
        with self._catalog.reading() as rows:
            return rows.settings()["kind"]

    def roots(self) -> list[str]:
        """The root folders, oldest first."""
        with self._catalog.reading() as rows:
            return rows.roots()

    def files(self, root: str) -> dict[str, tuple[int, int, int]]:
        """Path -> (id, size, mtime_ns) of every image below a root."""
        with self._catalog.reading() as rows:
            return rows.files(root)

    def failures(self, root: str | None = None) -> list[Failure]:
        """Files that could not be read, of one root or of all, by root and path."""
        with self._catalog.reading() as rows:
            return [each for each in rows.failures() if root in (None, each.file.root)]

    def known_failures(self, root: str) -> dict[str, tuple[int, int]]:
        """Path -> (size, mtime_ns) of every file below a root that could not be read."""
        files = (failure.file for failure in self.failures(root))
        return {file.path: (file.size, file.mtime_ns) for file in files}

    def by_digest(self, digests: Iterable[bytes]) -> dict[bytes, list[IndexedImage]]:
        """Digest -> the images whose file has it; digests without an image are left out."""
        with self._catalog.reading() as rows:
            return rows.by_digest(digests)

    def image(self, image_id: int) -> IndexedImage:
        """One image.

        Raises:
            QueryError: there is none with that id.
        """
        for image in self.images([image_id]):
            return image
        raise self._unknown([image_id])

    def images(self, ids: Sequence[int]) -> list[IndexedImage]:
        """Images in the order of their ids; ids without an image are left out."""
        with self._catalog.reading() as rows:
            found = rows.images(ids)
        return [found[each] for each in ids if each in found]

    def embeddings(self, ids: Sequence[int]) -> Embeddings:
        """The embeddings of images, (n, dim) float32, in the order of their ids.

        Raises:
            QueryError: there is no image with one of the ids.
        """
        with self._catalog.reading() as rows:
            found = rows.vectors(ids)
        if missing := [each for each in ids if each not in found]:
            raise self._unknown(missing)
        return decode([found[each] for each in ids], self.spec.dim)

    def _unknown(self, ids: Sequence[int]) -> QueryError:
        listed = ", ".join(map(str, ids[:5]))
        return QueryError(f"no image {listed} in {self.folder}; `searchengine search` prints ids")

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
        with self._lock:
            scores, ids = self._follow().search(queries, k, allowed)
        with self._catalog.reading() as rows:
            found = rows.images(np.unique(ids).tolist())
        return [
            [Hit(found[each], score) for each, score in zip(*row, strict=True) if each in found]
            for row in zip(ids.tolist(), scores.clip(-1, 1).tolist(), strict=True)
        ]

    def _follow(self) -> VectorIndex:
        """Bring the vectors in memory to the state of the catalog."""
        with self._catalog.reading() as rows:
            stamp, first = rows.stamp(), not self._seen.stamp
            if stamp == self._seen.stamp:
                return self._vectors
            loaded = self._load(stamp, rows.count())
            if not loaded:
                self._catch_up(rows)
            self._seen = _State(stamp, rows.last_seq())
        if first and not loaded:
            self._save()  # or every process that only searches would rebuild again
        return self._vectors

    def _snapshot(self, stamp: str) -> Path:
        return self.folder / f"{stamp}.faiss"

    def _load(self, stamp: str, count: int) -> bool:
        try:
            vectors = VectorIndex.load(self._snapshot(stamp))
        except (OSError, IndexFolderError):
            return False
        if (vectors.count, vectors.dim) != (count, self.spec.dim):
            return False
        self._vectors, self._saved = vectors, stamp
        return True

    def _catch_up(self, rows: Reader) -> None:
        """Read the vectors written since the state seen last: all of them, the first time."""
        try:
            for ids, blobs in rows.vectors_after(self._seen.seq):
                self._vectors.remove(ids)
                self._vectors.add(ids, decode(blobs, self.spec.dim))
            if self._vectors.count != rows.count():
                self._vectors.remove(np.setdiff1d(self._vectors.ids, rows.ids()))
            self._vectors.settle()
        except ModelError as error:
            raise IndexFolderError(
                f"{self.folder} holds damaged vectors: {error}; "
                f"run `searchengine check --repair --index {self.folder}`"
            ) from error
        except BaseException:  # Ctrl-C: what is half done must not be taken for a state
            self._vectors, self._seen = VectorIndex(self.spec.dim), _NOTHING
            raise

    def save_snapshot(self) -> bool:
        """Write the snapshot of the present state, delete older ones; call it after the last batch.

        False where it cannot be written: nothing is lost, it is only rebuilt at the next search.
        """
        with self._lock:
            self._follow()
            return self._save()

    def _save(self) -> bool:
        try:
            if self._saved != self._seen.stamp:
                self._vectors.save(self._snapshot(self._seen.stamp))
                self._saved = self._seen.stamp
            if self.kind != self._vectors.kind:
                with self._catalog.writing() as rows:
                    rows.set("kind", self._vectors.kind)
            self._sweep()
        except (OSError, IndexFolderError):
            return False
        return True

    def _sweep(self) -> None:
        """Delete snapshots of older states, and temporary files whose writer was killed."""
        with self._catalog.reading() as rows:
            current = self._snapshot(rows.stamp())
        for path in self.folder.glob("*.faiss"):
            if path != current:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("*.faiss.*.tmp"):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)

    # --- Writing ---

    def add_root(self, path: str | Path) -> tuple[str, str]:
        """Make a folder known, and start writing from the present state.

        Returns the root that holds it and its path below that root: itself and "" if it is new.
        Roots inside a new one become part of it, and their images keep id and vector.
        """
        path = os.path.abspath(path)
        with self._lock, self._catalog.writing() as rows:
            stamp = rows.stamp()
            for root in rows.roots():
                if (under := below(path, root)) is not None:
                    self._held = stamp
                    return root, under
            if rows.add_root(path):
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

    # --- Soundness ---

    def check(self) -> list[str]:
        """Say what is unsound, a line each; nothing if the index is sound.

        A missing snapshot is sound: the next search rebuilds it.
        """
        try:
            with self._catalog.reading() as rows:
                problems = rows.problems()
                problems += [f"image {each}: no usable vector" for each in self._unusable(rows)]
                path = self._snapshot(rows.stamp())
                if path.exists() and not self._matches(path, rows):
                    problems.append(f"{path} is damaged or differs from the catalog")
        except IndexFolderError as error:
            return [str(error)]
        return problems

    def repair(self) -> list[str]:
        """Drop what has no usable vector, so that `index` reads it again; rebuild the snapshot.

        Returns what was done, a line each.
        """
        done = []
        with self._lock:
            with self._catalog.writing() as rows:
                stamp = rows.stamp()
                if orphans := rows.mend():
                    done.append(f"removed {orphans} rows that referred to missing ones")
                if unusable := self._unusable(rows):
                    rows.remove(unusable)
                    done.append(f"dropped {len(unusable)} images without a usable vector")
                if done:
                    rows.restamp(stamp, stamp := _fresh_stamp())
                sound = self._matches(self._snapshot(stamp), rows)
            self._held = stamp
            if not sound:
                self._vectors, self._seen, self._saved = VectorIndex(self.spec.dim), _NOTHING, ""
                self._snapshot(stamp).unlink(missing_ok=True)
                if self.save_snapshot():
                    done.append(f"rebuilt the snapshot of {self.count} vectors")
        return done

    def _unusable(self, rows: Reader) -> list[int]:
        bad = rows.without_vector()
        for ids, blobs in rows.vectors_after(0):
            good = np.array([len(blob) == 2 * self.spec.dim for blob in blobs])
            whole = [blob for blob, right in zip(blobs, good, strict=True) if right]
            good[good] = usable(decode(whole, self.spec.dim))
            bad += ids[~good].tolist()
        return bad

    def _matches(self, path: Path, rows: Reader) -> bool:
        """Tell whether a snapshot holds exactly the vectors of the catalog."""
        try:
            ids, vectors = VectorIndex.load(path).items()
        except (OSError, IndexFolderError):
            return False
        if vectors.shape != (rows.count(), self.spec.dim):
            return False
        for block, blobs in rows.vectors_after(0):
            places = np.searchsorted(ids, block).clip(max=len(ids) - 1)
            if (ids[places] != block).any() or vectors[places].tobytes() != b"".join(blobs):
                return False
        return True


def _fresh_stamp() -> str:
    return secrets.token_hex(16)
