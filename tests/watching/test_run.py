"""Real files, real events, and times a tenth of the ordinary ones."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from searchengine.errors import IndexChangedError, IndexModelError, SearchEngineError
from searchengine.index import Index
from searchengine.ingest import Selection, ingest
from searchengine.watching import Timing, watch
from searchengine.watching.events import Events
from tests.fakes import FakeEncoder
from tests.pictures import fill, jpeg

QUICK = Timing(quiet=0.15, at_most=1.0, rescan=60, poll=0.3, retry=0.2, tick=0.02)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class Watched:
    """A watched folder of three pictures, and every run over it."""

    def __init__(self, home: Path):
        self.photos = home / "photos"
        fill(self.photos, 3)
        self.index = Index.create(home / "photos" / "index", FakeEncoder().spec)
        self.runs: list[list[str]] = []
        self.errors: list[Exception] = []
        self.raised: list[Exception] = []
        self.is_idle = False  # only counts what it should do
        self.stop = threading.Event()
        self.thread: threading.Thread | None = None

    def refresh(self, folders: list[str]) -> None:
        self.runs.append(folders)
        if self.errors:
            raise self.errors.pop(0)
        if not self.is_idle:
            ingest(self.index, FakeEncoder, folders)

    def start(self, *folders: Path, timing: Timing = QUICK) -> None:
        def target() -> None:
            try:
                paths = [str(each) for each in folders or (self.photos,)]
                watch(paths, self.refresh, self.stop, timing)
            except SearchEngineError as error:
                self.raised.append(error)

        self.thread = threading.Thread(target=target)
        self.thread.start()
        until(lambda: bool(self.runs))

    def holds(self, count: int) -> None:
        until(lambda: self.index.count == count)

    def end(self) -> None:
        self.stop.set()
        if self.thread:
            self.thread.join(5)
            assert not self.thread.is_alive()
        self.index.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    found = Watched(tmp_path)
    yield found
    found.end()


def test_pictures_that_come_change_move_and_go_are_noticed(watched: Watched) -> None:
    watched.start()
    watched.holds(3)
    new = watched.photos / "new.jpg"
    new.write_bytes(jpeg(7))
    watched.holds(4)
    ids = watched.index.files(str(watched.photos))
    new.rename(watched.photos / "renamed.jpg")
    until(lambda: "renamed.jpg" in watched.index.files(str(watched.photos)))
    assert watched.index.files(str(watched.photos))["renamed.jpg"][0] == ids["new.jpg"][0]
    (watched.photos / "renamed.jpg").unlink()
    watched.holds(3)
    (watched.photos / "0000.jpg").write_bytes(jpeg(8))
    until(lambda: watched.index.files(str(watched.photos))["0000.jpg"] != ids["0000.jpg"])
    assert not watched.raised


def test_what_was_excluded_stays_out(watched: Watched) -> None:
    fill(watched.photos / "raw", 1, first=20)
    ingest(watched.index, FakeEncoder, [watched.photos], Selection(exclude=["raw/"]))
    watched.start()
    fill(watched.photos / "raw", 1, first=30)
    fill(watched.photos, 1, first=40)
    watched.holds(4)
    assert "0040.jpg" in watched.index.files(str(watched.photos))


def test_new_folders_are_watched_too(watched: Watched) -> None:
    watched.start(timing=replace(QUICK, rescan=3))  # a rename may outrun the events
    deep = watched.photos / "a" / "b" / "c"
    fill(deep, 2, first=20)
    watched.holds(5)
    fill(deep, 2, first=30)
    watched.holds(7)
    (watched.photos / "a").rename(watched.photos / "z")
    until(lambda: "z/b/c/0020.jpg" in watched.index.files(str(watched.photos)))
    fill(watched.photos / "z" / "b" / "c", 1, first=40)
    watched.holds(8)


def test_folders_made_while_their_parent_is_being_added_leave_the_events_alive(
    watched: Watched,
) -> None:
    watched.is_idle = True
    watched.start()
    for number in range(100):  # watchdog warns of most of them, here an error in its own thread
        (watched.photos / f"{number}" / "b" / "c" / "d").mkdir(parents=True)
    time.sleep(QUICK.at_most + 0.5)
    watched.runs.clear()
    (watched.photos / "99" / "b" / "c" / "d" / "new.jpg").write_bytes(b"content")
    until(lambda: bool(watched.runs))


def test_its_own_files_and_those_that_are_no_pictures_cause_no_run(watched: Watched) -> None:
    watched.start()
    watched.holds(3)
    time.sleep(0.5)  # the index lies in the folder: what a run writes must not start another one
    assert len(watched.runs) == 1
    (watched.photos / "notes.txt").write_text("x")
    (watched.photos / ".hidden").mkdir()
    (watched.photos / ".hidden" / "a.jpg").write_bytes(jpeg(9))
    time.sleep(0.5)
    assert len(watched.runs) == 1
    (watched.photos / ".searchignore").write_text("0000.jpg")
    watched.holds(2)


def test_a_thousand_files_are_few_runs(watched: Watched) -> None:
    watched.is_idle = True
    watched.start()
    for number in range(1000):
        (watched.photos / f"burst{number}.jpg").write_bytes(b"content")
    until(lambda: len(watched.runs) > 1)
    time.sleep(0.4)
    assert len(watched.runs) <= 5


def test_a_broken_file_is_read_again_when_it_is_whole(watched: Watched) -> None:
    watched.start()
    file, content = watched.photos / "slow.jpg", jpeg(60)
    file.write_bytes(content[:500])
    until(lambda: len(watched.index.failures()) == 1)
    file.write_bytes(content)
    watched.holds(4)
    assert watched.index.failures() == []


@pytest.mark.parametrize("leaves", ["nothing", "an empty folder"])
def test_a_folder_that_is_gone_keeps_its_images_and_is_taken_up_again(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture, leaves: str
) -> None:
    shutil.move(watched.photos / "index", tmp_path / "index")
    watched.index.close()
    watched.index = Index.open(tmp_path / "index")
    watched.start()
    watched.holds(3)
    watched.photos.rename(tmp_path / "elsewhere")
    if leaves == "an empty folder":  # as a mount point is
        watched.photos.mkdir()
    until(lambda: len(caplog.records) > 0)
    time.sleep(0.7)
    assert watched.index.count == 3
    assert len(caplog.records) == 1
    message = caplog.messages[0]
    assert "not there" in message if leaves == "nothing" else "is its drive mounted" in message
    if watched.photos.exists():
        watched.photos.rmdir()
    (tmp_path / "elsewhere").rename(watched.photos)
    (watched.photos / "new.jpg").write_bytes(jpeg(70))
    watched.holds(4)
    (watched.photos / "newer.jpg").write_bytes(jpeg(71))
    watched.holds(5)


def test_a_folder_made_anew_under_its_name_is_watched(watched: Watched, tmp_path: Path) -> None:
    other = tmp_path / "other"
    fill(other, 1, first=80)
    watched.start(other)
    watched.holds(1)
    shutil.rmtree(other)
    fill(other, 2, first=81)
    watched.holds(2)
    fill(other, 1, first=90)
    watched.holds(3)


def test_a_picture_that_moves_between_two_folders_keeps_its_id(
    watched: Watched, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    fill(other, 1, first=80)
    watched.start(watched.photos, other)
    watched.holds(4)
    before = watched.index.files(str(other))["0080.jpg"][0]
    (other / "0080.jpg").rename(watched.photos / "moved.jpg")
    fill(other, 1, first=85)
    until(lambda: "moved.jpg" in watched.index.files(str(watched.photos)))
    assert watched.index.files(str(watched.photos))["moved.jpg"][0] == before


def test_an_index_that_is_written_by_another_is_tried_again(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.errors = [IndexChangedError("another process wrote")] * 3
    watched.start()
    watched.holds(3)
    assert len(watched.runs) == 4
    assert caplog.messages == ["another process wrote; trying again every 0 s"]


def test_what_waiting_cannot_mend_is_raised(watched: Watched) -> None:
    watched.errors = [IndexModelError("another model")]
    watched.start()
    until(lambda: bool(watched.raised))
    assert isinstance(watched.raised[0], IndexModelError)


@pytest.mark.parametrize("call", ["folders", "probe", "observer"])
def test_where_the_system_tells_nothing_folders_are_looked_through(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call: str
) -> None:
    real = Events._schedule

    def refuse(events: Events, handler: object, folder: str) -> object:
        if call == "probe" and folder == str(watched.photos):
            return real(events, handler, folder)  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    def no_instance(*_: object) -> None:
        raise OSError(errno.EMFILE, "inotify instance limit reached")

    if call == "observer":
        monkeypatch.setattr("watchdog.observers.Observer", no_instance)
    else:
        monkeypatch.setattr(Events, "_schedule", refuse)
    watched.start()
    watched.holds(3)
    (watched.photos / "new.jpg").write_bytes(jpeg(7))
    watched.holds(4)
    assert len(caplog.messages) == 1
    assert "looked through from time to time" in caplog.messages[0]
    limit = "instances" if call == "observer" else "watches"
    assert f"fs.inotify.max_user_{limit}" in caplog.messages[0]


def test_what_brings_no_event_is_found_at_the_next_look(watched: Watched, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    fill(linked, 1, first=80)
    os.symlink(linked, watched.photos / "link")
    watched.start(timing=Timing(quiet=0.1, rescan=0.5, tick=0.02))
    watched.holds(4)
    fill(linked, 1, first=81)
    watched.holds(5)


@pytest.fixture(autouse=True)
def warnings_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
