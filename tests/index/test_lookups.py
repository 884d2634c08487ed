"""Filters, words and counts, as an index gives them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from searchengine.catalog import Reader
from searchengine.filters import Filters
from searchengine.index import Changes, Index
from searchengine.types import EncoderSpec, ImageFile, WordMatch
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


def test_what_passes_a_filter_is_asked_of_the_catalog_once_for_each_state(
    filled: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Filters] = []
    matching = Reader.matching

    def counted(self: Reader, filters: Filters) -> object:
        asked.append(filters)
        return matching(self, filters)

    monkeypatch.setattr(Reader, "matching", counted)
    captioned = Filters(captioned=True)
    for _ in range(3):
        assert filled.matching(captioned).tolist() == [2, 3]
        assert len(filled.search(unit(1), 9, captioned)[0]) == 2
    assert len(asked) == 1
    with Index.open(filled.folder) as other:
        other.write(Changes(captions={1: ("a cat",)}))
    assert filled.matching(captioned).tolist() == [1, 2, 3]
    assert len(filled.search(unit(1), 9, captioned)[0]) == 3
    assert len(asked) == 2


def test_a_relative_folder_is_another_one_elsewhere(
    filled: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.add_root(tmp_path / "photos")
    file = ImageFile(str(tmp_path / "photos"), "a.jpg", 1, 1)
    filled.write(Changes(added=[replace(pictures(1)[0], file=file)]))
    here = Filters(folder=".")
    monkeypatch.chdir(tmp_path)
    assert filled.matching(here).tolist() == [5]
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert filled.matching(here).tolist() == []


def test_words_and_counts(filled: Index) -> None:
    assert filled.words("dog boat", 9) == [WordMatch(3, ("caption",))]
    assert filled.words("dog", 9, np.array([2])) == [WordMatch(2, ("caption",))]
    assert filled.facets(filled.matching(Filters(folder="trip"))).folders == {f"{ROOT}/trip": 4}
    assert filled.facets() == filled.facets(filled.ids())


def test_captions_of_some(filled: Index) -> None:
    assert filled.captions([3, 4]) == {3: ("a dog", "a boat")}
    assert filled.captions([]) == {}


def test_images_by_age_and_by_root(filled: Index) -> None:
    everything = filled.newest()
    assert sorted(everything) == [1, 2, 3, 4]
    assert filled.newest(None, 1, 2) == everything[1:3]
    assert filled.newest(filled.matching(Filters(captioned=True))) == [
        each for each in everything if each in (2, 3)
    ]
    assert filled.newest(by_folder=True) == everything
    assert filled.root_counts() == {ROOT: 4}
    filled.add_root("/elsewhere")
    assert filled.root_counts() == {ROOT: 4, "/elsewhere": 0}


def test_every_write_gives_another_stamp_and_a_switch_ends_being_current(filled: Index) -> None:
    with Index.open(filled.folder) as other:
        before = other.stamp
        filled.write(Changes(added=pictures(1, prefix="more/")))
        assert other.stamp == filled.stamp != before
        assert other.is_current
        filled.begin_staging(OTHER)
        filled.switch(OTHER)
        assert (other.is_current, filled.is_current) == (False, True)
