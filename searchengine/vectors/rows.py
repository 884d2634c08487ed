"""What vector stores have in common: what may come in, and the order in which answers go out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import ModelError, QueryError
from searchengine.types import Embeddings, Facts
from searchengine.vectors.embeddings import check_embeddings

TIES: Final = 32
"""Candidates beyond k, among which equal scores at the cut are put in order."""

Answer = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Cosines and ids, (n, k') each, best first."""


def check_rows(
    ids: NDArray[np.int64], embeddings: Embeddings, facts: Sequence[Facts], dim: int
) -> None:
    """Refuse embeddings of another number than the ids and facts, or that are none.

    Raises:
        ModelError: see `check_embeddings`; or the numbers differ.
    """
    check_embeddings(embeddings, dim)
    if not len(ids) == len(embeddings) == len(facts):
        raise ModelError(f"{len(ids)} ids and {len(facts)} facts for {len(embeddings)} embeddings")


def check_query(queries: Embeddings, k: int, dim: int) -> None:
    """Refuse what cannot be searched with.

    Raises:
        ModelError: the queries are not embeddings of this dimension.
        QueryError: k is not positive.
    """
    check_embeddings(queries, dim)
    if k < 1:
        raise QueryError(f"the number of results must be at least 1, not {k}")


def last_of_each(ids: NDArray[np.int64]) -> NDArray[np.intp]:
    """The last place of each id, ascending: of an id that comes twice, the later row counts."""
    _, from_end = np.unique(ids[::-1], return_index=True)
    return np.sort(len(ids) - 1 - from_end)


def best(scores: NDArray[np.float32], ids: NDArray[np.int64], k: int) -> Answer:
    """The k best of (n, m) scores and ids, best first, equal scores by id."""
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)


def best_of(
    queries: Embeddings, k: int, blocks: Iterable[tuple[NDArray[np.int64], Embeddings]]
) -> Answer:
    """The k nearest of embeddings that come in blocks of ids (m,) and rows (m, dim), exactly."""
    scores, ids = no_hits(len(queries))
    for block, rows in blocks:
        found = np.asarray(queries @ rows.T, np.float32)
        many = np.broadcast_to(block, found.shape)
        scores, ids = best(np.hstack((scores, found)), np.hstack((ids, many)), k)
    return scores, ids


def joined(answers: Sequence[Answer], k: int) -> Answer:
    """The k best of answers to the same queries over parts that have nothing in common."""
    scores, ids = (np.concatenate(each, axis=1) for each in zip(*answers, strict=True))
    return best(scores, ids, k)


def no_hits(queries: int) -> Answer:
    """The answer to so many queries where there is nothing: (n, 0) each."""
    return np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64)
