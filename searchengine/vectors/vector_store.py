"""What an index needs of whatever keeps its vectors: FAISS in memory, or a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine.filters import Filters
from searchengine.types import Embeddings, Facts

Among: TypeAlias = NDArray[np.int64] | Filters
"""Which images a search is among: those with these ids, (m,) int64, or that filters let pass."""


class VectorStore(Protocol):
    """Embeddings of one encoder by image id; the catalog is the truth of which there are.

    Every method raises StoreError where the store cannot be reached, refuses, or is full. One
    process at a time changes a store; any number may search it.
    """

    name: str
    """Which store it is, without credentials: the catalog remembers its state by this name."""

    def ready(self) -> bool:
        """Make sure that it can be used; where it is not there yet, make it, empty, and say True.

        Raises:
            StoreError: besides, what is there has another dimension.
        """
        ...

    def count(self) -> int:
        """How many embeddings there are, with all that was acknowledged."""
        ...

    def upsert(
        self, ids: NDArray[np.int64], embeddings: Embeddings, facts: Sequence[Facts]
    ) -> None:
        """Put (n, dim) embeddings of n images in the place of those that are there.

        When this returns they survive the end of the server; doing it twice changes nothing.

        Raises:
            ModelError: the embeddings are not what they must be.
        """
        ...

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove the embeddings of these images, where there are any."""
        ...

    def settle(self) -> None:
        """All is in for now: build what makes searching fast, and let everybody search this."""
        ...

    def can_apply(self, filters: Filters) -> bool:
        """Tell whether `search` takes these filters; otherwise it is given ids."""
        ...

    def search(
        self,
        queries: Embeddings,
        k: int,
        among: Among | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the k embeddings nearest to each of (n, dim) queries, best first.

        With `among`, only those of these images, or of images that the filters let pass. Returns
        cosines (n, k') float32 and ids (n, k') int64; k' is k, or fewer where there are fewer.

        Raises:
            ModelError: the queries are not embeddings of this dimension.
            QueryError: k is not positive.
        """
        ...

    def drop(self) -> None:
        """Remove it with everything in it."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...
