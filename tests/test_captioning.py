"""Captions find their images in an index, whatever path leads there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from searchengine import captioning
from searchengine.captioning import Stored, captioned_images, store_captions
from searchengine.captions import Captions
from searchengine.index import Index
from searchengine.ingest import ingest
from searchengine.types import CaptionedImage
from tests.fakes import FakeEncoder
from tests.pictures import fill, jpeg

ENCODER = FakeEncoder()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    fill(tmp_path / "photos", 6)
    return tmp_path / "photos"


@pytest.fixture
def index(tmp_path: Path, photos: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", ENCODER.spec) as index:
        ingest(index, lambda: ENCODER, [photos])
        yield index


def captions(**texts: tuple[str, ...]) -> Captions:
    """Captions of images by their absolute path."""
    images = [CaptionedImage("any name", each, path) for path, each in texts.items()]
    return Captions(tuple(images), {}, ())


def test_images_are_found_by_their_path(index: Index, photos: Path) -> None:
    named = {str(photos / "0003.jpg"): ("b", "a"), f"{photos}/../photos/0001.jpg": ("c",)}
    beyond = {str(photos / "0009.jpg"): ("x",), str(photos.parent): ("x",)}
    assert store_captions(index, captions(**named, **beyond)) == Stored(2, 3, 2)
    assert captioned_images(index) == [
        CaptionedImage("0001.jpg", ("c",), str(photos / "0001.jpg")),
        CaptionedImage("0003.jpg", ("b", "a"), str(photos / "0003.jpg")),
    ]
    assert index.check() == []


def test_links_lead_to_the_image_from_either_side(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "one.jpg").symlink_to(photos / "0001.jpg")
    (tmp_path / "album" / "own.jpg").write_bytes(jpeg(99))
    with Index.create(tmp_path / "of links", ENCODER.spec) as index:
        ingest(index, lambda: ENCODER, [tmp_path / "album"])
        both = captions(
            **{
                str(photos / "0001.jpg"): ("behind the link",),
                str(tmp_path / "link" / "0001.jpg"): ("by two links",),
                str(photos / "0002.jpg"): ("x",),
            }
        )
        assert store_captions(index, both) == Stored(1, 2, 1)
        assert captioned_images(index)[0].captions == ("behind the link", "by two links")
    with Index.create(tmp_path / "index", ENCODER.spec) as index:
        ingest(index, lambda: ENCODER, [tmp_path / "link"])
        real = captions(**{str(photos / "0002.jpg"): ("a dog",)})
        assert store_captions(index, real) == Stored(1, 1, 0)


def test_a_picture_in_an_archive_is_unknown(index: Index, photos: Path) -> None:
    packed = CaptionedImage("1.jpg", ("x",), str(photos / "0001.jpg"), (0, 10))
    assert store_captions(index, Captions((packed,), {}, ())) == Stored(0, 0, 1)
    assert captioned_images(index) == []


def test_what_has_not_changed_is_not_written(
    index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captioning, "_TOGETHER", 2)
    paths = [str(path) for path in sorted(photos.iterdir())]
    first = captions(**dict.fromkeys(paths, ("a", "b")))
    written: list[int] = []
    write = Index.write

    def count(self: Index, changes: object) -> None:
        written.append(len(changes.captions))  # type: ignore[attr-defined]
        write(self, changes)  # type: ignore[arg-type]

    monkeypatch.setattr(Index, "write", count)
    assert store_captions(index, first) == Stored(6, 12, 0)
    assert written == [2, 2, 2]
    snapshot = list(index.folder.glob("*.faiss"))
    assert store_captions(index, first) == Stored(6, 12, 0)
    assert (len(written), list(index.folder.glob("*.faiss"))) == (3, snapshot)
    assert store_captions(index, captions(**{paths[2]: ("b", "a")})) == Stored(1, 2, 0)
    assert [image.captions for image in captioned_images(index)] == (
        [("a", "b")] * 2 + [("b", "a")] + [("a", "b")] * 3
    )
    (newer,) = index.folder.glob("*.faiss")
    assert newer not in snapshot
    assert index.check() == []


def test_changed_pictures_keep_their_captions_and_removed_ones_lose_them(
    index: Index, photos: Path
) -> None:
    store_captions(index, captions(**{str(photos / f"000{n}.jpg"): (f"{n}",) for n in range(3)}))
    (photos / "0000.jpg").write_bytes(jpeg(50))
    (photos / "0001.jpg").unlink()
    (photos / "0002.jpg").rename(photos / "moved.jpg")
    report = ingest(index, lambda: ENCODER, [photos])
    assert (report.changed, report.removed, report.moved) == (1, 1, 1)
    found = {image.name: image.captions for image in captioned_images(index)}
    assert found == {"0000.jpg": ("0",), "moved.jpg": ("2",)}
    assert index.check() == []
