"""Answers, against an index of random vectors that has names, captions, copies and folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.errors import QueryError
from searchengine.filters import Filters
from searchengine.index import Changes, Index
from searchengine.query import Judge, Part, Request, SearchOptions, TextCache
from searchengine.query.relevance import BANDS
from tests.pictures import jpeg
from tests.query.toys import CountingEncoder, answerer, images, make_index, reference

N = 260  # more than one window
CLOSED = Judge(reference(), closed=True)
OPEN = Judge(reference(), closed=False)
RAW = SearchOptions(raw=True, collapse=False)
PARTS = st.sampled_from(
    [
        Part("dog"),
        Part("cat", 0.5),
        Part("zeppelin"),
        Part("a dog and a cat by the tree"),
        Part(7),
        Part("写真"),
        Part('"dog"'),
        Part(240, 2.0),
    ]
)
REQUESTS = st.builds(
    Request,
    st.lists(PARTS, min_size=1, max_size=2).map(tuple),
    st.lists(PARTS, max_size=1).map(tuple),
    st.sampled_from([Filters(), Filters(folder="c"), Filters(captioned=True)]),
)
OPTIONS = st.builds(
    SearchOptions,
    raw=st.booleans(),
    semantic_only=st.booleans(),
    collapse=st.booleans(),
    diverse=st.booleans(),
)
JUDGES = st.sampled_from([None, OPEN, CLOSED])
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory):
    vectors = images(N)
    vectors[250:] = vectors[:10]  # copies
    names = [f"{'abc'[i % 3]}/{'dog' if i % 20 == 0 else 'IMG'}_{i:05}.jpg" for i in range(N)]
    with make_index(tmp_path_factory.mktemp("home") / "index", vectors, names) as index:
        said = {i: ("a dog and a cat",) if i % 2 else ("a tree",) for i in range(5, N, 40)}
        index.write(Changes(captions=said))
        yield index


def ids(hits) -> list[int]:
    return [hit.id for hit in hits]


def told(hits) -> list[tuple[object, ...]]:
    """All of each hit but its copies, of which a longer list knows more."""
    return [(hit.id, hit.score, hit.relevance, hit.matched) for hit in hits]


def depth(relevance) -> int:
    return BANDS.index(relevance or "weak")


def one(index, request, k, options=RAW, judge=None, encoder=None):
    if isinstance(request, str):
        request = Request((Part(request),))
    return answerer(index, encoder, judge).answer([request], k, options)[0]


@SLOW
@given(REQUESTS, OPTIONS, JUDGES, st.integers(1, 300))
def test_a_longer_list_begins_like_a_shorter_one(index, request_, options, judge, k) -> None:
    whole = one(index, request_, N + 1, options, judge)
    assert told(one(index, request_, k, options, judge)) == told(whole)[:k]


@SLOW
@given(REQUESTS, OPTIONS, JUDGES, st.integers(1, 220), st.integers(1, 60))
def test_an_offset_leaves_out_the_first_hits(index, request_, options, judge, a, b) -> None:
    page = one(index, request_, b, replace(options, offset=a), judge)
    assert page == one(index, request_, a + b, options, judge)[a:]


@SLOW
@given(REQUESTS, OPTIONS, JUDGES)
def test_what_an_answer_holds(index, request_, options, judge) -> None:
    hits = one(index, request_, 10**9, options, judge)
    depths = [depth(hit.relevance) for hit in hits]
    assert depths == sorted(depths)
    assert not set(ids(hits)) & set(request_.examples)
    assert len(set(ids(hits))) == len(hits)
    if not options.collapse and not request_.quotations:
        allowed = set(index.matching(request_.filters)) - set(request_.examples)
        assert set(ids(hits)) == allowed
    elif not request_.quotations:
        shown = {each.id for hit in hits for each in (hit.image, *hit.copies)}
        assert shown == set(index.matching(request_.filters)) - set(request_.examples)


@SLOW
@given(REQUESTS, OPTIONS, JUDGES, st.sampled_from(["strong", "likely", "weak"]))
def test_a_least_relevance_only_cuts_the_tail(index, request_, options, judge, least) -> None:
    options = replace(options, diverse=False)
    whole = one(index, request_, N, options, judge)
    some = one(index, request_, N, replace(options, min_relevance=least), judge)
    assert told(some) == told(whole)[: len(some)]
    assert all(depth(h.relevance) <= depth(least) for h in some if h.relevance)
    if len(some) < len(whole):
        assert depth(whole[len(some)].relevance) > depth(least)


@pytest.mark.parametrize("filters", [Filters(), Filters(folder="b"), Filters(captioned=True)])
def test_raw_hits_equal_brute_force(index: Index, filters: Filters) -> None:
    encoder = CountingEncoder()
    allowed = index.matching(filters)
    query = encoder.encode_texts(["dog"])[0]
    cosines = index.embeddings(allowed.tolist()) @ query
    best = np.lexsort((allowed, -cosines))
    for k in (1, 7, N + 5):
        hits = one(index, Request((Part("dog"),), (), filters), k, RAW, CLOSED, encoder)
        assert ids(hits) == allowed[best[:k]].tolist()
        assert np.allclose([hit.score for hit in hits], cosines[best[:k]], atol=1e-3)


def test_without_references_nothing_is_told_and_the_cosine_ranks(index: Index) -> None:
    hits = one(index, "zeppelin", N, SearchOptions(collapse=False))
    assert {hit.relevance for hit in hits} == {None}
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)


def test_an_unknown_word_is_weak_only_where_the_vocabulary_is_closed(index: Index) -> None:
    for judge, expected in ((OPEN, {None}), (CLOSED, {"weak"})):
        hits = one(index, "zeppelin", 20, SearchOptions(), judge)
        assert {hit.relevance for hit in hits} == expected


def test_a_name_match_beyond_the_first_window_is_found(index: Index) -> None:
    (hit,) = one(index, "IMG_00253", 1, SearchOptions(collapse=False), CLOSED)
    assert (hit.id, hit.relevance, hit.matched[-1]) == (254, "likely", "file name")
    assert one(index, "IMG_00253", 1, SearchOptions(semantic_only=True))[0].matched == ("picture",)


@pytest.mark.parametrize("quoted", ["IMG_00001", "dog_", "a dog and", "DOG", "nowhere", "_", "c/"])
def test_a_quotation_keeps_what_holds_it_literally(index: Index, quoted: str) -> None:
    hits = one(index, f'"{quoted}" boat', N, SearchOptions(collapse=False))
    captions = index.captions()
    folder_and_name = {i.id: i.file.path.rsplit("/", 1) for i in index.images(range(1, N + 1))}
    expected = {
        each
        for each, texts in folder_and_name.items()
        if any(quoted.lower() in text.lower() for text in (*texts, *captions.get(each, ())))
    }
    assert set(ids(hits)) == expected


def test_only_what_should_not_be_there(index: Index) -> None:
    encoder = CountingEncoder()
    hits = one(index, Request((), (Part(7),)), N, RAW, CLOSED, encoder)
    cosines = index.embeddings(ids(hits)) @ index.embeddings([7])[0]
    assert 7 not in ids(hits)
    assert (np.diff(cosines) >= -1e-3).all()
    assert {hit.relevance for hit in hits} == {None}
    assert encoder.asked == []


def test_examples_by_path_bytes_and_id(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(1))
    by_path, by_bytes = (one(index, Request((Part(e),)), 5) for e in (path, path.read_bytes()))
    assert by_path == by_bytes
    assert len(by_path) == 5
    assert len(one(index, Request((Part(4),)), N)) == N - 1


@pytest.mark.parametrize("content", [b"broken", Path("/no/such.jpg"), 99_999])
def test_an_example_that_cannot_be_used_is_an_error_of_one_line(index, content) -> None:
    for request in (Request((Part(content),)), Request((Part("dog"),), (Part(content),))):
        with pytest.raises(QueryError) as caught:
            one(index, request, 3)
        assert len(str(caught.value).splitlines()) == 1


def test_parts_that_cancel_are_an_error(tmp_path: Path) -> None:
    vectors = images(3)
    with make_index(tmp_path / "index", np.stack([vectors[0], -vectors[0], vectors[2]])) as index:
        with pytest.raises(QueryError, match="cancel"):
            one(index, Request((Part(1), Part(2))), 3)
        with pytest.raises(QueryError, match="cancel"):
            one(index, Request((), (Part(1), Part(2))), 3)


def test_a_request_of_nothing_and_no_hits_are_errors(index: Index) -> None:
    with pytest.raises(QueryError, match="empty"):
        one(index, Request(), 3)
    for k in (0, -1):
        with pytest.raises(QueryError, match="at least one"):
            one(index, "dog", k)


def test_an_empty_index_has_no_hits(tmp_path: Path) -> None:
    with make_index(tmp_path / "index", images(0)) as index:
        for request in ("dog", Request((Part("a"), Part(jpeg(1)))), Request((), (Part("a"),))):
            assert one(index, request, 5, SearchOptions(), CLOSED) == []


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1) | st.text(alphabet='"“” \0\udcff😀ab\u202eא*()', min_size=1), JUDGES)
def test_any_text_gets_an_answer_or_a_query_error(index, text, judge) -> None:
    try:
        hits = one(index, text, 5, SearchOptions(), judge)
    except QueryError:
        assert not text.strip()
        return
    assert len(hits) == 5 or Request((Part(text),)).quotations


@pytest.mark.parametrize(
    "text", ["dog " * 10_000, " ".join(f"w{'x' * (i % 90)}" for i in range(10_000))]
)
def test_ten_thousand_words_get_an_answer(index: Index, text: str) -> None:
    assert len(one(index, text, 5, SearchOptions(), CLOSED)) == 5


class Sure(Judge):
    """Takes every picture for what was asked for."""

    def __call__(self, texts, cosines, evidence):
        return cosines, np.ones_like(cosines)


@pytest.mark.parametrize("judge", [Sure(reference(), closed=True), CLOSED, None])
def test_names_beyond_the_first_window_do_not_change_with_the_length(index, judge) -> None:
    options = SearchOptions(collapse=False)
    whole = one(index, "dog", N, options, judge)
    assert sum("file name" in hit.matched for hit in whole) == N // 20
    for k in (5, 20, 200, 201):
        assert told(one(index, "dog", k, options, judge)) == told(whole)[:k]


def test_copies_are_one_hit_and_k_hits_come_all_the_same(tmp_path: Path) -> None:
    vectors = np.concatenate([np.repeat(images(1), 230, 0), images(30, 1)])
    with make_index(tmp_path / "index", vectors) as index:
        plain = one(index, Request((Part(1),)), 20, RAW)
        assert len(plain) == 20
        hits = one(index, Request((Part("dog"),)), 20, SearchOptions())
        assert len(hits) == 20
        whole = one(index, Request((Part("dog"),)), 300, SearchOptions())
        assert [len(hit.copies) for hit in whole if hit.copies] == [229]
        assert len(whole) == 31


def test_many_requests_are_encoded_together_and_answered_alone(index: Index) -> None:
    encoder = CountingEncoder()
    requests = [Request((Part(text),)) for text in ("dog", "cat", "dog")]
    together = answerer(index, encoder).answer(requests, 5, SearchOptions())
    assert len(encoder.asked) == len(set(encoder.asked))
    for request, hits in zip(requests, together, strict=True):
        assert told(hits) == told(one(index, request, 5, SearchOptions()))


def test_a_known_text_needs_no_encoder(index: Index, tmp_path: Path) -> None:
    first, second = CountingEncoder(), CountingEncoder()
    cache = TextCache(tmp_path / "texts.db")
    request = [Request((Part("dog"),))]
    hits = answerer(index, first, cache=cache).answer(request, 5, SearchOptions())
    assert first.asked
    again = answerer(index, second, cache=TextCache(tmp_path / "texts.db"))
    assert again.answer(request, 5, SearchOptions()) == hits
    assert second.asked == []


@pytest.mark.parametrize("when", ["present", "images", "words", "sample"])
def test_images_that_another_process_removes_meanwhile_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with make_index(tmp_path / "index", images(30)) as index:
        right, left = getattr(index, when), list(range(1, 11))

        def after_removal(*given, **named):
            if left:
                with Index.open(index.folder) as other:
                    other.write(Changes(removed=left))
                left.clear()
            return right(*given, **named)

        monkeypatch.setattr(index, when, after_removal)
        request = Request((Part("dog"), Part("cat")), (Part("tree"),))
        hits = one(index, request, 30, SearchOptions(diverse=True), CLOSED)
        assert set(range(11, 31)) == set(ids(hits))


def test_diverse_hits_are_the_same_in_another_order(index: Index) -> None:
    options = SearchOptions(collapse=False)
    plain = one(index, "dog", N, options, CLOSED)
    diverse = one(index, "dog", N, replace(options, diverse=True), CLOSED)
    assert sorted(ids(plain)) == sorted(ids(diverse))
    assert [hit.relevance for hit in plain] == [hit.relevance for hit in diverse]
