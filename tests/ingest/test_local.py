"""This machine as the worker: what it reads, and what it leaves as it is."""

from __future__ import annotations

import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from searchengine import images
from searchengine.errors import ImageError
from searchengine.index import Changes, NewImage
from searchengine.ingest import LocalWorkers, list_folders
from searchengine.ingest.known import Known
from searchengine.types import ImageFile, ImageInfo, Task
from tests.ingest.collection import Collection, counts
from tests.pictures import fill, jpeg


def tasks(folder: Path) -> list[Task]:
    return [Task(file) for file in images.walk(str(folder)) if isinstance(file, ImageFile)]


def index_shard(photos: Collection) -> Path:
    """A shard of one picture in the folder, and in the index as --ray would have it there."""
    fill(photos.folder, 2)
    photos.run()
    shard = photos.folder / "000.tar"
    (photos.folder / "in-shard").write_bytes(jpeg(50))
    with tarfile.open(shard, "w") as archive:
        archive.add(photos.folder / "in-shard", "a.jpg")
    digest = images.digest(str(photos.folder / "in-shard"))
    (photos.folder / "in-shard").unlink()
    vector = np.zeros(photos.index.spec.dim, np.float32)
    vector[0] = 1
    member = ImageFile(str(photos.folder), "000.tar/a.jpg", len(jpeg(50)), 1)
    image = NewImage(member, digest, ImageInfo(96, 64, "JPEG"), vector)
    photos.index.write(Changes(added=[image]))
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
