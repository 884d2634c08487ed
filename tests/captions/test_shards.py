"""WebDataset shards: pictures stay in their archive."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from searchengine.captions import read_captions
from searchengine.captions.shards import PICTURES
from searchengine.errors import CaptionError
from searchengine.images.formats import EXTENSIONS, RAW_EXTENSIONS
from searchengine.types import CaptionedImage
from tests.captions.toys import shown, write, write_tar
from tests.pictures import jpeg


def samples(first: int, count: int) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    for number in range(first, first + count):
        members[f"{number:04}.jpg"] = jpeg(number)
        members[f"{number:04}.txt"] = b"caption %d" % number
    return members


def content(image: CaptionedImage) -> bytes:
    assert image.span is not None
    offset, size = image.span
    return Path(image.path).read_bytes()[offset : offset + size]


def test_the_extensions_of_members_are_those_that_can_be_read() -> None:
    assert {f".{extension}" for extension in PICTURES} == EXTENSIONS - RAW_EXTENSIONS


def test_a_span_is_the_pictures_bytes(tmp_path: Path) -> None:
    members = {"a/" + "long" * 40 + f"/{name}": each for name, each in samples(0, 5).items()}
    shard = write_tar(tmp_path / "x.tar", members)
    captions = read_captions(shard)
    assert (len(captions.images), captions.skipped) == (5, {})
    for number, image in enumerate(captions.images):
        assert image.captions == (f"caption {number}",)
        assert (content(image), image.path) == (jpeg(number), str(shard))


@pytest.mark.parametrize(
    "tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_a_key_ends_at_the_first_dot_after_the_last_slash(tmp_path: Path, tar_format: int) -> None:
    members = {
        "v1.0/é.jpg": jpeg(1),
        "v1.0/é.seg.png": b"not the picture",
        "v1.0/é.TXT": b" a\n dog ",
        "v1.0/b.PNG": jpeg(2),
        "v1.0/b.cls": b"3",
        "v1.0/b.json": json.dumps({"caption": ["a cat", "one cat"], "url": "x"}).encode(),
    }
    with tarfile.open(tmp_path / "x.tar", "w", format=tar_format) as archive:
        archive.addfile(folder := tarfile.TarInfo("v1.0"))
        folder.type = tarfile.DIRTYPE
        for name, each in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(each)
            archive.addfile(member, io.BytesIO(each))
    captions = read_captions(tmp_path / "x.tar")
    assert shown(captions) == {"v1.0/é.jpg": ("a dog",), "v1.0/b.PNG": ("a cat", "one cat")}
    assert captions.skipped == {}
    assert [content(image) for image in captions.images] == [jpeg(1), jpeg(2)]


def test_text_goes_before_json_and_what_is_of_no_use_is_counted(tmp_path: Path) -> None:
    members = {
        "1.jpg": b"1",
        "1.json": b"not looked at",
        "1.txt": b"one",
        "2.jpg": b"2",
        "3.txt": b"three",
        "4.jpg": b"4",
        "4.json": b'{"width": 3}',
        "5.jpg": b"5",
        "5.json": b"[]",
        "6.cls": b"0",
    }
    captions = read_captions(write_tar(tmp_path / "x.tar", members))
    assert shown(captions) == {"1.jpg": ("one",)}
    assert captions.skipped == {"caption is empty": 3, "image is missing": 1}
    assert captions.examples[:2] == (
        "x.tar:2: caption is empty: 2.jpg",
        "x.tar:3: image is missing: 3.*",
    )


def test_many_shards_by_folder_or_pattern(tmp_path: Path) -> None:
    for number in range(8, 12):
        write_tar(
            tmp_path / f"shard-{number:03}.tar",
            samples(number, 1) | {"same.jpg": b"x", "same.txt": b"y"},
        )
    for source in (tmp_path, tmp_path / "shard-{008..011}.tar"):
        images = read_captions(source).images
        names = [each for n in range(8, 12) for each in (f"{n:04}.jpg", "same.jpg")]
        assert [image.name for image in images] == names
    assert len(read_captions(tmp_path / "shard-{009..010}.tar").images) == 4
    with pytest.raises(CaptionError, match=r"the shard shard-012\.tar does not exist"):
        read_captions(tmp_path / "shard-{008..999999999999}.tar")
    with pytest.raises(CaptionError, match="no usable pair"):
        read_captions(tmp_path / "shard-{011..008}.tar")


def test_of_a_shard_that_is_cut_off_what_is_whole_counts(tmp_path: Path) -> None:
    members = samples(0, 4)
    whole = write_tar(tmp_path / "whole.tar", members).read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as archive:
        ends = [each.offset_data + each.size for each in archive if each.name.endswith(".txt")]
    for cut in [*range(0, ends[-1] + 600, 97), *ends, *(end - 1 for end in ends)]:
        source = write(tmp_path, "cut.tar", whole[:cut])
        complete = sum(end <= cut for end in ends)
        if complete == 0:
            with pytest.raises(CaptionError, match=r"shard is cut off \(1\)"):
                read_captions(source)
            continue
        captions = read_captions(source)
        assert len(captions.images) == complete
        is_cut = cut < -(-ends[-1] // 512) * 512 + 512  # the first block of zeros
        assert captions.skipped == ({"shard is cut off": 1} if is_cut else {}), cut


def test_a_shard_that_is_cut_off_stops_no_other(tmp_path: Path) -> None:
    for name in ("1.tar", "2.tar", "3.tar"):
        write_tar(tmp_path / name, samples(0, 2))
    write(tmp_path, "2.tar", (tmp_path / "2.tar").read_bytes()[:700])
    captions = read_captions(tmp_path)
    assert (len(captions.images), captions.skipped) == (4, {"shard is cut off": 1})
    assert captions.examples == ("2.tar: shard is cut off: 700 bytes",)


def test_links_in_an_archive_are_no_pictures(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (("1.jpg", tarfile.SYMTYPE), ("2.jpg", tarfile.LNKTYPE)):
            link = tarfile.TarInfo(name)
            link.type, link.linkname, link.size = kind, "3.jpg", 10**9
            archive.addfile(link)
        for name, each in {"1.txt": b"x", "2.txt": b"x", "3.jpg": b"x", "3.txt": b"three"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(each)
            archive.addfile(member, io.BytesIO(each))
    captions = read_captions(tmp_path / "x.tar")
    assert (shown(captions), captions.skipped) == ({"3.jpg": ("three",)}, {"image is missing": 2})


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tgz", "x-{0..3}.tar.zst"])
def test_compressed_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "x")
    with pytest.raises(CaptionError, match=r"compressed.* plain \.tar"):
        read_captions(tmp_path / name)


def test_no_archive_at_all_or_a_compressed_one(tmp_path: Path) -> None:
    packed = gzip.compress(write_tar(tmp_path / "x.tar", samples(0, 2)).read_bytes())
    for each in (packed, b"words " * 200):
        with pytest.raises(CaptionError, match=r"x\.tar is not a plain tar archive .*; unpack"):
            read_captions(write(tmp_path, "x.tar", each))


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("1.txt", b"one\ncaf\xe9", r"x\.tar:1\.txt:2: this is not UTF-8"),
        ("1.json", b"{", r"x\.tar:1:1: this is not JSON"),
        ("1.json", b'{"caption": 3}', r"x\.tar:1: the caption is a number"),
    ],
)
def test_damaged_text_is_an_error(tmp_path: Path, member: str, text: bytes, message: str) -> None:
    source = write_tar(tmp_path / "x.tar", {"1.jpg": b"x", member: text})
    with pytest.raises(CaptionError, match=message):
        read_captions(source)
