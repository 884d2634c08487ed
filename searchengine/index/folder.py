"""The index folder: what is in it, what is near to a query, and every change of it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog import (
    Catalog,
    Changes,
    Reader,
    below,
)
from searchengine.errors import (
    IndexChangedError,
    IndexFolderError,
    IndexModelError,
    ModelError,
)
from searchengine.filters import Filters
from searchengine.index import roots, soundness
from searchengine.index.claims import Claims
from searchengine.index.contents import Contents
from searchengine.index.mirror import Mirror
from searchengine.index.places import Places, default_catalog
from searchengine.index.remembered import Remembered
from searchengine.index.snapshot import Snapshot
from searchengine.types import (
    Embeddings,
    EncoderSpec,
    Hit,
    IndexedImage,
    Scope,
)
from searchengine.vectors import Among, VectorStore, check_embeddings, sync_folder

OpenStore: TypeAlias = Callable[[str, EncoderSpec], VectorStore]
"""Opens the vector store of an index, by the name that the index has there, for an encoder."""


class Index(Contents):
    """An index folder: what is in it, and what is near to a query.

    Searching follows the catalog: what any process has committed is found by the next search. The
    vectors are in a snapshot in the folder, or in the store that the folder names.
    Safe to share between threads. Every method raises IndexFolderError where the catalog cannot
    be read or written (disk full, locked for long, damaged), and every one that gives or takes
    embeddings IndexModelError where another process has changed the index to another encoder.
    Those that search or save raise StoreError where the store cannot be used.
    """

    def __init__(self, folder: Path, catalog: Catalog, open_store: OpenStore | None = None) -> None:
        self.folder = folder
        self._catalog = catalog
        self._open_store = open_store
        with catalog.reading() as rows:
            settings = rows.settings().keys()
            if missing := {"model", "kind", "stamp"} - settings:
                raise IndexFolderError(f"{folder} lost its settings {missing}; index it again")
            self.spec = rows.encoder()
            self._claims = Claims(
                folder, rows.root_stamps()
            )  # what this object's writes build upon
        self._vectors = self._vectors_of(self.spec)
        self._lock = threading.RLock()  # guards the three above
        self._remembered = Remembered()

    def _vectors_of(self, spec: EncoderSpec) -> Snapshot | Mirror:
        if self._open_store is None:
            return Snapshot(self.folder, self._catalog, spec)
        return Mirror(self._catalog, self._open_store(self._name(), spec), spec, self.folder)

    def _name(self) -> str:
        """What the index is called in a vector store: the same from whichever folder it is used."""
        with self._catalog.reading() as rows:
            name = rows.settings().get("name")
        if name is None:
            with self._catalog.writing() as rows:
                name = rows.settings().get("name", f"searchengine_{secrets.token_hex(4)}")
                rows.set("name", name)
        return name

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Tell whether a folder holds an index; one whose creation was cut short does not."""
        return Catalog.exists(Places.of(Path(folder)).catalog)

    @classmethod
    def create(
        cls, folder: str | Path, spec: EncoderSpec, open_store: OpenStore | None = None
    ) -> Index:
        """Make an empty index for the embeddings of one encoder.

        Its catalog is where the folder says, by default in the folder. With `open_store`, its
        vectors are searched there.

        Raises:
            IndexFolderError: the folder holds an index already, or cannot be written.
        """
        folder = Path(folder)
        places = Places.of(folder)
        if not isinstance(places.catalog, str):
            places = replace(places, catalog=default_catalog(folder))
        values = {"kind": "exact", "stamp": _fresh_stamp()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            catalog = Catalog.create(places.catalog, spec, values)
            places.remember(folder)
            sync_folder(folder)
        except OSError as error:
            raise IndexFolderError(f"cannot make an index in {folder}: {error}") from error
        return cls(folder, catalog, open_store)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        spec: EncoderSpec | None = None,
        open_store: OpenStore | None = None,
    ) -> Index:
        """Open an index; with a spec, one made by that encoder only. Never creates a file.

        With `open_store`, its vectors are searched there.

        Raises:
            IndexFolderError: the folder is not an index.
            IndexModelError: another encoder made it.
        """
        folder = Path(folder)
        index = cls(folder, Catalog.open(Places.of(folder).catalog), open_store)
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
        """Close the catalog and the store."""
        self._vectors.close()
        self._catalog.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- Search ---

    def search(self, queries: Embeddings, k: int, among: Among | None = None) -> list[list[Hit]]:
        """For each of (n, dim) queries the k nearest images, best first, equal scores by id.

        With `among`, only the images with these ids, or that these filters let pass, and exactly.

        Raises:
            ModelError: the queries are not embeddings of this dimension.
            QueryError: k is not positive.
        """
        scores, ids = self.nearest(queries, k, among)
        with self._catalog.reading() as rows:
            found = rows.images(np.unique(ids).tolist())
        return [
            [Hit(found[each], score) for each, score in zip(*row, strict=True) if each in found]
            for row in zip(ids.tolist(), scores.tolist(), strict=True)
        ]

    def nearest(
        self, queries: Embeddings, k: int, among: Among | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same as `search`, as (n, k') cosines and ids; k' is k or as many as there are."""
        if isinstance(among, Filters):
            among = self.narrowed(among)
        scores, ids = self._vectors.search(queries, k, among)
        return scores.clip(-1, 1), ids

    def narrowed(self, filters: Filters) -> Among:
        """What to search among for these filters: themselves where the store applies them, or ids.

        Raises:
            QueryError: a filter names a format that does not exist.
        """
        return filters if self._vectors.can_apply(filters) else self.matching(filters)

    @property
    def kind(self) -> str:
        """How it is searched: `exact`, or `ivf` and a number, or the name of the store."""
        return self._vectors.name if isinstance(self._vectors, Mirror) else super().kind

    def preload(self) -> None:
        """Bring the vectors into memory, as the next search would."""
        self._vectors.follow()

    def save_snapshot(self) -> bool:
        """Write the snapshot of the present state, delete older ones; call it after the last batch.

        False where it cannot be written: nothing is lost, it is only rebuilt at the next search.
        Where the vectors are in a store, they are all brought there.
        """
        return self._vectors.save()

    # --- Writing ---

    def add_root(self, path: str | Path, scope: Scope = Scope()) -> tuple[str, str]:  # noqa: B008
        """Make a folder known, and start writing from the present state.

        Returns the root that holds it and its path below that root: itself and "" if it is new.
        Roots inside a new one become part of it: their images keep id and vector, and what their
        patterns exclude stays excluded. `scope` is that of a new root.
        """
        path = roots.absolute(path)
        with self._lock, self._catalog.writing() as rows:
            self._require_model(rows)
            for root, stamp in rows.root_stamps().items():
                if (under := below(path, root)) is not None:
                    self._claims.add(root, stamp)
                    return root, under
            swallowed = rows.add_root(path, scope)
            stamp = rows.root_stamps()[path]
            if swallowed:
                rows.restamp({path: stamp}, stamp := _fresh_stamp())
        self._claims.add(path, stamp)
        for root in swallowed:
            self._claims.forget(root)
        return path, ""

    def write(self, changes: Changes) -> None:
        """Write one batch: when this returns, it is on disk; when it raises, nothing of it is.

        Raises:
            ModelError: an embedding is not what it must be.
            IndexChangedError: another process wrote to one of these root folders since `open`,
                `add_root` or the last `write`.
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
                touched, changes = self._claims.built_upon(rows, changes, fresh)
                rows.apply(changes)
            self._claims.renew(touched, fresh)

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
        fresh = _fresh_stamp()
        with self._lock:
            with self._catalog.writing() as rows:
                self._require_model(rows)
                old, new = roots.known(rows.roots(), old), roots.free(rows.roots(), old, new)
                before = rows.root_stamps()[old]
                rows.move_root(old, new)
                rows.restamp({new: before}, fresh)
            self._claims.move(old, new, before, fresh)

    def remove_root(self, root: str | Path) -> int:
        """Forget a root folder, its images and failures; its files stay as they are.

        Returns how many images were forgotten.

        Raises:
            IndexFolderError: it is not a root.
        """
        with self._lock:
            with self._catalog.writing() as rows:
                self._require_model(rows)
                path = roots.known(rows.roots(), root)
                count = rows.remove_root(path)
                rows.restamp({}, _fresh_stamp())
            self._claims.forget(path)
        return count

    # --- Changing the encoder ---

    def begin_staging(self, spec: EncoderSpec) -> None:
        """Start, or go on, to collect the embeddings of another encoder.

        Searches answer from the present ones until `switch`. What there is of the same encoder,
        staged or from the time when it was the present one, is kept; that of any other is dropped.
        """
        with self._catalog.writing() as rows:
            self._require_model(rows)
            dropped = rows.begin_staging(spec)
        for vectors in map(self._vectors_of, dropped):
            if isinstance(vectors, Mirror):
                vectors.drop()
                vectors.close()

    def unstaged(self, spec: EncoderSpec) -> list[int]:
        """The ids of images without an embedding of this encoder, ascending."""
        with self._catalog.reading() as rows:
            self._require_staging(rows, spec)
            return rows.unstaged(spec)

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
            rows.stage(spec, digests, embeddings)

    def switch(self, spec: EncoderSpec) -> None:
        """Search the staged embeddings from now on, in one transaction.

        Images without one are removed; the next `index` finds them again, if they can be read.
        From then on this object takes embeddings of the new encoder only. Those of the one before
        are kept until another one is staged, so that going back encodes only what came since.

        Raises:
            IndexChangedError: another process began to stage for another encoder.
        """
        with self._lock:
            vectors = self._vectors_of(spec)
            vectors.prepare()
            with self._catalog.writing() as rows:
                self._require_staging(rows, spec)
                rows.switch(spec)
                rows.restamp_all(fresh := _fresh_stamp())
            self.spec = spec
            self._claims.renew_all(fresh)
            self._vectors.close()
            self._vectors = vectors
            self._vectors.save()

    def _require_staging(self, rows: Reader, spec: EncoderSpec) -> None:
        self._require_model(rows)
        if not rows.holds(spec):
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
                found = soundness.problems(rows, self.spec.dim)
            return found + self._vectors.problems()
        except IndexFolderError as error:
            return [str(error)]

    def repair(self) -> list[str]:
        """Drop what has no usable vector, so that `index` reads it again; rebuild the snapshot.

        Returns what was done, a line each.
        """
        with self._lock:
            with self._catalog.writing() as rows:
                self._require_model(rows)
                if done := soundness.mend(rows, self.spec.dim):
                    rows.restamp_all(_fresh_stamp())
                stamps = rows.root_stamps()
            self._claims = Claims(self.folder, stamps)
            return done + self._vectors.repair()


def _fresh_stamp() -> str:
    return secrets.token_hex(16)
