"""Ranks and the chances of ties against an oracle that tries every order of equal items."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchengine.errors import EvaluationError
from searchengine.evaluation.ranking import Ranks, rank_own, require_unit
from tests.evaluation.toys import unit

# Few small whole numbers: many vectors repeat, and cosines that differ do so by far more than TIE.
vectors = st.tuples(*[st.integers(-1, 2)] * 3).filter(any)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, a gallery, and pairs in no order: every query has one to three items of its own."""
    queries = draw(st.lists(vectors, min_size=1, max_size=6))
    gallery = draw(st.lists(vectors, min_size=1, max_size=9))
    numbers = st.integers(0, len(gallery) - 1)
    pairs = [
        (query, item)
        for query in range(len(queries))
        for item in draw(st.sets(numbers, min_size=1, max_size=3))
    ]
    pairs = draw(st.permutations(pairs))
    asking, wanted = np.array(pairs, np.int64).T
    return np.array(queries), np.array(gallery), asking, wanted


def oracle(scores: np.ndarray, own: set[int], k: int) -> tuple[float, float]:
    """The chance that the best own item is within k, and its expected rank, for one query."""
    best = max(scores[list(own)])
    above = sum(score > best + 1e-6 for score in scores)
    tied = [number for number, score in enumerate(scores) if abs(score - best) <= 1e-6]
    mine = len(own & set(tied))
    firsts = [above + 1 + min(places) for places in itertools.combinations(range(len(tied)), mine)]
    return float(np.mean([first <= k for first in firsts])), float(np.mean(firsts))


@settings(max_examples=150, deadline=None)
@given(rankings(), st.sampled_from([1, 100, 10_000]))
def test_chances_and_ranks_equal_the_oracle(
    ranking: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], block: int
) -> None:
    queries, gallery, asking, wanted = ranking
    ranks = rank_own(unit(queries), unit(gallery), (asking, wanted), block)
    exact = unit_exactly(queries) @ unit_exactly(gallery).T
    for k in (1, 2, 5, 10):
        found = [
            oracle(exact[query], set(wanted[asking == query].tolist()), k)
            for query in range(len(queries))
        ]
        assert np.allclose(ranks.within(k), [chance for chance, _ in found])
        assert np.allclose(ranks.expected(), [rank for _, rank in found])


def unit_exactly(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_one_own_item_among_equals_is_within_k_with_its_share_of_places() -> None:
    ranks = Ranks(np.array([0, 2, 7]), np.array([0, 3, 1]), np.array([1, 1, 1]))
    assert ranks.within(1).tolist() == [1, 0, 0]
    assert ranks.within(3).tolist() == [1, 0.25, 0]
    assert ranks.within(5).tolist() == [1, 0.75, 0]
    assert ranks.expected().tolist() == [1, 4.5, 8.5]


@pytest.mark.parametrize("dim", [48, 384, 1024])
@pytest.mark.parametrize("constant", [True, False])
def test_equal_vectors_tie_whatever_block_computes_them(dim: int, constant: bool) -> None:
    row = np.ones(dim) if constant else np.random.default_rng(dim).standard_normal(dim)
    gallery = unit(np.tile(row, (307, 1)))
    numbers = np.arange(307)
    for block in (1, 4 * 307 * 5, 10**7):
        ranks = rank_own(gallery, gallery, (numbers, numbers), block)
        assert not ranks.above.any()
        assert (ranks.equal == 306).all()


def test_scores_never_take_more_than_the_block() -> None:
    gallery = unit(np.random.default_rng(0).standard_normal((20_000, 8)))
    numbers = np.arange(1000)
    tracemalloc.start()
    rank_own(gallery[:1000], gallery, (numbers, numbers), 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20  # all scores at once would take 80 MB


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_a_model_that_diverged_is_an_error_and_not_first(bad: float) -> None:
    rows = unit(np.eye(4))
    rows[2] = bad
    with pytest.raises(EvaluationError, match="1 of 4 embeddings"):
        require_unit(rows)
    numbers = np.arange(4)
    with pytest.raises(EvaluationError, match="diverged"):
        rank_own(unit(np.eye(4)), rows, (numbers, numbers))
