"""Hamming distances, against Python's own count of bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from searchengine.duplicates.hamming import HashTable, distances

hashes = st.integers(0, 2**64 - 1)


@given(hashes, hashes)
def test_distance_is_the_number_of_bits_that_differ(one: int, other: int) -> None:
    found = distances(np.array([one], np.uint64), np.array([other], np.uint64))
    assert found.tolist() == [(one ^ other).bit_count()]


@given(
    st.lists(hashes, min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(0, 63), max_size=12)), max_size=12),
    st.integers(5, 12),
)
def test_the_table_finds_all_that_are_near_and_no_other(
    seeds: list[int], changes: list[tuple[int, set[int]]], most: int
) -> None:
    values = list(seeds)
    for seed, bits in changes:
        values.append(seeds[seed % len(seeds)] ^ sum(1 << bit for bit in bits))
    table = HashTable(np.array(values, np.uint64), most)
    for position, value in enumerate(values):
        near = [i for i, each in enumerate(values) if (each ^ value).bit_count() <= most]
        assert table.near(position).tolist() == near
