"""All embeddings, compared one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine.types import Embeddings

_SPARSE: Final = 8  # times as many ids as vectors: too many for a table by id
_BLOCK: Final = 1024  # embeddings gathered at a time, which stay in the processor's cache

Ids: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.int64]
Scores: TypeAlias = NDArray[np.float32]
Bits: TypeAlias = NDArray[np.uint8]
"""Yes or no for each number from 0, eight in a byte, the lowest bit first."""


def import_faiss() -> Any:
    """FAISS, only when needed: it takes 0.1 s. Any: its type stubs are incomplete."""
    import faiss

    return faiss


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS use the calling thread alone.

    For one query others gain little, and on a busy machine it would wait for them for tens of
    milliseconds.
    """
    faiss = import_faiss()

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


class Store:
    """Embeddings as float16, each at a place: its number in the order in which they came."""

    def __init__(self, index: Any, *, is_mapped: bool = False) -> None:
        self._index = index  # faiss.IndexIDMap over faiss.IndexScalarQuantizer
        self._is_mapped = is_mapped
        self.dim = int(index.d)
        self.ids: Ids = import_faiss().vector_to_array(index.id_map)

    @classmethod
    def empty(cls, dim: int) -> Store:
        """A store without embeddings."""
        return cls(import_faiss().IndexIDMap(_comparer(dim)))

    @property
    def _flat(self) -> Any:
        return import_faiss().downcast_index(self._index.index)

    @property
    def vectors(self) -> NDArray[np.float16]:
        """The embeddings by place, (n, dim) float16, in place: valid until a change."""
        codes = self._flat.codes
        if codes.size() == 0:
            return np.empty((0, self.dim), np.float16)
        content: NDArray[np.uint8] = import_faiss().rev_swig_ptr(codes.data(), codes.size())
        return content.view(np.float16).reshape(-1, self.dim)

    def sample(self, count: int) -> Embeddings:
        """At most `count` random embeddings, always the same ones, (n, dim) float32."""
        count = min(count, self.ids.size)
        places = np.random.default_rng(0).choice(self.ids.size, count, replace=False)
        return self.vectors[np.sort(places)].astype(np.float32)

    def reserve(self, count: int) -> None:
        """Make room for `count` embeddings in an empty store.

        Growing step by step would need up to three times the memory.
        """
        codes = self._flat.codes
        codes.resize(count * 2 * self.dim)
        codes.resize(0)  # keeps the room

    def add(self, ids: Ids, embeddings: Embeddings) -> None:
        """Add (n,) int64 new ids with (n, dim) float32 embeddings."""
        self._own(room=len(ids))
        self._index.add_with_ids(np.ascontiguousarray(embeddings), ids)
        self._know(np.concatenate([self.ids, ids]))

    def remove(self, is_gone: NDArray[np.bool_]) -> None:
        """Remove the embeddings at the places where (n,) `is_gone` is true."""
        self._own()
        self._index.remove_ids(self.ids[is_gone])
        self._know(self.ids[~is_gone])

    def _know(self, ids: Ids) -> None:
        self.ids = ids
        for known in ("places", "is_taken"):
            self.__dict__.pop(known, None)

    def nearest(
        self, queries: Embeddings, k: int, among: Bits | None = None
    ) -> tuple[Scores, Places]:
        """Scores and places of the k best, (n, k) each; `among` tells for each place if it counts.

        At least k must count.
        """
        faiss = import_faiss()

        selector = None
        if among is not None:
            selector = faiss.IDSelectorBitmap(among)
        queries = np.ascontiguousarray(queries)
        found = self._flat.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return found[0], found[1]

    def nearest_of(self, places: Places, queries: Embeddings, k: int) -> tuple[Scores, Places]:
        """The same among few places, as numbers into `places`; at least k of them."""
        queries, vectors, blocks = np.ascontiguousarray(queries), self.vectors, []
        few = _comparer(self.dim)
        # One buffer: fresh memory for each block would take longer than to fill it.
        buffer = np.empty((min(len(places), _BLOCK), self.dim), np.float16)
        for start in range(0, len(places), _BLOCK):
            block = places[start : start + _BLOCK]
            rows = np.take(vectors, block, axis=0, out=buffer[: len(block)], mode="clip")
            few.reset()
            few.add_sa_codes(rows.view(np.uint8))
            scores, found = few.search(queries, min(k, len(block)))
            blocks.append((scores, found + start))
        scores, found = (np.concatenate(part, axis=1) for part in zip(*blocks, strict=True))
        if len(blocks) > 1:
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, found = (np.take_along_axis(part, best, 1) for part in (scores, found))
        return scores, found

    @cached_property
    def places(self) -> NDArray[np.int32] | None:
        """The place of each id from 0, -1 where there is none; None where ids lie far apart."""
        if not self.ids.size or self.ids.min() < 0 or self.ids.max() > _SPARSE * self.ids.size:
            return None
        table = np.full(self.ids.max() + 1, -1, np.int32)
        table[self.ids] = np.arange(self.ids.size, dtype=np.int32)
        return table

    def places_of(self, ids: Ids) -> Places:
        """The places of ids that are there and do not lie far apart, (n,)."""
        table = self.places
        if table is None:
            raise ValueError("the ids lie far apart")
        return table[ids].astype(np.int64)

    @cached_property
    def is_taken(self) -> NDArray[np.bool_]:
        """For each id of `places` whether there is one."""
        return self.places >= 0 if self.places is not None else np.empty(0, np.bool_)

    def write(self, write: Callable[[bytes], int]) -> None:
        """Write what `read` reads."""
        faiss = import_faiss()

        faiss.write_index(self._index, faiss.PyCallbackIOWriter(write))

    @classmethod
    def read(cls, read: Callable[[int], bytes]) -> Store | None:
        """Read a store; None if it is something else. Raises RuntimeError or MemoryError."""
        faiss = import_faiss()

        index = faiss.read_index(faiss.PyCallbackIOReader(read))
        return cls(index) if _is_store(index) else None

    @classmethod
    def map(cls, path: Path) -> Store | None:
        """The same, but the embeddings stay in the file until they are searched."""
        faiss = import_faiss()

        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        return cls(index, is_mapped=True) if _is_store(index) else None

    def _own(self, room: int = 0) -> None:
        """Take the vectors out of the file: changing a mapped index would end the process.

        `room` is for how many more there is to be space.
        """
        if self._is_mapped:
            own = Store.empty(self.dim)
            own.reserve(self.ids.size + room)
            own._index.add_sa_codes(self.vectors.view(np.uint8), self.ids)
            self._index = own._index
            self._is_mapped = False


def _comparer(dim: int) -> Any:
    faiss = import_faiss()

    fp16 = faiss.ScalarQuantizer.QT_fp16
    return faiss.IndexScalarQuantizer(dim, fp16, faiss.METRIC_INNER_PRODUCT)


def _is_store(index: Any) -> bool:
    """Tell whether FAISS can search this without reading outside its arrays."""
    faiss = import_faiss()

    if not isinstance(index, faiss.IndexIDMap):
        return False
    stored = faiss.downcast_index(index.index)
    sizes = (stored.ntotal, index.id_map.size(), stored.codes.size() // (2 * index.d))
    return isinstance(stored, faiss.IndexScalarQuantizer) and set(sizes) == {index.ntotal}
