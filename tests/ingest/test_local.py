"""This machine as the worker: what it reads, and what it leaves as it is."""

from __future__ import annotations

import io
import tarfile
import threading
from pathlib import Path

import pytest

from searchengine import images
from searchengine.errors import ImageError
from searchengine.ingest import LocalWorkers, list_folders
from searchengine.ingest.known import Known
from searchengine.types import ImageFile, Task
from tests.fakes import FakeEncoder
from tests.ingest.collection import Collection, counts, write_as_cluster
from tests.pictures import fill, jpeg


def tasks(folder: Path) -> list[Task]:
    return [Task(file) for file in images.walk(str(folder)) if isinstance(file, ImageFile)]


def index_shard(photos: Collection) -> Path:
    """A shard of one picture in the folder, and in the index as --ray would have it there."""
    fill(photos.folder, 2)
    photos.run()
    shard = photos.folder / "000.tar"
    with tarfile.open(shard, "w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = len(jpeg(50))
        archive.addfile(member, io.BytesIO(jpeg(50)))
    write_as_cluster(photos.index, str(photos.folder), "000.tar/a.jpg", jpeg(50))
    return shard


def test_pictures_inside_of_a_shard_stay_until_the_shard_is_gone(
    photos: Collection, caplog: pytest.LogCaptureFixture
) -> None:
    shard = index_shard(photos)
    assert counts(photos.run()) == {"unchanged": 2}
    assert "000.tar/a.jpg" in photos.paths()
    assert caplog.messages == [
        f"pictures inside of tar archives below {photos.folder} stay as they are (1); --ray reads "
        "them"
    ]
    shard.unlink()
    assert counts(photos.run()) == {"unchanged": 2, "removed": 1}


def test_a_copy_of_a_picture_inside_of_a_shard_has_not_moved_out_of_it(photos: Collection) -> None:
    index_shard(photos)
    (photos.folder / "copy.jpg").write_bytes(jpeg(50))
    assert counts(photos.run()) == {"added": 1, "unchanged": 2}
    assert photos.encoder.encoded == 0
    assert {"copy.jpg", "000.tar/a.jpg"} <= photos.paths()


def test_an_address_is_no_folder_of_this_machine() -> None:
    with pytest.raises(ImageError, match=r"s3://bucket/photos .*--ray"):
        list_folders(["s3://bucket/photos"])


def test_what_is_behind_an_address_is_out_of_sight(tmp_path: Path) -> None:
    fill(tmp_path / "a.tar", 1)  # a folder
    workers = LocalWorkers(FakeEncoder)
    assert workers.out_of_sight("s3://bucket/photos", ["1.jpg"]) == {"1.jpg"}
    assert workers.out_of_sight(str(tmp_path), ["a.tar/0000.jpg", "a.tar/gone.jpg"]) == set()


def test_copies_are_embedded_once(photos: Collection) -> None:
    fill(photos.folder, 3)
    (photos.folder / "copy.jpg").write_bytes(jpeg(0))
    workers = LocalWorkers(lambda: photos.encoder)
    known = Known(photos.index, {}.keys())
    [batch] = workers.embed(tasks(photos.folder), known, threading.Event())
    assert photos.encoder.encoded == 3
    assert len({reading.digest for reading in batch}) == 3
    assert all(reading.info and reading.embedding is not None for reading in batch)


def test_known_content_is_hashed_only(photos: Collection) -> None:
    fill(photos.folder, 3)
    photos.run()
    photos.encoder.encoded = 0
    workers = LocalWorkers(lambda: photos.encoder)
    known = Known(photos.index, {}.keys())
    [batch] = workers.embed(tasks(photos.folder), known, threading.Event())
    assert photos.encoder.encoded == 0
    assert all(reading.digest and reading.embedding is None for reading in batch)


def test_known_contents_are_told_by_their_size(photos: Collection) -> None:
    fill(photos.folder, 3)
    photos.run()
    size = (photos.folder / "0001.jpg").stat().st_size
    digest = images.digest(str(photos.folder / "0001.jpg"))
    known = Known(photos.index, {b"fresh": None}.keys())
    assert digest in known.of_sizes({size, 3})[size]
    assert known.of_sizes({3}) == {}
    assert known.among([digest, b"fresh", b"other"]) == {digest, b"fresh"}
    assert known.holds(size, digest)
    assert not known.holds(3, digest)
