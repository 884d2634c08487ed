"""Hashes of images that were indexed before there were any."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from searchengine.duplicates import find_duplicates
from searchengine.errors import IndexFolderError
from searchengine.index import Index
from searchengine.ingest import ingest
from tests.fakes import FakeEncoder
from tests.index.toys import corrupt
from tests.pictures import fill, picture

ENCODER = FakeEncoder()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    fill(tmp_path / "photos", 4)
    picture(2).resize((48, 32)).save(tmp_path / "photos" / "small.jpg", quality=95)
    return tmp_path


@pytest.fixture
def index(home: Path) -> Iterator[Index]:
    with Index.create(home / "index", ENCODER.spec) as index:
        ingest(index, lambda: ENCODER, [home / "photos"])
        yield index


def forget(index: Index) -> None:
    """Leave the index as one that an older version made."""
    corrupt(index, "UPDATE images SET phash = NULL")


def phashes(index: Index) -> list[int | None]:
    return [each.phash for each in sorted(index.traits())]


def names(index: Index) -> list[list[str]]:
    return [[each.file.path for each in g.images] for g in find_duplicates(index, ["near"])]


def test_ingestion_stores_the_hash_of_every_picture(index: Index) -> None:
    assert None not in phashes(index)
    assert index.image(1).info.phash == phashes(index)[0]
    assert names(index) == [["0002.jpg", "small.jpg"]]


def test_missing_hashes_are_computed_once_and_kept(home: Path, index: Index) -> None:
    forget(index)
    stamp = sorted(path.name for path in (home / "index").glob("*.faiss"))
    steps: list[tuple[int, int]] = []
    found = find_duplicates(index, ["near"], lambda *step: steps.append(step))
    assert [len(group.images) for group in found] == [2]
    assert steps == [(5, 5)]
    assert None not in phashes(index)
    index.save_snapshot()
    assert sorted(path.name for path in (home / "index").glob("*.faiss")) == stamp
    find_duplicates(index, ["near"], lambda *step: steps.append(step))
    assert len(steps) == 1


def test_exact_copies_need_no_hash(index: Index) -> None:
    forget(index)
    assert find_duplicates(index, ["exact"]) == []
    assert set(phashes(index)) == {None}


def test_files_that_are_gone_or_have_changed_are_left_out_with_one_warning(
    home: Path, index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    forget(index)
    (home / "photos" / "0000.jpg").unlink()
    (home / "photos" / "0001.jpg").write_bytes((home / "photos" / "0003.jpg").read_bytes())
    with caplog.at_level(logging.WARNING):
        assert names(index) == [["0002.jpg", "small.jpg"]]
    assert [record.message.split(" could")[0] for record in caplog.records] == ["2 images"]
    assert phashes(index)[:2] == [None, None]


def test_an_index_that_cannot_be_written_still_answers(
    home: Path, index: Index, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(index)

    def refuse(_: object) -> None:
        raise IndexFolderError("readonly")

    monkeypatch.setattr(index, "set_phashes", refuse)
    with caplog.at_level(logging.WARNING):
        assert names(index) == [["0002.jpg", "small.jpg"]]
    assert "readonly" in caplog.text


def test_stop_keeps_what_was_hashed_and_gives_nothing(index: Index) -> None:
    forget(index)
    stop = threading.Event()
    assert find_duplicates(index, ["near"], lambda done, total: stop.set(), stop) == []
    assert None not in phashes(index)


def test_a_hash_is_stored_only_where_none_is_and_nothing_changed(index: Index) -> None:
    image = index.image(1)
    before = phashes(index)
    index.set_phashes([(image, 123)])
    assert phashes(index) == before
    forget(index)
    corrupt(index, "UPDATE images SET mtime_ns = 1 WHERE id = 2")
    index.set_phashes([(image, 123), (index.image(2), -5), (index.image(3), -(2**63))])
    index.set_phashes([])
    assert phashes(index)[:3] == [123, -5, -(2**63)]
    corrupt(index, "UPDATE images SET mtime_ns = 2, phash = NULL WHERE id = 1")
    index.set_phashes([(image, 123)])
    assert phashes(index)[0] is None
