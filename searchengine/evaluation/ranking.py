"""At which rank a query finds what belongs to it, with ties at what chance would give them.

Items of equal score stand in a random order, and every figure is the mean over those orders. A
model that gives everything the same embedding then has the recall of guessing: counting ties as
found would call it perfect, counting them as missed would call a duplicate a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import EvaluationError
from searchengine.types import Embeddings

TIE = 4e-6
"""Cosines that differ by no more are equal.

In float32 the products with one vector at several places of a matrix differ by up to 2.3e-6
(constant vectors, OpenBLAS), mostly by 6e-8; encoders are far less exact.
"""

_BLOCK = 64 * 2**20  # bytes of scores at a time


@dataclass(frozen=True)
class Ranks:
    """Of each query: what stands before and beside the best of its own items; (n,) int64 each.

    `above` foreign items score higher than the best own one, `equal` foreign ones the same, and
    `own` own ones, itself among them, do.
    """

    above: NDArray[np.int64]
    equal: NDArray[np.int64]
    own: NDArray[np.int64]

    def within(self, k: int) -> NDArray[np.float64]:
        """The chance of each query that an own item is among the first k, (n,) in [0, 1].

        With j places left for the tied ones, none of the own gets one with the hypergeometric
        probability C(equal, j) / C(equal + own, j).
        """
        places = np.clip(k - self.above, 0, self.equal + self.own)
        missed = np.ones(len(self.above))
        for taken in range(min(k, int(places.max(initial=0)))):
            others = np.maximum(self.equal - taken, 0)
            left = np.maximum(self.equal + self.own - taken, 1)
            missed *= np.where(taken < places, others / left, 1.0)
        return 1.0 - missed

    def expected(self) -> NDArray[np.float64]:
        """The expected rank of each query's first own item, counted from 1."""
        return self.above + 1 + self.equal / (self.own + 1)


def rank_own(
    queries: Embeddings,
    gallery: Embeddings,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]],
    block: int = _BLOCK,
) -> Ranks:
    """Rank the gallery for each query by cosine and find the best of the query's own items.

    `pairs` holds equally long rows of queries and of gallery items that belong together, and
    names every query. Takes `block` bytes for scores, or one query's where that is more. Raises
    `EvaluationError` for rows that are not unit vectors.
    """
    require_unit(queries)
    require_unit(gallery)
    order = np.argsort(pairs[0], kind="stable")
    asking, wanted = pairs[0][order], pairs[1][order]
    ranks = Ranks(*(np.empty(len(queries), np.int64) for _ in range(3)))
    size = max(1, block // (4 * max(1, len(gallery))))
    buffer = np.empty((min(size, len(queries)), len(gallery)), np.float32)
    for start in range(0, len(queries), size):
        chosen = queries[start : start + size]
        scores = np.matmul(chosen, gallery.T, out=buffer[: len(chosen)])
        first, last = np.searchsorted(asking, (start, start + len(chosen)))
        own = (asking[first:last] - start, wanted[first:last])
        _count(scores, own, ranks, slice(start, start + len(chosen)))
    return ranks


def _count(
    scores: NDArray[np.float32],
    own: tuple[NDArray[np.int64], NDArray[np.int64]],
    ranks: Ranks,
    rows: slice,
) -> None:
    """Fill in the ranks of some queries from their scores, which are spoilt."""
    own_scores = scores[own]
    best = np.full(len(scores), -np.inf, np.float32)
    np.maximum.at(best, own[0], own_scores)
    tied = own[0][own_scores >= (best - TIE)[own[0]]]
    scores[own] = -np.inf  # what is left is foreign
    ranks.own[rows] = np.bincount(tied, minlength=len(scores))
    ranks.above[rows] = np.count_nonzero(scores > (best + TIE)[:, None], axis=1)
    level = np.count_nonzero(scores >= (best - TIE)[:, None], axis=1)
    ranks.equal[rows] = level - ranks.above[rows]


def require_unit(embeddings: Embeddings) -> None:
    """Raise `EvaluationError` unless all rows are finite and of length 1.

    Comparisons with NaN are false: a model that diverged would rank everything first.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings))
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < 1e-2))  # NaN is not less
    if len(wrong):
        raise EvaluationError(
            f"{len(wrong)} of {len(lengths)} embeddings are not unit vectors (the first has "
            f"length {lengths[wrong[0]]}): the model is broken, or its training diverged"
        )
