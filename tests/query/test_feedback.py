"""Marked hits, and what they do to the others."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.errors import QueryError
from searchengine.query import Feedback, Judge, Part, Request, SearchOptions
from searchengine.query.composition import Composed
from searchengine.query.feedback import Pull
from searchengine.query.ranking import WINDOW, Ranker
from searchengine.query.relevance import BANDS
from tests.query.toys import answerer, images, make_index, reference

N = 450
JUDGE = Judge(reference(), closed=True)
QUERY = images(1, seed=5)[0]
MARKS = st.lists(st.integers(1, N), max_size=6, unique=True)
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
HIT = SearchOptions(collapse=False)


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with make_index(tmp_path_factory.mktemp("home") / "index", images(N)) as index:
        yield index


def pull(index, feedback: Feedback) -> Pull:
    return Pull(feedback, index.embeddings(feedback.ids), QUERY, index.sample(1000))


def rank(index, feedback=None, judge=None, count=N):
    ranker = Ranker(index, judge, {"dog": 1.0}, True, feedback and pull(index, feedback))
    return ranker.rank(Composed(QUERY), None, count)


def ids(places) -> list[int]:
    return [place.id for place in places]


def ask(index, feedback, judge=None, k=N, text="a dog and a boat on the shore"):
    request = Request((Part(text),), feedback=feedback)
    return answerer(index, judge=judge).answer([request], k, HIT)[0]


def mean_place(order: list[int], wanted: set[int]) -> float:
    return float(np.mean([order.index(each) for each in wanted]))


def neighbours(index, marked: int, among: list[int], count: int = 20) -> set[int]:
    others = [each for each in among if each != marked]
    likeness = index.embeddings(others) @ index.embeddings([marked])[0]
    return {others[at] for at in np.argsort(-likeness)[:count]}


@pytest.mark.parametrize("judge", [None, JUDGE])
def test_without_marks_the_result_is_the_plain_one(index, judge) -> None:
    assert rank(index, Feedback(), judge) == rank(index, None, judge)
    plain = answerer(index, judge=judge).answer([Request((Part("dog"),))], N, HIT)[0]
    assert ask(index, Feedback(), judge, text="dog") == plain


@SLOW
@given(MARKS, st.data(), st.sampled_from([None, JUDGE]))
def test_the_order_of_the_marks_makes_no_difference(index, marked, data, judge) -> None:
    cut = data.draw(st.integers(0, len(marked)))
    more, less = marked[:cut], marked[cut:]
    there = rank(index, Feedback(tuple(more), tuple(less)), judge)
    shuffled = (tuple(data.draw(st.permutations(side))) for side in (more, less))
    assert rank(index, Feedback(*shuffled), judge) == there


@SLOW
@given(MARKS, MARKS, st.sampled_from([None, JUDGE]), st.integers(1, N))
def test_what_a_ranking_with_marks_holds(index, more, less, judge, count) -> None:
    feedback = Feedback(tuple(more), tuple(set(less) - set(more)))
    whole = rank(index, feedback, judge)
    assert sorted(ids(whole)) == list(range(1, N + 1))
    assert all(np.isfinite(place.cosine) and abs(place.cosine) <= 1 for place in whole)
    depths = [BANDS.index(place.relevance or "weak") for place in whole]
    assert depths == sorted(depths)
    some = rank(index, feedback, judge, count)
    assert whole[: len(some)] == some


def test_the_score_of_a_hit_stays_its_cosine_to_the_query(index) -> None:
    places = rank(index, Feedback((7, 9), (30,)))
    cosines = index.embeddings(ids(places)) @ QUERY
    assert [place.cosine for place in places] == pytest.approx(cosines.tolist(), abs=1e-6)


def test_images_like_a_good_hit_rise_and_those_like_a_bad_hit_fall(index) -> None:
    plain = ids(rank(index))
    for marked in plain[:10]:
        like = neighbours(index, marked, plain[:WINDOW])
        before = mean_place(plain, like)
        assert mean_place(ids(rank(index, Feedback(more=(marked,)))), like) < before - 5
        assert mean_place(ids(rank(index, Feedback(less=(marked,)))), like) > before + 5


def test_an_image_beyond_the_first_window_is_found_by_what_it_is_like(tmp_path) -> None:
    vectors = images(N)
    far, marked = (int(at) for at in np.argsort(-(vectors @ QUERY))[[WINDOW + 5, 0]])
    vectors[far] = 0.9 * vectors[marked] - 0.5 * QUERY
    vectors[far] /= np.linalg.norm(vectors[far])
    vectors[far] += (np.sort(vectors @ QUERY)[-WINDOW - 5] - vectors[far] @ QUERY) * QUERY
    vectors[far] /= np.linalg.norm(vectors[far])
    with make_index(tmp_path / "index", vectors) as index:
        assert far + 1 not in ids(rank(index))[:WINDOW]
        assert far + 1 in ids(rank(index, Feedback(more=(marked + 1,)), count=1))[:WINDOW]


@pytest.mark.parametrize("judge", [None, JUDGE])
def test_a_marked_hit_stays_where_it_was(index, judge) -> None:
    plain = ids(rank(index, None, judge))
    for rank_ in (0, 3, 9, 40):
        less = Feedback(less=(plain[rank_],))
        assert ids(rank(index, less, judge)).index(plain[rank_]) == rank_
        more = Feedback(more=(plain[rank_],))
        assert abs(ids(rank(index, more, judge)).index(plain[rank_]) - rank_) <= rank_ // 10


def test_copies_of_a_marked_hit_are_marked_too(tmp_path) -> None:
    vectors = np.concatenate([images(60), images(60)[:5]])
    with make_index(tmp_path / "index", vectors) as index:
        plain = ids(rank(index))
        for marked in (1, 61):
            places = ids(rank(index, Feedback(less=(marked,))))
            assert [places.index(e) for e in (1, 61)] == [plain.index(e) for e in (1, 61)]


def test_bands_are_those_of_the_text(index) -> None:
    def banded(places):
        return [(band, set(ids(run))) for band, run in groupby(places, lambda p: p.relevance)]

    plain, first = rank(index, None, JUDGE), rank(index, None, JUDGE)[0].id
    marked = rank(index, Feedback(less=(first, 17)), JUDGE)
    assert {place.relevance for place in plain} == set(BANDS)
    assert ids(marked) != ids(plain)
    assert banded(marked) == banded(plain)


@pytest.mark.parametrize("image_id", [0, -1, 1 << 63, 1 << 80])
def test_an_id_that_no_image_can_have_is_an_error(image_id: int) -> None:
    for sides in ({"more": (image_id,)}, {"less": (image_id,)}):
        with pytest.raises(QueryError, match="id"):
            Feedback(**sides)


@pytest.mark.parametrize("sides", [((3,), (3,)), ((3, 3), ()), ((), (4, 4))])
def test_an_image_is_marked_once(sides) -> None:
    with pytest.raises(QueryError, match="marked twice"):
        Feedback(*sides)


def test_an_id_that_is_not_there_is_an_error_of_one_line(index) -> None:
    for feedback in (Feedback((N + 1,)), Feedback((1,), (99_999,))):
        with pytest.raises(QueryError, match=f"no image ({N + 1}|99999)") as caught:
            ask(index, feedback)
        assert len(str(caught.value).splitlines()) == 1


def test_marks_alone_are_no_query(index) -> None:
    with pytest.raises(QueryError, match="alone are no query"):
        answerer(index).answer([Request(feedback=Feedback((1,)))], 3, HIT)


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("judge", [None, JUDGE])
def test_a_small_collection_is_enough(tmp_path, n: int, judge) -> None:
    with make_index(tmp_path / "index", images(n)) as index:
        for feedback in (Feedback((1,)), Feedback((), (n,)), Feedback(tuple(range(1, n + 1)))):
            assert len(ask(index, feedback, judge)) == n


def test_equal_images_and_an_opposite_one_do_no_harm(tmp_path) -> None:
    vectors = np.repeat(QUERY[np.newaxis], 5, 0)
    vectors[4] = -QUERY
    for n in (4, 5):
        with make_index(tmp_path / str(n), vectors[:n]) as index:
            for feedback in (Feedback((n,)), Feedback((1,), (n,)), Feedback((), (1, 2, 3, 4))):
                assert sorted(ids(rank(index, feedback))) == [1, 2, 3, 4, 5][:n]


@pytest.mark.parametrize("options", [HIT, SearchOptions(raw=True), SearchOptions(diverse=True)])
def test_marks_go_with_filters_exclusions_examples_and_every_option(index, options) -> None:
    request = Request((Part("dog"), Part(8)), (Part("cat"),), feedback=Feedback((3, 8), (12,)))
    hits = answerer(index, judge=JUDGE).answer([request], N, options)[0]
    assert {3, 12} < {each.id for each in hits}
    assert 8 not in {each.id for each in hits}


def test_requests_with_and_without_marks_together_are_answered_alone(index) -> None:
    feedbacks = [Feedback(), Feedback((4,)), Feedback((), (4,)), Feedback()]
    requests = [Request((Part("a dog by the sea"),), feedback=each) for each in feedbacks]
    together = answerer(index, judge=JUDGE).answer(requests, WINDOW, HIT)
    for request, hits in zip(requests, together, strict=True):
        assert hits == answerer(index, judge=JUDGE).answer([request], WINDOW, HIT)[0]
