"""Hits that are unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchengine.types import Embeddings


def diversify(
    images: Embeddings, keys: Sequence[float], similarity_counts: float = 0.5
) -> list[int]:
    """The order of n ranked images by maximal marginal relevance.

    Each next one is the best by its key, from 0 to 1 over the images, less its greatest cosine to
    those before it (J. Carbonell and J. Goldstein, "The Use of MMR", SIGIR 1998).
    """
    n = len(keys)
    if n < 2:
        return list(range(n))
    best = np.asarray(keys, np.float64)
    best = (best - best.min()) / max(float(np.ptp(best)), 1e-9)
    nearest = np.zeros(n)
    left = np.ones(n, bool)
    order: list[int] = []
    for _ in range(n):
        marginal = (1 - similarity_counts) * best - similarity_counts * nearest
        chosen = int(np.where(left, marginal, -np.inf).argmax())
        order.append(chosen)
        left[chosen] = False
        nearest = np.maximum(nearest, images @ images[chosen])
    return order
