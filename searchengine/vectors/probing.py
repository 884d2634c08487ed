"""How many partitions a search must look into."""

from __future__ import annotations

from typing import Final

import numpy as np

from searchengine.types import Embeddings
from searchengine.vectors.partitions import Partitions
from searchengine.vectors.store import Store

_QUERIES: Final = 200
_MIXED: Final = 3  # embeddings in a query
_NEIGHBOURS: Final = 10
_FOUND: Final = 0.995  # of the nearest; comparing few of them loses the rest to 0.99
_CANDIDATES: Final = 1000


def hard_queries(store: Store, count: int = _QUERIES) -> Embeddings:
    """Unit sums of random embeddings, (count, dim): far from all, as texts are, and farther."""
    rng = np.random.default_rng(1)
    chosen = rng.integers(len(store.ids), size=(_MIXED, count))
    mixed = sum(store.vectors[row].astype(np.float32) for row in chosen)
    queries = np.asarray(mixed, np.float32)
    return np.asarray(queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-6))


def probes_for(partitions: Partitions, store: Store) -> int:
    """The number of partitions in which hard queries have 99.5 % of their nearest neighbours."""
    places = store.places
    if places is None:
        return partitions.number
    ranks = []
    for query in hard_queries(store)[:, np.newaxis]:
        ids, _ = partitions.candidates(query, _CANDIDATES, partitions.number)
        if not len(ids):
            continue
        near = places[ids].astype(np.int64)
        _, found = store.nearest_of(near, query, min(_NEIGHBOURS, len(near)))
        nearest = store.vectors[near[found[0]]].astype(np.float32)
        ranks.append(partitions.ranks(query)[partitions.assigned(nearest)])
    if not ranks:
        return partitions.number
    return int(np.quantile(np.concatenate(ranks), _FOUND, method="higher")) + 1
