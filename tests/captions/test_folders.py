"""A folder of pictures with a text beside each."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from searchengine.captions import read_captions
from searchengine.errors import CaptionError
from tests.captions.toys import shown, write


def test_every_line_of_a_sidecar_is_a_caption(photos: Path) -> None:
    write(photos, "a.txt", "\ufeffa dog\r\n\n  two   dogs\na dog\n")
    write(photos, "b.TXT", "a cat")
    write(photos, "sub/c.txt", "a cow")
    captions = read_captions(photos)
    assert shown(captions) == {
        "a.jpg": ("a dog", "two dogs"),
        "b.jpg": ("a cat",),
        "sub/c.jpg": ("a cow",),
    }
    assert captions.images[2].path == str(photos / "sub" / "c.jpg")
    assert captions.examples == ("a.txt:4: row repeats: a.jpg",)


def test_a_sidecar_belongs_to_every_picture_of_its_stem(photos: Path) -> None:
    for name in ("a.PNG", "a.json", "a", "a.b.webp"):
        write(photos, name, "x")
    write(photos, "a.txt", "a dog")
    write(photos, "a.b.txt", "a dot")
    assert shown(read_captions(photos)) == {
        "a.b.webp": ("a dot",),
        "a.PNG": ("a dog",),
        "a.jpg": ("a dog",),
    }


def test_what_is_of_no_use_is_counted(photos: Path) -> None:
    write(photos, "a.txt", "a dog")
    write(photos, "b.txt", " \n\n")
    write(photos, "sub/readme.txt", "words\nand more words")
    (photos / "d.jpg").symlink_to("nowhere")
    write(photos, "d.txt", "x")
    captions = read_captions(photos)
    assert captions.skipped == {"caption is empty": 1, "image is missing": 2}
    assert captions.examples == (
        "b.txt:1: caption is empty: b.jpg",
        "d.txt:1: image is missing: d.jpg",
        "sub/readme.txt: image is missing: readme.*",
    )


def test_dot_files_are_skipped(photos: Path) -> None:
    write(photos, "a.txt", "a dog")
    write(photos, "._a.txt", b"\x00\x05\xff")
    write(photos, ".trash/b.txt", b"\xff")
    assert shown(read_captions(photos)) == {"a.jpg": ("a dog",)}


def test_pictures_may_be_in_a_folder_of_their_own(photos: Path, tmp_path: Path) -> None:
    write(tmp_path, "texts/a.txt", "a dog")
    write(tmp_path, "texts/sub/c.txt", "a cow")
    write(tmp_path, "texts/gone/c.txt", "x")
    captions = read_captions(tmp_path / "texts", photos)
    assert shown(captions) == {"a.jpg": ("a dog",), "sub/c.jpg": ("a cow",)}
    with pytest.raises(CaptionError, match=r"image is missing \(3\).*--images"):
        read_captions(tmp_path / "texts")


def test_a_sidecar_that_is_not_utf8(photos: Path) -> None:
    write(photos, "sub/c.txt", b"fine\ncaf\xe9\n")
    with pytest.raises(CaptionError, match=r"sub/c\.txt:2: this is not UTF-8"):
        read_captions(photos)


def test_a_folder_that_cannot_be_listed(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(photos, "a.txt", "a dog")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # the superuser may list everything
    with pytest.raises(CaptionError, match=r"cannot list the folder .*sub: Permission denied"):
        read_captions(photos)


def test_names_that_are_not_utf8(photos: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        write(photos, f"{name}.jpg", "x")
    except OSError:
        pytest.skip("this file system insists on UTF-8")
    write(photos, f"{name}.txt", "one\none")
    captions = read_captions(photos)
    assert captions.images[0].path == str(photos / f"{name}.jpg")
    assert captions.examples == ("caf?.txt:2: row repeats: caf?.jpg",)
