"""A rough and fast picture of the embeddings, which tells where to look closely."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine.types import Embeddings
from searchengine.vectors.store import Bits, Ids, Scores, import_faiss

_TRAINING: Final = 64  # vectors a partition's centroid is learned from
_ITERATIONS: Final = 10  # of k-means
_SURE: Final = 4  # standard deviations from its centroid that no embedding lies along a query


def partitions_for(count: int) -> int:
    """How many partitions so many embeddings get."""
    return round(math.sqrt(count))


def training_size(count: int) -> int:
    """How many embeddings are enough to learn the partitions of `count` from."""
    return min(count, _TRAINING * partitions_for(count))


class Nearest(NamedTuple):
    """The numbers of the partitions, nearest to a query first, and their centroids' cosines."""

    numbers: NDArray[np.int64]
    cosines: Scores


class Partitions:
    """An inverted file of product-quantised embeddings: one bit a dimension.

    H. Jégou et al., "Product quantization for nearest neighbor search", 2011; the codes are
    compared sixteen or more at a time (F. André et al., "Cache locality is not enough", 2015).
    """

    def __init__(self, index: Any) -> None:
        self._index = index  # faiss.IndexIVFPQFastScan
        self._residuals: NDArray[np.float32] | None = None

    @classmethod
    def learn(cls, sample: Embeddings, number: int) -> Partitions:
        """Learn `number` centroids, and the quantisation, from (n, dim); there is nothing in it."""
        faiss = import_faiss()

        dim, cosine = sample.shape[1], faiss.METRIC_INNER_PRODUCT
        part = next(size for size in (4, 3, 2, 5, 1) if dim % size == 0)
        centroids = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFPQFastScan(centroids, dim, number, dim // part, 4, cosine)
        for settings in (index.cp, index.pq.cp):
            settings.min_points_per_centroid = 1  # or it warns where there are few
        index.cp.niter = _ITERATIONS
        index.train(sample)
        index.nprobe = number
        return cls(index)

    @property
    def count(self) -> int:
        """How many embeddings are in it."""
        return int(self._index.ntotal)

    @property
    def number(self) -> int:
        """How many partitions there are."""
        return int(self._index.nlist)

    @property
    def probed(self) -> int:
        """How many partitions a search looks into."""
        return int(self._index.nprobe)

    @probed.setter
    def probed(self, number: int) -> None:
        self._index.nprobe = number

    def add(self, ids: Ids, embeddings: Embeddings) -> None:
        """Add (n,) int64 new ids with (n, dim) float32 embeddings."""
        self._index.add_with_ids(np.ascontiguousarray(embeddings), ids)

    def remove(self, ids: Ids) -> None:
        """Remove these ids."""
        self._index.remove_ids(ids)

    def candidates(self, query: Embeddings, count: int, probed: int) -> tuple[Ids, Scores]:
        """The ids of the `count` embeddings that seem nearest to (1, dim), and about what scores.

        Fewer where the `probed` partitions nearest to the query hold fewer.
        """
        params = import_faiss().SearchParametersIVF(nprobe=probed)
        scores, ids = self._index.search(query, count, params=params)
        known = ids[0] >= 0
        return ids[0][known], scores[0][known]

    def candidates_in(
        self, nearest: Nearest, places: slice, query: Embeddings, count: int, among: Bits
    ) -> tuple[Ids, Scores]:
        """The same in some of the partitions; `among` tells for each id if it counts."""
        faiss = import_faiss()

        numbers, cosines = nearest.numbers[places], nearest.cosines[places]
        selector = faiss.IDSelectorBitmap(among)
        params = faiss.SearchParametersIVF(sel=selector, nprobe=len(numbers))
        scores, ids = np.empty(count, np.float32), np.empty(count, np.int64)
        arrays = (numbers, cosines, scores, ids)
        pointers = (faiss.swig_ptr(each) for each in arrays)
        self._index.search_preassigned_c(1, faiss.swig_ptr(query), count, *pointers, False, params)
        known = ids >= 0
        return ids[known], scores[known]

    def nearest(self, query: Embeddings) -> Nearest:
        """All partitions in the order in which to look for what is near to (1, dim)."""
        cosines = _cosines(self._centroids, query)
        order = np.argsort(-cosines)
        return Nearest(order, cosines[order])

    @cached_property
    def _centroids(self) -> NDArray[np.float32]:
        return np.asarray(self._index.quantizer.reconstruct_n(0, self.number))

    def assigned(self, embeddings: Embeddings) -> NDArray[np.int64]:
        """The partition of each of (n, dim) embeddings, (n,)."""
        numbers: NDArray[np.int64] = self._index.quantizer.search(embeddings, 1)[1][:, 0]
        return numbers

    def ranks(self, query: Embeddings) -> NDArray[np.int64]:
        """When a search for (1, dim) looks into each partition: first is 0."""
        order = self.nearest(query).numbers
        ranks = np.empty_like(order)
        ranks[order] = np.arange(self.number)
        return ranks

    @property
    def is_observed(self) -> bool:
        """Whether it knows how far embeddings lie from their centroids."""
        return self._residuals is not None

    def observe(self, sample: Embeddings) -> None:
        """Learn from (n, dim) embeddings how far they lie from their centroids."""
        self._residuals = sample - self._centroids[self.assigned(sample)]

    def reach(self, query: Embeddings) -> float:
        """How much farther along (1, dim) than its centroid an embedding may lie.

        By what a sample shows: its distance from the centroid along the query is taken to be
        normally distributed.
        """
        if self._residuals is None:
            return math.inf
        return _SURE * float(_cosines(self._residuals, query).std())

    def to_bytes(self) -> bytes:
        """What `from_bytes` reads."""
        return bytes(import_faiss().serialize_index(self._index))

    @classmethod
    def from_bytes(cls, content: bytes) -> Partitions | None:
        """Read partitions that are known to be whole; None if it is something else."""
        faiss = import_faiss()

        index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        return cls(index) if isinstance(index, faiss.IndexIVFPQFastScan) else None


def _cosines(rows: NDArray[np.float32], query: Embeddings) -> Scores:
    # Not `@`: the threads of numpy's BLAS and those of FAISS would wait for one another.
    return np.asarray(np.einsum("ij,j->i", rows, query[0]))
