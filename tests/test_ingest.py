"""Ingestion: what a run adds, changes, moves, removes, skips, and what it never loses."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from searchengine import images
from searchengine.errors import ImageError, IndexChangedError
from searchengine.index import Index
from searchengine.ingest import Report, Selection, ingest
from searchengine.types import Scope
from tests.fakes import FakeEncoder
from tests.hostile import make_hostile_folder
from tests.pictures import fill, jpeg


class Collection:
    """A photo folder, its index, and an encoder that counts."""

    def __init__(self, home: Path):
        self.folder = home / "photos"
        self.folder.mkdir()
        self.encoder = FakeEncoder()
        self.index = Index.create(home / "index", self.encoder.spec)

    def run(self, **options: object) -> Report:
        self.encoder.encoded = 0
        return ingest(self.index, lambda: self.encoder, [self.folder], Selection(**options))

    def paths(self) -> set[str]:
        return set(self.index.files(str(self.folder)))

    def failed(self) -> dict[str, str]:
        return {each.file.path: each.reason for each in self.index.failures()}

    def embedding(self, path: str) -> np.ndarray:
        return self.index.embeddings([self.index.files(str(self.folder))[path][0]])[0]


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Collection]:
    collection = Collection(tmp_path)
    yield collection
    collection.index.close()


def counts(report: Report) -> dict[str, int]:
    """The counts that are not zero."""
    names = ("added", "changed", "moved", "removed", "unchanged", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def age(path: Path) -> None:
    """Make a file look written a minute ago."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns - 60_000_000_000))


def test_first_run_adds_everything_and_second_nothing(photos: Collection) -> None:
    fill(photos.folder, 20)
    assert counts(photos.run()) == {"added": 20}
    assert photos.encoder.encoded == 20
    assert counts(photos.run()) == {"unchanged": 20}
    assert photos.index.check() == []


def test_unchanged_folder_needs_no_encoder(photos: Collection) -> None:
    fill(photos.folder, 3)
    photos.run()

    def no_encoder() -> FakeEncoder:
        raise AssertionError("the encoder was loaded")

    assert counts(ingest(photos.index, no_encoder, [photos.folder])) == {"unchanged": 3}


def test_changed_content_keeps_its_id(photos: Collection) -> None:
    fill(photos.folder, 3)
    photos.run()
    before = photos.index.files(str(photos.folder))["0001.jpg"][0]
    (photos.folder / "0001.jpg").write_bytes(jpeg(99))
    assert counts(photos.run()) == {"changed": 1, "unchanged": 2}
    assert photos.index.files(str(photos.folder))["0001.jpg"][0] == before
    (photos.folder / "other.jpg").write_bytes(jpeg(99))
    photos.run()
    assert np.array_equal(photos.embedding("0001.jpg"), photos.embedding("other.jpg"))


def test_touched_file_is_read_but_not_encoded(photos: Collection) -> None:
    fill(photos.folder, 3)
    photos.run()
    age(photos.folder / "0001.jpg")
    assert counts(photos.run()) == {"unchanged": 3}
    assert photos.encoder.encoded == 0
    assert counts(photos.run()) == {"unchanged": 3}


def test_hundred_moved_files_are_not_encoded_again(photos: Collection) -> None:
    fill(photos.folder / "old", 100)
    photos.run()
    ids = {
        Path(path).name: state[0] for path, state in photos.index.files(str(photos.folder)).items()
    }
    (photos.folder / "old").rename(photos.folder / "new")
    assert counts(photos.run()) == {"moved": 100}
    assert photos.encoder.encoded == 0
    assert photos.paths() == {f"new/{number:04}.jpg" for number in range(100)}
    moved = photos.index.files(str(photos.folder))
    assert {Path(path).name: state[0] for path, state in moved.items()} == ids
    assert photos.index.check() == []


def test_move_between_two_folders_of_an_index(photos: Collection, tmp_path: Path) -> None:
    fill(photos.folder, 5)
    fill(tmp_path / "elsewhere", 1, first=50)
    photos.run()
    for file in photos.folder.iterdir():
        shutil.move(file, tmp_path / "elsewhere")
    (photos.folder / "note.txt").write_text("not empty")
    report = ingest(photos.index, lambda: photos.encoder, [tmp_path / "elsewhere", photos.folder])
    assert counts(report) == {"added": 1, "moved": 5}


def test_exact_copies_are_encoded_once_and_both_found(photos: Collection) -> None:
    fill(photos.folder, 2)
    (photos.folder / "copy.jpg").write_bytes(jpeg(0))
    assert counts(photos.run()) == {"added": 3}
    assert photos.encoder.encoded == 2
    (photos.folder / "later.jpg").write_bytes(jpeg(1))
    assert counts(photos.run()) == {"added": 1, "unchanged": 3}
    assert photos.encoder.encoded == 0
    assert np.array_equal(photos.embedding("later.jpg"), photos.embedding("0001.jpg"))


def test_two_files_that_change_places_change_vectors(photos: Collection) -> None:
    fill(photos.folder, 2)
    photos.run()
    first, second = photos.embedding("0000.jpg"), photos.embedding("0001.jpg")
    (photos.folder / "0000.jpg").rename(photos.folder / "tmp")
    (photos.folder / "0001.jpg").rename(photos.folder / "0000.jpg")
    (photos.folder / "tmp").rename(photos.folder / "0001.jpg")
    age(photos.folder / "0000.jpg")
    age(photos.folder / "0001.jpg")
    assert counts(photos.run()) == {"changed": 2}
    assert np.array_equal(photos.embedding("0000.jpg"), second)
    assert np.array_equal(photos.embedding("0001.jpg"), first)


def test_vanished_files_are_removed(photos: Collection) -> None:
    fill(photos.folder, 4)
    photos.run()
    (photos.folder / "0002.jpg").unlink()
    assert counts(photos.run()) == {"removed": 1, "unchanged": 3}
    assert "0002.jpg" not in photos.paths()


def test_refreshing_a_sub_folder_leaves_the_rest_alone(photos: Collection) -> None:
    fill(photos.folder / "a", 2)
    fill(photos.folder / "b", 2, first=10)
    photos.run()
    shutil.rmtree(photos.folder / "b")
    fill(photos.folder / "a", 1, first=20)
    report = ingest(photos.index, lambda: photos.encoder, [photos.folder / "a"])
    assert counts(report) == {"added": 1, "unchanged": 2}
    assert len(photos.paths()) == 5


@pytest.mark.parametrize("order", [("", "a", "a/b", ""), ("a/b", "a", "")])
def test_folders_named_twice_or_inside_one_another(
    photos: Collection, order: tuple[str, ...]
) -> None:
    fill(photos.folder / "a" / "b", 2)
    fill(photos.folder, 1, first=10)
    folders = [photos.folder / name for name in order]
    report = ingest(photos.index, lambda: photos.encoder, folders)
    assert counts(report) == {"added": 3}
    assert photos.index.roots() == [str(photos.folder)]


def test_a_folder_around_known_ones_takes_them_in(photos: Collection) -> None:
    fill(photos.folder / "a", 2)
    fill(photos.folder / "b", 2, first=10)
    ingest(photos.index, lambda: photos.encoder, [photos.folder / "a", photos.folder / "b"])
    assert len(photos.index.roots()) == 2
    assert counts(photos.run()) == {"unchanged": 4}
    assert photos.index.roots() == [str(photos.folder)]


def test_folder_that_is_not_there_removes_nothing(photos: Collection) -> None:
    fill(photos.folder, 2)
    photos.run()
    photos.folder.rename(photos.folder.with_name("unplugged"))
    with pytest.raises(ImageError, match="nothing was changed"):
        photos.run()
    assert photos.index.count == 2


def test_folder_that_is_suddenly_empty_removes_nothing_unless_told(photos: Collection) -> None:
    fill(photos.folder, 2)
    photos.run()
    for file in photos.folder.iterdir():
        file.unlink()
    with pytest.raises(ImageError, match="mounted"):
        photos.run()
    assert photos.index.count == 2
    assert counts(photos.run(allow_empty=True)) == {"removed": 2}


def test_sub_folder_that_cannot_be_listed_removes_nothing(
    photos: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(photos.folder / "locked", 2)
    fill(photos.folder / "open", 2, first=10)
    photos.run()
    scandir = os.scandir

    def deny(path: str) -> object:
        if "locked" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deny)
    assert counts(photos.run()) == {"unchanged": 2}
    assert len(photos.paths()) == 4


def test_excluded_and_hidden_files(photos: Collection) -> None:
    fill(photos.folder, 1)
    fill(photos.folder / ".cache", 1, first=10)
    fill(photos.folder / "private", 1, first=20)
    assert counts(photos.run(exclude=["private/"])) == {"added": 1}
    assert counts(photos.run(include_hidden=True, exclude=[])) == {"added": 2, "unchanged": 1}
    (photos.folder / ".searchignore").write_text("private\n")
    assert counts(photos.run(include_hidden=False)) == {"removed": 2, "unchanged": 1}


def test_what_is_excluded_is_remembered_until_something_else_is_said(photos: Collection) -> None:
    fill(photos.folder, 1)
    fill(photos.folder / "raw", 1, first=10)
    fill(photos.folder / "private", 1, first=20)
    (photos.folder / "raw" / "broken.jpg").write_text("not a picture")
    assert counts(photos.run()) == {"added": 3, "failed": 1}
    assert counts(photos.run(exclude=["raw/"])) == {"removed": 1, "unchanged": 2}
    assert photos.failed() == {}
    assert counts(photos.run()) == {"unchanged": 2}
    assert counts(photos.run(retry_failed=True, include_hidden=True)) == {"unchanged": 2}
    assert counts(photos.run(exclude=["private/"])) == {"added": 1, "failed": 1, "removed": 1} | {
        "unchanged": 1
    }
    assert photos.paths() == {"0000.jpg", "raw/0010.jpg"}
    assert photos.index.scopes() == {str(photos.folder): Scope(("private/",), include_hidden=True)}
    assert counts(photos.run(exclude=[])) == {"added": 1, "failed": 1, "unchanged": 2}
    assert counts(photos.run()) == {"failed": 1, "unchanged": 3}


def test_hidden_files_are_taken_until_they_are_not_wanted(photos: Collection) -> None:
    fill(photos.folder, 1)
    fill(photos.folder / ".cache", 1, first=10)
    assert counts(photos.run(include_hidden=True)) == {"added": 2}
    assert counts(photos.run()) == {"unchanged": 2}
    assert counts(photos.run(include_hidden=False)) == {"removed": 1, "unchanged": 1}
    assert counts(photos.run()) == {"unchanged": 1}


def test_a_run_that_is_stopped_has_remembered_what_to_exclude(photos: Collection) -> None:
    fill(photos.folder, 1)
    fill(photos.folder / "raw", 1, first=10)
    stop = threading.Event()
    stop.set()
    ingest(
        photos.index,
        lambda: photos.encoder,
        [photos.folder],
        Selection(exclude=["raw/"]),
        stop=stop,
    )
    assert counts(photos.run()) == {"added": 1}


def test_patterns_of_a_run_that_cannot_be_done_are_not_remembered(photos: Collection) -> None:
    fill(photos.folder, 1)
    photos.run(exclude=["raw/"])
    with pytest.raises(ImageError, match="bad pattern"):
        photos.run(exclude=["!"])
    (photos.folder / "0000.jpg").unlink()
    with pytest.raises(ImageError, match="mounted"):
        photos.run(exclude=["tmp/"])
    with pytest.raises(TypeError, match=r"\['raw/'\]"):
        photos.run(exclude="raw/")
    assert photos.index.scopes()[str(photos.folder)].exclude == ("raw/",)


def test_a_folder_inside_a_root_has_what_is_remembered_of_the_root(
    photos: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    fill(photos.folder / "2024" / "raw", 1)
    fill(photos.folder / "2024" / "new", 1, first=10)
    fill(photos.folder / "2024", 1, first=20)
    photos.run(exclude=["/2024/raw/"])

    def run(**options: object) -> dict[str, int]:
        folders = [photos.folder / "2024"]
        return counts(ingest(photos.index, lambda: photos.encoder, folders, Selection(**options)))

    assert run() == {"unchanged": 2}
    assert not caplog.messages
    assert run(exclude=["/new/"]) == {"added": 1, "removed": 1, "unchanged": 1}
    assert caplog.messages == [
        f"which files to take of {photos.folder / '2024'} counts for this run only: it is inside "
        f"{photos.folder}, for which the index remembers that"
    ]
    assert counts(photos.run()) == {"added": 1, "removed": 1, "unchanged": 1}
    assert photos.paths() == {"2024/0020.jpg", "2024/new/0010.jpg"}


def test_a_folder_around_known_ones_leaves_out_what_they_left_out(photos: Collection) -> None:
    fill(photos.folder / "a" / "deep" / "raw", 1)
    fill(photos.folder / "a" / "top", 1, first=10)
    fill(photos.folder / "raw", 1, first=20)
    ingest(
        photos.index,
        lambda: photos.encoder,
        [photos.folder / "a"],
        Selection(exclude=["raw/", "/top"]),
    )
    assert counts(photos.run()) == {"added": 1}
    assert photos.paths() == {"raw/0020.jpg"}


def test_hostile_folder(photos: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = make_hostile_folder(photos.folder, [jpeg(n, (400, 300)) for n in range(3)])
    report = photos.run()
    assert photos.paths() == expected.good
    assert photos.failed().keys() == expected.bad
    assert all(reason and "\n" not in reason for reason in photos.failed().values())
    assert (report.added, report.failed) == (len(expected.good), len(expected.bad))
    assert not np.array_equal(photos.embedding("twin red.bmp"), photos.embedding("twin blue.bmp"))

    def no_reading(path: str, **options: object) -> None:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(images, "read", no_reading)
    monkeypatch.setattr(images, "digest", no_reading)
    assert counts(photos.run()) == {"unchanged": len(expected.good), "failed": len(expected.bad)}
    assert photos.index.check() == []


def test_failed_file_is_read_again_when_it_changes_or_when_told(photos: Collection) -> None:
    bad = photos.folder / "bad.jpg"
    bad.write_text("not a picture")
    assert counts(photos.run()) == {"failed": 1}
    assert counts(photos.run(retry_failed=True)) == {"failed": 1}
    bad.write_bytes(jpeg(1))
    assert counts(photos.run()) == {"added": 1}
    assert photos.failed() == {}
    bad.write_bytes(jpeg(1)[:500])
    assert counts(photos.run()) == {"failed": 1}
    assert photos.paths() == set()
    bad.unlink()
    (photos.folder / "note.txt").write_text("so that the folder is not empty")
    assert counts(photos.run()) == {}
    assert photos.failed() == {}


def test_stopped_run_keeps_what_is_done_and_the_next_goes_on(photos: Collection) -> None:
    fill(photos.folder, 64)
    stop = threading.Event()

    def stop_early(done: int, total: int) -> None:
        if done >= 16:
            stop.set()

    report = ingest(
        photos.index, lambda: photos.encoder, [photos.folder], progress=stop_early, stop=stop
    )
    assert report.interrupted
    assert 16 <= photos.index.count < 64
    assert counts(photos.run()) == {"added": 64 - report.added, "unchanged": report.added}
    assert photos.index.check() == []


def test_second_writer_is_refused_and_nothing_is_lost(photos: Collection, tmp_path: Path) -> None:
    fill(photos.folder, 40)
    fill(tmp_path / "other", 8, first=100)

    def another_process_writes(done: int, total: int) -> None:
        if done == 8:
            with Index.open(photos.index.folder) as other:
                ingest(other, lambda: photos.encoder, [tmp_path / "other"])

    with pytest.raises(IndexChangedError, match="another process"):
        ingest(
            photos.index, lambda: photos.encoder, [photos.folder], progress=another_process_writes
        )
    assert photos.index.check() == []
    photos.run()
    assert photos.index.count == 48
    assert photos.index.check() == []


def test_progress_reaches_its_total(photos: Collection) -> None:
    fill(photos.folder, 20)
    seen: list[tuple[int, int]] = []
    ingest(
        photos.index, lambda: photos.encoder, [photos.folder], progress=lambda *at: seen.append(at)
    )
    assert seen[0] == (0, 20)
    assert seen[-1] == (20, 20)
    assert seen == sorted(seen)


class AnyHistory(RuleBasedStateMachine):
    """Whatever happens to a folder, a run makes the index equal to it."""

    names = st.sampled_from([f"{folder}{n}.jpg" for folder in ("", "a/", "b/") for n in range(3)])

    @initialize()
    def start(self) -> None:
        import tempfile

        self.home = tempfile.TemporaryDirectory()
        self.photos = Collection(Path(self.home.name))
        for name in ("a", "b"):
            (self.photos.folder / name).mkdir()
        self.contents: dict[str, int] = {}
        self.clock = 10**18

    def _write(self, name: str, content: bytes) -> None:
        path = self.photos.folder / name
        path.write_bytes(content)
        self.clock += 10**9
        os.utime(path, ns=(self.clock, self.clock))

    @rule(name=names, number=st.integers(0, 5))
    def write(self, name: str, number: int) -> None:
        self._write(name, jpeg(number))
        self.contents[name] = number

    @rule(name=names)
    def spoil(self, name: str) -> None:
        self._write(name, b"not a picture")
        self.contents[name] = -1

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.contents.pop(name, None) is not None:
            (self.photos.folder / name).unlink()

    @rule(source=names, to=names)
    def move(self, source: str, to: str) -> None:
        if source in self.contents and source != to:
            (self.photos.folder / source).replace(self.photos.folder / to)
            self.contents[to] = self.contents.pop(source)

    @rule()
    def run(self) -> None:
        report = self.photos.run()
        good = {name: number for name, number in self.contents.items() if number >= 0}
        assert self.photos.paths() == good.keys()
        assert self.photos.failed().keys() == self.contents.keys() - good.keys()
        assert sum(counts(report).values()) - report.removed == len(self.contents)
        for name, number in good.items():
            path = self.photos.folder / "reference.jpg"
            path.write_bytes(jpeg(number))
            pixels = self.photos.encoder.preprocess(images.read(str(path), min_side=4).image)
            path.unlink()
            expected = self.photos.encoder.encode_images(pixels[np.newaxis])[0]
            assert np.allclose(self.photos.embedding(name), expected, atol=1e-3)

    @invariant()
    def is_sound(self) -> None:
        if hasattr(self, "photos"):
            assert self.photos.index.check() == []

    def teardown(self) -> None:
        if hasattr(self, "photos"):
            self.photos.index.close()
            self.home.cleanup()


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
