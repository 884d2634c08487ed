"""Rankings by the picture and by words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.query.composition import Away, Composed
from searchengine.query.ranking import WINDOW, Place, Ranker, fuse
from searchengine.query.relevance import BANDS, Judge
from searchengine.types import WordMatch
from tests.query.toys import images, make_index, reference

N = 450
QUERY = Composed(images(1, seed=5)[0])
JUDGE = Judge(reference(), closed=True)
FIELDS = ("file name", "folder", "caption")


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with make_index(tmp_path_factory.mktemp("home") / "index", images(N)) as index:
        yield index


def depth(place: Place) -> int:
    return BANDS.index(place.relevance or "weak")


def test_without_a_judge_the_order_is_that_of_the_cosine(index) -> None:
    places = Ranker(index).rank(QUERY, None, N)
    cosines = images(N) @ QUERY.direction
    assert [each.id for each in places] == (np.lexsort((np.arange(N), -cosines)) + 1).tolist()
    assert {each.relevance for each in places} == {None}


@pytest.mark.parametrize("away", [(), (Away(images(1, 6)[0], 1.0, "cat"),)])
@pytest.mark.parametrize("judge", [None, JUDGE])
@pytest.mark.parametrize("texts", [{"dog": 1.0}, {"a dog and a boat on the sea shore": 1.0}])
def test_a_longer_ranking_begins_like_a_shorter_one(index, away, judge, texts) -> None:
    query = Composed(QUERY.direction, away)
    ranker = Ranker(index, judge, texts)
    whole = ranker.rank(query, None, N)
    assert sorted(each.id for each in whole) == list(range(1, N + 1))
    assert [depth(each) for each in whole] == sorted(depth(each) for each in whole)
    for count in (1, WINDOW, WINDOW + 1):
        some = ranker.rank(query, None, count)
        assert len(some) >= count
        assert whole[: len(some)] == some


def test_a_judge_that_may_not_reorder_tells_relevance_only(index) -> None:
    places = Ranker(index, JUDGE, {"dog": 1.0}, reorders=False).rank(QUERY, None, N)
    assert [each.id for each in places] == [each.id for each in Ranker(index).rank(QUERY, None, N)]
    assert None not in {each.relevance for each in places}


def test_what_is_excluded_comes_later(index) -> None:
    best = Ranker(index).rank(QUERY, None, 1)[0]
    away = (Away(index.embeddings([best.id])[0], 5.0),)
    places = Ranker(index).rank(Composed(QUERY.direction, away), None, N)
    assert [each.id for each in places].index(best.id) > N // 2


def test_an_image_singled_out_has_the_cosine_and_the_band_of_its_own(index) -> None:
    ranker = Ranker(index, JUDGE, {"dog": 1.0})
    listed = {each.id: each for each in ranker.rank(QUERY, None, N)}
    for place in ranker.singled_out(QUERY, [3, 999_999, 440]):
        assert place.cosine == pytest.approx(listed[place.id].cosine, abs=1e-3)
        assert depth(place) <= depth(listed[place.id])
    assert ranker.singled_out(QUERY, [999_999]) == []


@given(st.data())
def test_fusion_keeps_every_image_once_and_bands_never_rise(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 20))
    falling = sorted(
        data.draw(st.lists(st.sampled_from(BANDS), min_size=n, max_size=n)), key=BANDS.index
    )
    places = [Place(i + 1, 0.5 - i / 100, band) for i, band in enumerate(falling)]
    ids = data.draw(st.lists(st.integers(1, 30), unique=True))
    matches = [WordMatch(each, (data.draw(st.sampled_from(FIELDS)),)) for each in ids]
    others = [Place(each, 0.0) for each in ids if each > n]
    fused = fuse(places, matches, others)
    assert sorted(each.id for each in fused) == sorted({*range(1, n + 1), *ids})
    assert [depth(each) for each in fused] == sorted(depth(each) for each in fused)
    by_id = {match.id: match.fields for match in matches}
    for place in fused:
        if place.id in by_id:
            assert place.matched[-1:] == by_id[place.id]
            assert place.relevance == "strong" or by_id[place.id] != ("caption",)
            assert place.relevance != "weak"
        else:
            assert place.matched == ("picture",)


def test_a_picture_that_also_matches_by_name_comes_before_one_that_does_not() -> None:
    places = [Place(1, 0.5, "likely"), Place(2, 0.4, "likely")]
    first, second = fuse(places, [WordMatch(2, ("file name",))], [])
    assert (first.id, first.matched) == (2, ("picture", "file name"))
    assert (second.id, second.matched) == (1, ("picture",))
