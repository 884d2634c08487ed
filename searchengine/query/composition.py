"""Several texts and pictures as one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import QueryError
from searchengine.types import Embeddings

SAMPLE = 1000  # images that tell how a part's cosines are spread

Weighted = list[tuple[NDArray[np.float32], float]]
"""Embeddings (dim,) with their weights."""


@dataclass(frozen=True)
class Away:
    """A part that hits should not be like: its embedding, (dim,), its weight, and its text."""

    embedding: NDArray[np.float32]
    weight: float
    text: str | None = None


@dataclass(frozen=True)
class Composed:
    """A query's direction, (dim,) float32 of unit norm, and what its hits should not be like."""

    direction: NDArray[np.float32]
    away: tuple[Away, ...] = ()


def compose(plus: Weighted, away: Sequence[Away], sample: Embeddings) -> Composed:
    """One query from its parts; the order of the parts makes no difference.

    Each part counts in units of the deviation of its cosines over (n, dim) `sample`: those of a
    picture to pictures are spread several times as wide as those of a text, which it would drown.
    With nothing in `plus`, the direction is away from the others. Raises `QueryError` where the
    parts cancel each other.
    """
    if plus:
        return Composed(_sum(plus, sample), tuple(away))
    return Composed(-_sum([(part.embedding, part.weight) for part in away], sample))


def _sum(parts: Weighted, sample: Embeddings) -> NDArray[np.float32]:
    if len(parts) == 1:
        return parts[0][0]
    scaled = [v.astype(np.float64) * weight / _deviation(v, sample) for v, weight in parts]
    total = np.sum(sorted(scaled, key=lambda v: v.tobytes()), axis=0)
    norm = float(np.linalg.norm(total))
    if norm < 1e-6 * sum(float(np.linalg.norm(v)) for v in scaled):
        raise QueryError("the parts of the query cancel each other; leave one out")
    return np.asarray(total / norm, np.float32)


def _deviation(embedding: NDArray[np.float32], sample: Embeddings) -> float:
    return max(float((sample @ embedding).std()), 1e-6) if len(sample) > 1 else 1.0
