"""Maximal marginal relevance."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from searchengine.query.diversity import diversify
from tests.query.toys import images


@given(st.integers(0, 20), st.integers(0, 5), st.floats(0, 1))
def test_every_image_comes_once_and_the_best_first(n: int, seed: int, counts: float) -> None:
    keys = np.random.default_rng(seed).standard_normal(n).tolist()
    order = diversify(images(n, seed), keys, counts)
    assert sorted(order) == list(range(n))
    if n and counts < 0.9:
        assert order[0] == int(np.argmax(keys))


def test_where_likeness_does_not_count_the_order_is_that_of_the_keys() -> None:
    keys = [0.1, 0.9, 0.5, 0.7]
    assert diversify(images(4), keys, 0) == [1, 3, 2, 0]


def test_a_copy_of_the_best_comes_after_what_is_unlike_it() -> None:
    one, other, last = images(3)
    order = diversify(np.stack([one, one, other, last]), [1.0, 0.99, 0.9, 0.0])
    assert order.index(2) < order.index(1)


def test_equal_keys_do_no_harm() -> None:
    assert sorted(diversify(images(3), [0.5, 0.5, 0.5])) == [0, 1, 2]
