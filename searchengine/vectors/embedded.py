"""The vector store that needs no server: FAISS in the memory of this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import QueryError
from searchengine.filters import Filters
from searchengine.types import Embeddings, EncoderSpec, Facts
from searchengine.vectors.index import VectorIndex
from searchengine.vectors.rows import check_rows, last_of_each
from searchengine.vectors.vector_store import Among


class EmbeddedStore:
    """`VectorStore` over a `VectorIndex`: gone with the process, and told by ids what may pass."""

    name: Final = "embedded"

    def __init__(self, spec: EncoderSpec) -> None:
        self._dim = spec.dim
        self._index: VectorIndex | None = None

    @property
    def _made(self) -> VectorIndex:
        if self._index is None:
            self._index = VectorIndex(self._dim)
        return self._index

    def ready(self) -> bool:
        """Make it where it is not there yet, and say True then."""
        is_new = self._index is None
        return self._made is not None and is_new

    def count(self) -> int:
        """How many embeddings there are."""
        return self._made.count

    def upsert(
        self, ids: NDArray[np.int64], embeddings: Embeddings, facts: Sequence[Facts]
    ) -> None:
        """Put (n, dim) embeddings in the place of those that are there; the facts are not kept.

        Raises:
            ModelError: the embeddings are not what they must be.
        """
        check_rows(ids, embeddings, facts, self._dim)
        last = last_of_each(ids)
        self._made.remove(ids)
        self._made.add(ids[last], np.ascontiguousarray(embeddings[last]))

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove the embeddings of these images, where there are any."""
        self._made.remove(ids)

    def settle(self) -> None:
        """Choose how to search by how many there are."""
        self._made.settle()

    def can_apply(self, filters: Filters) -> bool:
        """Never: it knows ids only."""
        return False

    def search(
        self,
        queries: Embeddings,
        k: int,
        among: Among | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the k embeddings nearest to each query; see `VectorIndex.search`.

        Raises:
            ModelError: the queries are not embeddings of this dimension.
            QueryError: k is not positive, or `among` is filters.
        """
        if isinstance(among, Filters):
            if among:
                raise QueryError(f"the {self.name} store is given ids, not filters")
            among = None
        return self._made.search(queries, k, among)

    def drop(self) -> None:
        """Remove it with everything in it."""
        self._index = None

    def close(self) -> None:
        """Nothing to end."""
