"""What is in an index: every question that the catalog alone answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog import Catalog, Entry, Reader, Traits, decode
from searchengine.errors import QueryError
from searchengine.filters import Filters
from searchengine.index.remembered import Remembered
from searchengine.index.snapshot import require_model
from searchengine.types import (
    Embeddings,
    EncoderSpec,
    Facets,
    Failure,
    IndexedImage,
    Scope,
    WordMatch,
)
from searchengine.vectors import Among


class Contents:
    """What is in an index: images, roots, failures, captions, words, embeddings."""

    folder: Path
    spec: EncoderSpec
    _catalog: Catalog
    _remembered: Remembered

    @property
    def place(self) -> str:
        """Where its catalog is, without a password."""
        return self._catalog.place

    @property
    def count(self) -> int:
        """How many images there are."""
        with self._catalog.reading() as rows:
            return self._remembered.once(rows.stamp(), "count", rows.count)

    @property
    def stamp(self) -> str:
        """The random name of its present state: what any process writes gives it another one."""
        with self._catalog.reading() as rows:
            return rows.stamp()

    @property
    def is_current(self) -> bool:
        """Whether it still holds the embeddings of the encoder that it was opened with."""
        with self._catalog.reading() as rows:
            return rows.encoder().fingerprint == self.spec.fingerprint

    @property
    def kind(self) -> str:
        """How it is searched, as of the last snapshot: `exact`, or `ivf` and a number."""
        with self._catalog.reading() as rows:
            return rows.settings()["kind"]

    def roots(self) -> list[str]:
        """The root folders, oldest first."""
        with self._catalog.reading() as rows:
            return rows.roots()

    def scopes(self) -> dict[str, Scope]:
        """Path of every root folder, oldest first -> which of its files belong to the index."""
        with self._catalog.reading() as rows:
            return rows.scopes()

    def root_counts(self) -> dict[str, int]:
        """Path of every root folder, oldest first -> how many images are below it."""
        with self._catalog.reading() as rows:
            return rows.root_counts()

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

    def digests(self, sizes: Set[int]) -> dict[int, list[bytes]]:
        """Size in bytes -> digests of the contents of that size, of all images."""
        with self._catalog.reading() as rows:
            return rows.digests(sizes)

    def traits(self, ids: Iterable[int] | None = None) -> list[Traits]:
        """What tells copies; of some images or of all, the one to keep of equal ones first.

        That is the larger, else the older, else the first by path.
        """
        with self._catalog.reading() as rows:
            return rows.traits(ids)

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

    def captions(self, ids: Sequence[int] | None = None) -> dict[int, tuple[str, ...]]:
        """Id -> captions in the order they were given, of every image that has any, by id.

        With `ids`, a few hundred at most, only of these images.
        """
        with self._catalog.reading() as rows:
            return rows.captions(ids)

    def entries(self) -> Iterator[list[Entry]]:
        """Everything known of every image, by id, block by block, all as of one moment."""
        with self._catalog.reading() as rows:
            self._require_model(rows)
            after = 0
            while block := rows.entries(after, self.spec.dim):
                yield block
                after = block[-1].id

    def embeddings(self, ids: Sequence[int]) -> Embeddings:
        """The embeddings of images, (n, dim) float32, in the order of their ids.

        Raises:
            QueryError: there is no image with one of the ids.
        """
        with self._catalog.reading() as rows:
            self._require_model(rows)
            found = rows.vectors(ids)
        if missing := [each for each in ids if each not in found]:
            raise self._unknown(missing)
        return decode([found[each] for each in ids], self.spec.dim)

    def present(self, ids: Sequence[int]) -> tuple[list[int], Embeddings]:
        """Those of the ids that have an image still, in their order, and their embeddings."""
        with self._catalog.reading() as rows:
            self._require_model(rows)
            found = rows.vectors(ids)
        kept = [each for each in ids if each in found]
        return kept, decode([found[each] for each in kept], self.spec.dim)

    def _unknown(self, ids: Sequence[int]) -> QueryError:
        listed = ", ".join(map(str, ids[:5]))
        return QueryError(f"no image {listed} in {self.folder}; `searchengine search` prints ids")

    def ids(self) -> NDArray[np.int64]:
        """The ids of all images, (n,) int64."""
        with self._catalog.reading() as rows:
            return rows.ids()

    def sample(self, count: int) -> Embeddings:
        """At most `count` embeddings, (n, dim) float32, evenly spread over the images."""
        with self._catalog.reading() as rows:
            self._require_model(rows)
            what = ("sample", count)
            return self._remembered.once(rows.stamp(), what, lambda: self._sampled(rows, count))

    def _sampled(self, rows: Reader, count: int) -> Embeddings:
        ids = rows.ids()
        chosen = ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(np.int64)]
        return decode(list(rows.vectors(chosen.tolist()).values()), self.spec.dim)

    def matching(self, filters: Filters) -> NDArray[np.int64]:
        """The ids of images that pass the filters, ascending, (n,) int64, not to be changed.

        Raises:
            QueryError: a filter names a format that does not exist.
        """
        with self._catalog.reading() as rows:
            # A relative folder is another one elsewhere.
            what = filters, filters.folder and os.path.abspath(filters.folder)
            return self._remembered.once(rows.stamp(), what, lambda: rows.matching(filters))

    def words(self, text: str, limit: int, among: Among | None = None) -> list[WordMatch]:
        """The images whose file name, folder and captions hold what a person typed, best first.

        All of the plain words must be there, and every "quotation" literally, though without
        regard to case and diacritics. With `among`, only those of these images.
        """
        with self._catalog.reading() as rows:
            return rows.words(text, limit, among)

    def newest(
        self,
        allowed: NDArray[np.int64] | None = None,
        offset: int = 0,
        limit: int = 60,
        *,
        by_folder: bool = False,
    ) -> list[int]:
        """At most `limit` ids of images, newest first, without the first `offset`.

        An image is as old as its camera says, or else its file. With `allowed`, (m,) int64, only
        images with those ids. With `by_folder`, the newest first within each folder.
        """
        with self._catalog.reading() as rows:
            return rows.newest(allowed, offset, limit, by_folder=by_folder)

    def facets(self, ids: Iterable[int] | None = None) -> Facets:
        """How many of the images, or of all, there are of each month, camera, format, folder.

        And how many of each place.
        """
        with self._catalog.reading() as rows:
            return rows.facets(ids)

    def _require_model(self, rows: Reader) -> None:
        require_model(rows, self.spec, self.folder)
