"""The vector index: nearest embeddings by cosine. Wraps FAISS."""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import IndexFolderError, ModelError, QueryError
from searchengine.types import Embeddings

EXACT_LIMIT = 500_000  # vectors scanned exhaustively; more are partitioned
NORM_TOLERANCE = 1e-2
TIES = 32  # candidates beyond k, among which equal scores at the cut are put in order
BLOCK = 16_384  # vectors converted to float32 at a time
PROBED = 4  # one partition in so many is searched; with one in 16 hard queries lose a third
TRAINING = 64  # vectors a partition's centroid is learned from
SEALED = 4096  # bytes at the start of a file, more than all its sizes and settings take
SEAL = struct.Struct("<4sIQQ")  # a mark, the CRC-32 of the sizes, the length before, the count

Ids: TypeAlias = NDArray[np.int64]


def _faiss() -> Any:
    import faiss  # only when needed: it takes 0.1 s; Any: its type stubs are incomplete

    return faiss


def usable(embeddings: Embeddings) -> NDArray[np.bool_]:
    """Tell which rows of (n, dim) float32 are finite and of unit norm; (n,) bool."""
    squares = np.einsum("ij,ij->i", embeddings, embeddings)
    # NaN and infinity fail the comparison too.
    return np.asarray(np.abs(np.sqrt(squares) - 1) < NORM_TOLERANCE)


def check_embeddings(embeddings: Embeddings, dim: int) -> None:
    """Refuse what FAISS would take silently.

    Raises:
        ModelError: not (n, dim) float32, not finite, or not of unit norm.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dim or embeddings.dtype != np.float32:
        raise ModelError(
            f"expected embeddings of shape (n, {dim}) and type float32, got "
            f"{embeddings.shape} {embeddings.dtype}; use the model that the index was made with"
        )
    if (bad := np.flatnonzero(~usable(embeddings))).size:
        raise ModelError(
            f"{bad.size} of {len(embeddings)} embeddings are not finite or not of unit norm "
            f"(first: row {bad[0]}); the model is damaged or does not normalise"
        )


class VectorIndex:
    """Embeddings by id, stored as float16: exact over what the catalog holds.

    Up to `EXACT_LIMIT` vectors all are compared; beyond, only those of the nearest partitions (an
    inverted file; Jégou et al., "Product quantization for nearest neighbor search", 2011, without
    the product quantisation). `settle` makes that choice. Not safe to change while searching.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.ids: Ids = np.empty(0, np.int64)
        self._is_mapped = False

    @cached_property
    def _store(self) -> Any:
        return _exact(self.dim)

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return self.ids.size

    @property
    def kind(self) -> str:
        """How it searches: `exact`, or `ivf` and the number of partitions."""
        return f"ivf{self._partitions}" if self._partitions else "exact"

    @property
    def _partitions(self) -> int:
        return int(getattr(self._store, "nlist", 0))

    def reserve(self, count: int) -> None:
        """Make room for `count` vectors in an empty index.

        Growing step by step would need up to three times the memory.
        """
        codes = _faiss().downcast_index(self._store.index).codes
        codes.resize(count * 2 * self.dim)
        codes.resize(0)  # keeps the room

    def add(self, ids: Ids, embeddings: Embeddings) -> None:
        """Add (n,) int64 ids with (n, dim) float32 embeddings.

        Raises:
            ModelError: the embeddings are not what they must be.
            IndexFolderError: an id is there already, or given twice.
        """
        check_embeddings(embeddings, self.dim)
        self._own()
        if len(ids) != len(embeddings):
            raise ModelError(f"{len(ids)} ids for {len(embeddings)} embeddings")
        if np.unique(ids).size != len(ids) or np.isin(ids, self.ids).any():
            raise IndexFolderError("an image id occurs twice; run `searchengine check --repair`")
        self._store.add_with_ids(np.ascontiguousarray(embeddings), ids)
        self.ids = np.concatenate([self.ids, ids])

    def remove(self, ids: Ids) -> None:
        """Remove the vectors of these (n,) int64 ids; ids that are not there are ignored."""
        gone = np.isin(self.ids, ids)
        if gone.any():
            self._own()
            self._store.remove_ids(self.ids[gone])
            self.ids = self.ids[~gone]

    def settle(self) -> None:
        """Choose exact or partitioned by size, and learn new partitions when it has doubled."""
        wanted = _partitions(self.count)
        if self.count > EXACT_LIMIT and wanted >= self._partitions * math.sqrt(2):
            self._store = _partitioned(self.dim, wanted, *self.items())

    def search(
        self, queries: Embeddings, k: int, allowed: Ids | None = None
    ) -> tuple[NDArray[np.float32], Ids]:
        """Find the k vectors nearest to each query, best first, equal scores by id.

        Takes (n, dim) float32 queries of unit norm. With `allowed`, exactly the best among those
        ids. Returns scores (n, k') float32 and ids (n, k') int64, where k' is k or, if there are
        fewer vectors, all of them.

        Raises:
            ModelError: the queries are not embeddings of this dimension.
            QueryError: k is not positive.
        """
        check_embeddings(queries, self.dim)
        if k < 1:
            raise QueryError(f"the number of results must be at least 1, not {k}")
        within = self.ids if allowed is None else self.ids[np.isin(self.ids, allowed)]
        k = min(k, within.size)
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        fetch = min(k + TIES, within.size)
        scores, ids = self._scan(queries, fetch, None if allowed is None else within)
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)

    def _scan(
        self, queries: Embeddings, k: int, within: Ids | None
    ) -> tuple[NDArray[np.float32], Ids]:
        faiss = _faiss()

        queries = np.ascontiguousarray(queries)
        selector = None if within is None else faiss.IDSelectorBatch(within)
        if not self._partitions:
            found = self._store.search(queries, k, params=faiss.SearchParameters(sel=selector))
        else:
            probes = self._partitions if selector else max(1, self._partitions // PROBED)
            params = faiss.SearchParametersIVF(sel=selector, nprobe=probes)
            found = self._store.search(queries, k, params=params)
            if (found[1] < 0).any():  # the nearest partitions hold fewer than k
                params.nprobe = self._partitions
                found = self._store.search(queries, k, params=params)
        return found[0], found[1]

    def items(self) -> tuple[Ids, NDArray[np.float16]]:
        """Give all ids (n,) int64, ascending, and their vectors (n, dim) float16."""
        faiss = _faiss()

        self._own()
        if self._partitions:
            parts = list(self._lists())
            ids, codes = (np.concatenate(part) for part in zip(*parts, strict=True))
        else:
            ids = faiss.vector_to_array(self._store.id_map)
            codes = faiss.vector_to_array(faiss.downcast_index(self._store.index).codes)
        order = np.argsort(ids)
        return ids[order], codes.view(np.float16).reshape(-1, self.dim)[order]

    def _lists(self) -> Iterator[tuple[Ids, NDArray[np.uint8]]]:
        faiss = _faiss()

        lists = self._store.invlists
        for number in range(self._partitions):
            size = lists.list_size(number)
            if size:
                ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
                codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
                yield ids.copy(), codes.copy()

    def save(self, path: Path) -> None:
        """Write a file that is whole or not there, even after a power cut.

        Raises:
            OSError: it cannot be written.
        """
        faiss = _faiss()

        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w+b") as file:
                faiss.write_index(self._store, faiss.PyCallbackIOWriter(file.write))
                _seal(file, self.count)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)

    @classmethod
    def load(cls, path: Path, *, mapped: bool = False) -> VectorIndex:
        """Read what `save` wrote; `mapped` leaves the vectors in the file until they are searched.

        Raises:
            OSError: the file cannot be read.
            IndexFolderError: the file is damaged, or not such a file.
        """
        faiss = _faiss()

        try:
            with path.open("rb") as file:
                # FAISS opens no name that is not UTF-8.
                mapped = _check_seal(file) and mapped and str(path).isprintable()
                if mapped:
                    loaded = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
                else:
                    loaded = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        except (RuntimeError, MemoryError, struct.error) as error:
            raise IndexFolderError(f"{path} is damaged; delete it, it can be rebuilt") from error
        if not _is_ours(loaded):
            raise IndexFolderError(f"{path} is not a snapshot; delete it, it can be rebuilt")
        vectors = cls(loaded.d)
        vectors._store, vectors._is_mapped = loaded, mapped
        if vectors._partitions:
            vectors.ids = np.concatenate([ids for ids, _ in vectors._lists()])
        else:
            vectors.ids = faiss.vector_to_array(loaded.id_map)
        return vectors

    def _own(self) -> None:
        """Take the vectors out of the file: changing a mapped index would end the process."""
        if self._is_mapped:
            faiss = _faiss()
            self._store = faiss.deserialize_index(faiss.serialize_index(self._store))
            self._is_mapped = False


def _seal(file: BinaryIO, count: int) -> None:
    """Append what `_check_seal` looks for."""
    length = file.seek(0, os.SEEK_END)
    seal = SEAL.pack(b"seal", _checksum(file, length, count), length, count)
    file.seek(length)
    file.write(seal)


def _check_seal(file: BinaryIO) -> bool:
    """Go back to the start of a sealed file, and tell whether it may be mapped.

    FAISS trusts the sizes in a file, and wrong ones could end the process. Those of an exact index
    are sealed; those of the lists of a partitioned one are not, so it is not mapped. Raises
    RuntimeError or struct.error where the file is not what was written.
    """
    length = file.seek(0, os.SEEK_END) - SEAL.size
    file.seek(max(0, length))
    mark, checksum, written, count = SEAL.unpack(file.read())
    if mark != b"seal" or written != length or checksum != _checksum(file, length, count):
        raise RuntimeError("it is cut short, or its sizes are not those that were written")
    file.seek(0)
    is_exact = file.read(4) == b"IxMp"
    file.seek(0)
    return is_exact


def _checksum(file: BinaryIO, length: int, count: int) -> int:
    """CRC-32 of where an exact index has its sizes: the start, and just before the ids."""
    file.seek(0)
    start = file.read(min(SEALED, length))
    file.seek(max(0, length - 8 * count - 8))
    return zlib.crc32(file.read(8), zlib.crc32(start))


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut; Windows needs no such thing."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exact(dim: int) -> Any:
    faiss = _faiss()

    fp16 = faiss.ScalarQuantizer.QT_fp16
    return faiss.IndexIDMap(faiss.IndexScalarQuantizer(dim, fp16, faiss.METRIC_INNER_PRODUCT))


def _is_ours(index: Any) -> bool:
    """Tell whether FAISS can search this without reading outside its arrays."""
    faiss = _faiss()

    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        return bool(index.code_size == 2 * index.d and index.ntotal and not index.by_residual)
    if not isinstance(index, faiss.IndexIDMap):
        return False
    stored = faiss.downcast_index(index.index)
    sizes = (stored.ntotal, index.id_map.size(), stored.codes.size() // (2 * index.d))
    return isinstance(stored, faiss.IndexScalarQuantizer) and set(sizes) == {index.ntotal}


def _partitions(count: int) -> int:
    return round(4 * math.sqrt(count))


def _partitioned(dim: int, partitions: int, ids: Ids, vectors: NDArray[np.float16]) -> Any:
    faiss = _faiss()

    fp16, cosine = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    # False: store the vectors themselves, not their differences from the centroids.
    coarse = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(coarse, dim, partitions, fp16, cosine, False)
    size = min(len(ids), TRAINING * partitions)
    sample = np.random.default_rng(0).choice(len(ids), size, replace=False)
    index.train(vectors[np.sort(sample)].astype(np.float32))
    for start in range(0, len(ids), BLOCK):
        block = slice(start, start + BLOCK)
        index.add_with_ids(vectors[block].astype(np.float32), ids[block])
    return index
