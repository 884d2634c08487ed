"""Which files a run takes, and what it never takes for deleted."""

from __future__ import annotations

import os
import shutil
import threading

import pytest

from searchengine.errors import ImageError
from searchengine.ingest import Selection, ingest
from searchengine.types import Scope
from tests.ingest.collection import Collection, counts
from tests.pictures import fill


def test_refreshing_a_sub_folder_leaves_the_rest_alone(photos: Collection) -> None:
    fill(photos.folder / "a", 2)
    fill(photos.folder / "b", 2, first=10)
    photos.run()
    shutil.rmtree(photos.folder / "b")
    fill(photos.folder / "a", 1, first=20)
    report = ingest(photos.index, lambda: photos.encoder, [photos.folder / "a"])
    assert counts(report) == {"added": 1, "unchanged": 2}
    assert len(photos.paths()) == 5


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
