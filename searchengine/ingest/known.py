"""Which contents have an embedding already."""

from __future__ import annotations

from collections.abc import Iterable, Set

from searchengine.index import Index


class Known:
    """Contents of the catalog, and of the batch that is about to be committed."""

    def __init__(self, index: Index, fresh: Set[bytes]) -> None:
        """`fresh` is a view of the digests that are not committed yet."""
        self.index = index
        self.fresh = fresh
        # Only a file of one of these sizes can have known content.
        self.sizes = {state[1] for root in index.roots() for state in index.files(root).values()}

    def holds(self, size: int, digest: bytes) -> bool:
        """Whether an image that the catalog holds has this content, of `size` bytes."""
        return size in self.sizes and bool(self.index.by_digest([digest]))

    def among(self, digests: Iterable[bytes]) -> set[bytes]:
        """Those of the contents that have an embedding, committed or about to be."""
        digests = set(digests)
        return {*self.index.by_digest(digests), *(digests & self.fresh)}

    def of_sizes(self, sizes: Set[int]) -> dict[int, list[bytes]]:
        """Size in bytes -> digests of all contents of that size that the catalog holds."""
        shared = sizes & self.sizes
        return self.index.digests(shared) if shared else {}
