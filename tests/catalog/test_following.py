"""What a vector store is told, so that it has what the catalog has."""

from __future__ import annotations

import numpy as np
import pytest

from searchengine.catalog import Catalog, StoreState, Written, decode
from searchengine.types import EncoderSpec, Facts
from tests.catalog.toys import INFO, SPEC, apply, picture

OTHER = EncoderSpec("other", "e" * 64, 2)
THIRD = EncoderSpec("third", "d" * 64, 2)
FACTS = Facts(10, 640, 480, "JPEG", INFO.taken_at, "Canon", None)


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    apply(catalog, added=[picture(name, name.encode()) for name in "abc"])
    return catalog


def written(catalog: Catalog, seq: int = 0, spec: EncoderSpec = SPEC) -> list[Written]:
    with catalog.reading() as rows:
        return list(rows.written_after(seq, spec))


def stage(catalog: Catalog, spec: EncoderSpec, *contents: str) -> None:
    rows = np.tile(np.array([0, 1], np.float32), (len(contents), 1))
    with catalog.writing() as writer:
        writer.begin_staging(spec)
        writer.stage(spec, [each.encode() for each in contents], rows)


def follow(catalog: Catalog, name: str, **state: int) -> None:
    with catalog.writing() as rows:
        rows.set_store_state(name, StoreState("stamp", **state))


def dropped(catalog: Catalog, number: int = 0) -> tuple[list[int], int]:
    with catalog.reading() as rows:
        ids, last = rows.dropped_after(number)
    return ids.tolist(), last


def test_embeddings_come_in_the_order_they_were_written_with_the_facts_of_their_images(
    filled: Catalog,
) -> None:
    apply(filled, changed={2: picture("b", b"new")})
    (block,) = written(filled)
    assert (block.ids.tolist(), block.ids.dtype, block.seq) == ([1, 3, 2], np.int64, 4)
    assert block.facts == [FACTS] * 3
    np.testing.assert_allclose(decode(block.vectors, 2), [[0.6, 0.8]] * 3, atol=1e-3)
    assert [each.ids.tolist() for each in written(filled, 3)] == [[2]]
    assert written(filled, 4) == []


def test_blocks_are_whole_and_end_with_their_last_number(catalog: Catalog) -> None:
    apply(catalog, added=[picture(f"{n}") for n in range(5000)])
    blocks = written(catalog)
    assert [len(each.ids) for each in blocks] == [2048, 2048, 904]
    assert [each.seq for each in blocks] == [2048, 4096, 5000]


def test_those_of_another_model_are_told_apart_before_and_after_it_takes_over(
    filled: Catalog,
) -> None:
    stage(filled, OTHER, "c", "a")
    apply(filled, added=[picture("d", b"d")])
    with filled.reading() as rows:
        assert (rows.last_seq(), rows.last_seq(SPEC), rows.last_seq(OTHER)) == (6, 6, 5)
        assert rows.last_seq(THIRD) == 0
    stage(filled, OTHER, "b", "d")
    for present in (SPEC, OTHER, SPEC):
        with filled.writing() as writer:
            writer.switch(present)
            assert (writer.encoder(), writer.count()) == (present, 4)
        assert [each.ids.tolist() for each in written(filled)] == [[1, 2, 3, 4]]
        assert [each.ids.tolist() for each in written(filled, 0, OTHER)] == [[3, 1, 2, 4]]
        assert written(filled, 0, THIRD) == []


def test_what_goes_is_told_only_while_there_is_a_store(filled: Catalog) -> None:
    apply(filled, removed=[1])
    assert dropped(filled) == ([], 0)
    follow(filled, "milvus", seq=3)
    apply(filled, removed=[2], changed={3: picture("c", b"new")})
    assert dropped(filled) == ([2, 3], 2)
    assert dropped(filled, 1)[0] in ([2], [3])
    assert dropped(filled, 2) == ([], 2)


def test_an_image_that_goes_takes_the_embeddings_of_every_model(filled: Catalog) -> None:
    follow(filled, "milvus")
    stage(filled, OTHER, "a", "b")
    apply(filled, removed=[1], changed={2: picture("b", b"new")})
    assert dropped(filled)[0] == [1, 2]
    assert [each.ids.tolist() for each in written(filled)] == [[3, 2]]
    assert written(filled, 0, OTHER) == []


def test_a_model_that_is_dropped_drops_no_image(filled: Catalog) -> None:
    follow(filled, "milvus")
    stage(filled, OTHER, "a", "b")
    stage(filled, THIRD, "a")
    assert written(filled, 0, OTHER) == []
    assert dropped(filled) == ([], 0)
    with filled.writing() as rows:
        assert not rows.holds(OTHER)
        rows.switch(THIRD)
    assert dropped(filled)[0] == [2, 3]


def test_the_slowest_store_decides_what_is_remembered(filled: Catalog) -> None:
    with filled.reading() as rows:
        assert rows.store_state("a") == StoreState("", 0, 0)
    follow(filled, "a")
    follow(filled, "b")
    apply(filled, removed=[1, 2, 3])
    follow(filled, "a", seq=3, dropped=3)
    assert dropped(filled) == ([1, 2, 3], 3)
    follow(filled, "b", seq=3, dropped=2)
    assert dropped(filled) == ([3], 3)
    with filled.writing() as rows:
        assert rows.store_state("a") == StoreState("stamp", 3, 3)
        rows.forget_store("b")
        assert rows.store_state("b") == StoreState()
    assert dropped(filled) == ([], 0)
    with filled.writing() as rows:
        rows.forget_store("a")
    apply(filled, added=[picture("d")])
    apply(filled, removed=[4])
    assert dropped(filled) == ([], 0)


def test_numbers_of_what_went_are_never_used_twice(filled: Catalog) -> None:
    follow(filled, "a")
    apply(filled, removed=[1])
    follow(filled, "a", dropped=1)
    apply(filled, removed=[2])
    assert dropped(filled, 1) == ([2], 2)
