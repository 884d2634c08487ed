"""Several parts as one query."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.errors import QueryError
from searchengine.query.composition import Away, compose
from tests.query.toys import images

PARTS = images(6, seed=1)
SAMPLE = images(50, seed=2)
WEIGHTS = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=6)


@given(WEIGHTS, st.randoms())
def test_the_order_of_the_parts_makes_no_difference(weights: list[float], random) -> None:
    parts = list(zip(PARTS, weights, strict=False))
    there = compose(parts, [], SAMPLE).direction
    random.shuffle(parts)
    assert np.array_equal(compose(parts, [], SAMPLE).direction, there)
    assert np.linalg.norm(there) == pytest.approx(1, abs=1e-5)


def test_a_single_part_is_its_own_direction() -> None:
    assert np.array_equal(compose([(PARTS[0], 7.0)], [], SAMPLE).direction, PARTS[0])


def test_of_equal_parts_the_heavier_is_nearer() -> None:
    direction = compose([(PARTS[0], 1.0), (PARTS[1], 3.0)], [], SAMPLE).direction
    assert direction @ PARTS[1] > direction @ PARTS[0]


def test_each_part_counts_by_how_its_cosines_are_spread() -> None:
    wide, narrow = PARTS[:2]
    direction = np.array([1, 2, -2, -1], np.float32)
    sample = direction[:, np.newaxis] * (0.1 * wide + 0.01 * narrow)
    narrow = narrow - (narrow @ wide) * wide
    narrow /= np.linalg.norm(narrow)
    found = compose([(wide, 1.0), (narrow, 1.0)], [], sample).direction
    scale = (sample @ wide).std() / (sample @ narrow).std()
    assert found @ narrow / (found @ wide) == pytest.approx(scale, rel=1e-3)


def test_what_is_excluded_stays_apart_from_the_direction() -> None:
    away = [Away(PARTS[1], 1.0, "cat")]
    found = compose([(PARTS[0], 1.0)], away, SAMPLE)
    assert np.array_equal(found.direction, PARTS[0])
    assert found.away == tuple(away)


def test_only_excluded_parts_make_the_opposite_direction() -> None:
    away = [Away(each, 1.0) for each in PARTS[:3]]
    found = compose([], away, SAMPLE)
    plus = compose([(each, 1.0) for each in PARTS[:3]], [], SAMPLE)
    assert np.array_equal(found.direction, -plus.direction)
    assert found.away == ()


@pytest.mark.parametrize("weight", [1e-6, 1.0, 1e6])
def test_parts_that_cancel_are_an_error(weight: float) -> None:
    opposite = [(PARTS[0], weight), (-PARTS[0], weight)]
    with pytest.raises(QueryError, match="cancel"):
        compose(opposite, [], SAMPLE)
    with pytest.raises(QueryError, match="cancel"):
        compose([], [Away(*each) for each in opposite], SAMPLE)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_small_collection_is_enough(n: int) -> None:
    direction = compose([(PARTS[0], 1.0), (PARTS[1], 1.0)], [], SAMPLE[:n]).direction
    assert np.isfinite(direction).all()
