"""What a run adds, changes, moves, removes, skips, and what it never loses."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from searchengine import images
from searchengine.errors import IndexChangedError
from searchengine.index import Index
from searchengine.ingest import LocalWorkers, ingest
from searchengine.types import Encoder, KnownContent, Reading, Task
from tests.fakes import FakeEncoder
from tests.hostile import make_hostile_folder
from tests.ingest.collection import Collection, age, counts
from tests.pictures import fill, jpeg


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


def write_meanwhile(photos: Collection, folder: Path) -> Callable[[int, int], None]:
    """A progress that has another process index a folder."""

    def another_process_writes(done: int, total: int) -> None:
        if done == 8:
            with Index.open(photos.index.folder) as other:
                ingest(other, lambda: photos.encoder, [folder])

    return another_process_writes


def test_second_writer_of_a_folder_is_refused_and_nothing_is_lost(photos: Collection) -> None:
    fill(photos.folder, 40)
    meanwhile = write_meanwhile(photos, photos.folder)
    with pytest.raises(IndexChangedError, match="another process"):
        ingest(photos.index, lambda: photos.encoder, [photos.folder], progress=meanwhile)
    assert photos.index.check() == []
    photos.run()
    assert photos.index.count == 40
    assert photos.index.check() == []


def test_two_writers_of_two_folders_both_succeed(photos: Collection, tmp_path: Path) -> None:
    fill(photos.folder, 40)
    fill(tmp_path / "other", 8, first=100)
    meanwhile = write_meanwhile(photos, tmp_path / "other")
    report = ingest(photos.index, lambda: photos.encoder, [photos.folder], progress=meanwhile)
    assert counts(report) == {"added": 40}
    assert photos.index.count == 48
    assert photos.index.check() == []


class Forgetful(LocalWorkers):
    """Takes every content for known the first time, as one that has been overwritten since."""

    def __init__(self, load_encoder: Callable[[], Encoder]) -> None:
        super().__init__(load_encoder)
        self.asked: list[int] = []

    def embed(
        self, tasks: Sequence[Task], known: KnownContent, stop: threading.Event
    ) -> Iterator[list[Reading]]:
        self.asked.append(len(tasks))
        if len(self.asked) > 1:
            yield from super().embed(tasks, known, stop)
            return
        for task in tasks:
            yield [Reading(task, images.digest(task.file.absolute))]


def test_content_that_was_known_when_it_was_read_and_is_not_any_more_is_read_again(
    photos: Collection,
) -> None:
    fill(photos.folder, 5)
    workers = Forgetful(lambda: photos.encoder)
    seen: list[tuple[int, int]] = []
    report = ingest(photos.index, workers, [photos.folder], progress=lambda *at: seen.append(at))
    assert counts(report) == {"added": 5}
    assert workers.asked == [5, 5]
    assert seen[-1] == (5, 5)
    assert seen == sorted(seen)
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
