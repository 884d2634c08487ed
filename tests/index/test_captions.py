"""Captions in an index: a write like any other, that leaves it sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.errors import IndexChangedError
from searchengine.index import Changes, Index
from searchengine.types import EncoderSpec
from tests.index.toys import DIM, SPEC, found, pictures, snapshots, unit


def test_captions_are_stored_and_the_index_stays_sound(index: Index, folder: Path) -> None:
    index.write(Changes(added=pictures(5)))
    index.save_snapshot()
    before = snapshots(folder)
    index.write(Changes(captions={4: ("two", "one"), 2: ("three",)}))
    assert found(index, unit(5)[3]) == [4]
    index.save_snapshot()
    assert len(snapshots(folder)) == 1
    assert snapshots(folder) != before
    assert index.check() == []
    with Index.open(folder) as reader:
        assert list(reader.captions().items()) == [(2, ("three",)), (4, ("two", "one"))]
        assert found(reader, unit(5)[3]) == [4]


def test_another_process_wrote_meanwhile(index: Index, folder: Path) -> None:
    index.write(Changes(added=pictures(2)))
    with Index.open(folder, SPEC) as other:
        other.write(Changes(captions={1: ("mine",)}))
    with pytest.raises(IndexChangedError, match="run the same command again"):
        index.write(Changes(captions={1: ("no", "mine")}))
    assert index.captions() == {1: ("mine",)}


def test_another_encoder_keeps_them(index: Index) -> None:
    index.write(Changes(added=pictures(2), captions={}))
    index.write(Changes(captions={1: ("a dog",), 2: ("a cat",)}))
    other = EncoderSpec("other", "e" * 64, DIM)
    index.begin_staging(other)
    index.stage(other, [b"d" * 32], unit(1))
    index.switch(other)
    assert index.captions() == {1: ("a dog",), 2: ("a cat",)}
    assert index.check() == []


def test_a_wider_root_keeps_them(index: Index) -> None:
    index.write(Changes(added=pictures(2)))
    index.write(Changes(captions={2: ("a cat",)}))
    index.add_root("/")
    assert index.captions() == {2: ("a cat",)}
