"""Hits that show the same picture, folded into the best of them."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.duplicates import collapse
from searchengine.index import Changes, Index
from searchengine.types import BLANK_PHASH, Hit
from tests.duplicates.toys import HASH, flipped, image, put


def ranked(index: Index, *paths: str) -> list[Hit]:
    by_path = {each.file.path: each for each in index.images(list(range(1, index.count + 1)))}
    paths = paths or tuple(sorted(by_path))
    return [Hit(by_path[path], 1 - n / 1000) for n, path in enumerate(paths)]


def shown(hits: list[Hit]) -> list[tuple[str, list[str]]]:
    return [(hit.image.file.path, [each.file.path for each in hit.copies]) for hit in hits]


def test_copies_are_folded_into_the_best_hit_and_the_order_stays(index: Index) -> None:
    put(
        index,
        image("a", HASH, content=b"one"),
        image("b", flipped(30)),
        image("c", flipped(2)),
        image("d", HASH, content=b"one"),
        image("e", flipped(34)),
    )
    hits = ranked(index, "c", "b", "d", "e", "a")
    folded = collapse(index, hits)
    assert shown(folded) == [("c", ["d", "a"]), ("b", ["e"])]
    assert [hit.score for hit in folded] == [1.0, 0.999]


def test_without_hashes_only_the_same_bytes_count(index: Index) -> None:
    put(index, image("a"), image("b"), image("c", content=b"x"), image("d", content=b"x"))
    put(index, image("e", BLANK_PHASH), image("f", BLANK_PHASH))
    folded = shown(collapse(index, ranked(index)))
    assert folded == [("a", []), ("b", []), ("c", ["d"]), ("e", []), ("f", [])]


def test_alike_hashes_of_unlike_embeddings_stay_apart(index: Index) -> None:
    put(index, image("a", HASH), image("b", HASH, 80))
    assert len(collapse(index, ranked(index))) == 2


def test_other_shots_of_one_camera_stay_apart(index: Index) -> None:
    facts = {"camera": "Canon", "phash": HASH}
    put(index, *(image(f"{n}", taken_at=f"2024-01-01T00:00:0{n}", **facts) for n in range(3)))
    put(index, image("again", taken_at="2024-01-01T00:00:01", **facts))
    folded = shown(collapse(index, ranked(index, "0", "1", "2", "again")))
    assert folded[0] == ("0", [])
    assert ("1", ["again"]) in folded


def test_an_exact_copy_follows_the_one_that_was_folded(index: Index) -> None:
    put(index, image("a", HASH), image("b", flipped(2), content=b"x"), image("c", content=b"x"))
    assert shown(collapse(index, ranked(index))) == [("a", ["b", "c"])]


def test_images_that_left_the_index_meanwhile_stay(index: Index) -> None:
    put(index, image("a", HASH), image("b", HASH), image("c", HASH))
    hits = ranked(index)
    index.write(Changes(removed=[1]))
    assert shown(collapse(index, hits)) == [("a", []), ("b", ["c"])]


def test_nothing_to_fold(index: Index) -> None:
    put(index, image("a", HASH))
    hits = ranked(index)
    assert collapse(index, []) == []
    assert collapse(index, hits) == hits


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, BLANK_PHASH, *(flipped(3 * n) for n in range(6))]),
            st.sampled_from([0, 40, 80]),
            st.sampled_from([b"x", b"y", None]),
        ),
        max_size=12,
    ),
    st.randoms(),
)
def test_nothing_is_lost_nothing_moves_and_once_is_enough(index, drawn, random) -> None:
    index.write(Changes(removed=[each.id for each in index.traits()]))
    put(index, *(image(f"{n:02}", *each) for n, each in enumerate(drawn)))
    images = index.images([each.id for each in index.traits()])
    random.shuffle(images)
    hits = [Hit(each, 0.5) for each in images]
    folded = collapse(index, hits)
    ranks = {hit.id: rank for rank, hit in enumerate(hits)}
    kept = [ranks[hit.id] for hit in folded]
    assert kept == sorted(kept)
    members = [each.id for hit in folded for each in (hit.image, *hit.copies)]
    assert sorted(members) == sorted(ranks)
    for hit in folded:
        after = [ranks[each.id] for each in (hit.image, *hit.copies)]
        assert after == sorted(after)
    assert collapse(index, folded) == folded


def test_a_long_list_of_one_picture_is_one_hit(index: Index) -> None:
    hashes = np.random.default_rng(0).integers(0, 8, 400)
    put(index, *(image(f"{n:03}", HASH ^ (1 << int(bit))) for n, bit in enumerate(hashes)))
    (hit,) = collapse(index, ranked(index))
    assert len(hit.copies) == 399
