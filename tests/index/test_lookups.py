"""Filters, words and counts, as an index gives them."""

from __future__ import annotations

import numpy as np
import pytest

from searchengine.filters import Filters
from searchengine.index import Changes, Index
from searchengine.types import EncoderSpec, WordMatch
from tests.index.toys import DIM, ROOT, pictures, unit

OTHER = EncoderSpec("other", "e" * 64, DIM)


@pytest.fixture
def filled(index: Index) -> Index:
    captions = {2: ("a dog",), 3: ("a dog", "a boat")}
    index.write(Changes(added=pictures(4, prefix="trip/")))
    index.write(Changes(captions=captions))
    return index


def test_a_search_within_a_filter_is_exact(filled: Index) -> None:
    allowed = filled.matching(Filters(captioned=True))
    assert allowed.tolist() == [2, 3]
    hits = filled.search(unit(4), 9, allowed)
    assert [{hit.id for hit in each} for each in hits] == [{2, 3}] * 4
    assert filled.search(unit(1), 9, filled.matching(Filters(min_width=10**6))) == [[]]


def test_words_and_counts(filled: Index) -> None:
    assert filled.words("dog boat", 9) == [WordMatch(3, ("caption",))]
    assert filled.words("dog", 9, np.array([2])) == [WordMatch(2, ("caption",))]
    assert filled.facets(filled.matching(Filters(folder="trip"))).folders == {f"{ROOT}/trip": 4}
