"""Nearest embeddings by cosine: exactly, or looking closely only where it promises something."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import IndexFolderError, ModelError
from searchengine.types import Embeddings
from searchengine.vectors.chosen import Chosen
from searchengine.vectors.embeddings import check_embeddings
from searchengine.vectors.files import appearing, check_seal, seal
from searchengine.vectors.partitions import Partitions, partitions_for, training_size
from searchengine.vectors.probing import probes_for
from searchengine.vectors.rows import TIES, best, check_query
from searchengine.vectors.store import Ids, Places, Scores, Store, one_thread
from searchengine.vectors.within import nearest_within

EXACT_LIMIT = 200_000  # vectors that are all compared; more are partitioned too
GROWN: Final = 1.4  # times as many partitions are worth learning anew
BLOCK: Final = 16_384  # vectors converted to float32 at a time
FEW: Final = 128  # times as many vectors are there than are few
MOST: Final = 16  # one in so many is compared exactly at most
CLOSE: Final = 1000  # vectors that are compared exactly at least
WIDER: Final = 8  # times as many as are asked for


class VectorIndex:
    """Embeddings by id, stored as float16: exact over what the catalog holds.

    Up to `EXACT_LIMIT` vectors all are compared. Beyond, partitions give estimates, and those with
    the best are compared, as many as the error of the estimates demands. `settle` makes that
    choice. Not safe to change while searching.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._made: Store | None = None
        self._partitions: Partitions | None = None
        self._last: tuple[Ids, Chosen] | None = None  # what the last search was among

    @property
    def _store(self) -> Store:
        if self._made is None:
            self._made = Store.empty(self.dim)
        return self._made

    @property
    def ids(self) -> Ids:
        """All ids, (n,) int64, in the order in which they came."""
        return self._store.ids if self._made else np.empty(0, np.int64)

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return self.ids.size

    @property
    def kind(self) -> str:
        """How it searches: `exact`, or `ivf` and the number of partitions."""
        return f"ivf{self._partitions.number}" if self._partitions else "exact"

    def reserve(self, count: int) -> None:
        """Make room for `count` vectors in an empty index.

        Growing step by step would need up to three times the memory.
        """
        self._store.reserve(count)

    def add(self, ids: Ids, embeddings: Embeddings) -> None:
        """Add (n,) int64 ids with (n, dim) float32 embeddings.

        Raises:
            ModelError: the embeddings are not what they must be.
            IndexFolderError: an id is there already, or given twice.
        """
        check_embeddings(embeddings, self.dim)
        if len(ids) != len(embeddings):
            raise ModelError(f"{len(ids)} ids for {len(embeddings)} embeddings")
        if np.unique(ids).size != len(ids) or np.isin(ids, self.ids).any():
            raise IndexFolderError("an image id occurs twice; run `searchengine check --repair`")
        self._last = None
        self._store.add(ids, embeddings)
        if self._partitions:
            self._partitions.add(ids, embeddings)

    def remove(self, ids: Ids) -> None:
        """Remove the vectors of these (n,) int64 ids; ids that are not there are ignored."""
        is_gone = np.isin(self.ids, ids)
        if is_gone.any():
            self._last = None
            if self._partitions:
                self._partitions.remove(self.ids[is_gone])
            self._store.remove(is_gone)

    def settle(self) -> None:
        """Choose exact or partitioned by size, and learn new partitions when it has doubled."""
        wanted, now = partitions_for(self.count), self._partitions
        if self.count <= EXACT_LIMIT or (now and wanted < now.number * GROWN):
            return
        sample = self._store.sample(training_size(self.count))
        self._partitions = Partitions.learn(sample, wanted)
        vectors = self._store.vectors
        for start in range(0, self.count, BLOCK):
            block = slice(start, start + BLOCK)
            self._partitions.add(self.ids[block], vectors[block].astype(np.float32))
        with one_thread():
            self._partitions.probed = probes_for(self._partitions, self._store)

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> tuple[Scores, Ids]:
        """Find the k vectors nearest to each query, best first, equal scores by id.

        Takes (n, dim) float32 queries of unit norm. With `allowed`, the best among those ids,
        exactly (partitioned, all but about one in thousands). Returns scores (n, k') float32 and
        ids (n, k') int64, where k' is k or, if there are fewer vectors, all of them.

        Raises:
            ModelError: the queries are not embeddings of this dimension.
            QueryError: k is not positive.
        """
        check_query(queries, k, self.dim)
        among = None if allowed is None else self._chosen(allowed)
        total = self.count if among is None else among.count
        k = min(k, total)
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        scores, places = self._nearest(queries, min(k + TIES, total), among, total)
        return best(scores, self.ids[places], k)

    def _chosen(self, allowed: Ids) -> Chosen:
        """What has one of these ids; for an array that nobody changes, found once."""
        if self._last is not None and allowed is self._last[0]:
            return self._last[1]
        chosen = Chosen(self._store, allowed)
        self._last = None if allowed.flags.writeable else (allowed, chosen)
        return chosen

    def _nearest(
        self, queries: Embeddings, k: int, among: Chosen | None, total: int
    ) -> tuple[Scores, Places]:
        """Scores and places of the k best, (n, k) each, unordered where scores are equal."""
        if among is None and not self._partitions:
            return self._all(queries, k, None)
        table = self._store.places
        if among is not None and total * FEW <= self.count:
            with one_thread():
                scores, found = self._store.nearest_of(among.places, queries, k)
            return scores, among.places[found]
        if self._partitions and table is not None and self.count >= CLOSE * MOST:
            with one_thread():
                rows = [self._looked_up(queries[[i]], k, among) for i in range(len(queries))]
            scores, places = (np.concatenate(part) for part in zip(*rows, strict=True))
            return scores, places
        return self._all(queries, k, among)

    def _all(self, queries: Embeddings, k: int, among: Chosen | None) -> tuple[Scores, Places]:
        return self._store.nearest(queries, k, among.by_place if among else None)

    def _looked_up(self, query: Embeddings, k: int, among: Chosen | None) -> tuple[Scores, Places]:
        """The same for one query, by the partitions' estimates; surely if `among` is given."""
        partitions, count = self._partitions, max(CLOSE, WIDER * k)
        while partitions and count * MOST <= self.count:
            if among is None:
                found = self._likely(partitions, query, k, count)
            else:
                found = nearest_within(partitions, self._store, query, k, among, count)
            if found:
                return found
            count *= 4
        return self._all(query, k, among)

    def _likely(
        self, partitions: Partitions, query: Embeddings, k: int, count: int
    ) -> tuple[Scores, Places] | None:
        """The best of the `count` by estimate; None if these are too few."""
        for probed in (partitions.probed, partitions.number):
            ids, _ = partitions.candidates(query, count, probed)
            if len(ids) >= k:
                places = self._store.places_of(ids)
                scores, found = self._store.nearest_of(places, query, k)
                return scores, places[found]
        return None

    def items(self) -> tuple[Ids, NDArray[np.float16]]:
        """Give all ids (n,) int64, ascending, and their vectors (n, dim) float16."""
        order = np.argsort(self.ids)
        return self.ids[order], self._store.vectors[order]

    def save(self, path: Path) -> None:
        """Write a file that is whole or not there, even after a power cut.

        Raises:
            OSError: it cannot be written.
        """
        with appearing(path) as file:
            self._store.write(file.write)
            seal(file, self.count, self._partitions.to_bytes() if self._partitions else b"")

    @classmethod
    def load(cls, path: Path, *, mapped: bool = False) -> VectorIndex:
        """Read what `save` wrote; `mapped` leaves the vectors in the file until they are searched.

        Raises:
            OSError: the file cannot be read.
            IndexFolderError: the file is damaged, or not such a file.
        """
        partitions = None
        try:
            with path.open("rb") as file:
                content = check_seal(file)
                # FAISS opens no name that is not UTF-8.
                is_mapped = mapped and str(path).isprintable()
                store = Store.map(path) if is_mapped else Store.read(file.read)
            if content.partitions:
                partitions = Partitions.from_bytes(content.partitions)
        except (RuntimeError, MemoryError, struct.error) as error:
            raise IndexFolderError(f"{path} is damaged; delete it, it can be rebuilt") from error
        if store is None or (partitions and partitions.count != len(store.ids)):
            raise IndexFolderError(f"{path} is not a snapshot; delete it, it can be rebuilt")
        vectors = cls(store.dim)
        vectors._made, vectors._partitions = store, partitions
        return vectors
