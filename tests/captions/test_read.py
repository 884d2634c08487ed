"""Sources are recognised, all formats say the same, and nothing but a CaptionError escapes."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine.captions import read_captions
from searchengine.errors import CaptionError
from tests.captions.toys import as_coco, as_json_lines, as_table, shown, write, write_tar
from tests.pictures import jpeg

WRITERS = {
    "captions.csv": lambda rows: as_table(rows, ","),
    "captions.tsv": lambda rows: as_table(rows, "\t"),
    "captions.jsonl": as_json_lines,
    "captions.json": as_coco,
    "some-captions.json": lambda rows: as_coco(rows, unknown=["missing.jpg"]),
}
NAMES = ["a.jpg", "b.jpg", "sub/c.jpg", "./a.jpg", "missing.jpg", "sub", ""]
texts = st.sampled_from(
    ["", " ", "a dog", "a  dog\n", '"Stop", it says', "\ta\u00a0dog"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rows = st.lists(st.tuples(st.sampled_from(NAMES), texts), min_size=1, max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows)
def test_all_formats_say_the_same(photos: Path, rows: list[tuple[str, str]]) -> None:
    wanted: dict[str, list[str]] = {}
    skipped: Counter[str] = Counter()
    for name, text in rows:
        file, caption = os.path.normpath(name), " ".join(text.split())
        if file not in ("a.jpg", "b.jpg", "sub/c.jpg"):
            skipped["image is missing"] += 1
        elif not caption:
            skipped["caption is empty"] += 1
        elif caption in wanted.setdefault(file, []):
            skipped["row repeats"] += 1
        else:
            wanted[file].append(caption)
    wanted = {file: captions for file, captions in wanted.items() if captions}
    for name, text_of in WRITERS.items():
        source = write(photos, name, text_of(rows))
        if not wanted:
            with pytest.raises(CaptionError, match="no usable pair"):
                read_captions(source)
            continue
        captions = read_captions(source)
        found = [(image.path, list(image.captions)) for image in captions.images]
        assert found == [(str(photos / file), wanted[file]) for file in wanted], name
        assert captions.skipped == skipped, name


def test_images_come_in_order_of_first_appearance(photos: Path) -> None:
    rows = [("b.jpg", "one"), ("sub/c.jpg", "two"), ("b.jpg", "three"), ("a.jpg", "four")]
    for name, text_of in WRITERS.items():
        captions = read_captions(write(photos, name, text_of(rows)))
        assert list(shown(captions).items()) == [
            ("b.jpg", ("one", "three")),
            ("sub/c.jpg", ("two",)),
            ("a.jpg", ("four",)),
        ]


SOUND = {
    "x.csv": b"image,caption\na.jpg,a dog\n",
    "x.tsv": b"image\tcaption\na.jpg\ta dog\n",
    "x.txt": b"a.jpg#0\ta dog\n",
    "x.jsonl": b'{"image": "a.jpg", "caption": "a dog"}\n',
    "x.json": as_coco([("a.jpg", "a dog")]).encode(),
    "a.txt": b"a dog\n",
}


@pytest.mark.parametrize("name", [*SOUND, "x.tar"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=80) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")),
    st.integers(0, 4000),
    st.booleans(),
)
def test_garbage_raises_nothing_but_a_caption_error(
    photos: Path, name: str, garbage: bytes, place: int, replaces: bool
) -> None:
    sound = SOUND.get(name) or shard(photos)
    place = min(place, len(sound))
    end = place + len(garbage) * replaces
    source = write(photos, name, sound[:place] + garbage + sound[end:])
    try:
        captions = read_captions(photos if name == "a.txt" else source)
    except CaptionError:
        return
    assert all(each for image in captions.images for each in image.captions)


def shard(folder: Path) -> bytes:
    members = {"1.jpg": jpeg(1, (8, 8)), "1.txt": b"a dog", "2.jpg": b"x", "2.json": b"{}"}
    return write_tar(folder / "sound.tar", members).read_bytes()


@pytest.mark.parametrize("name", SOUND)
def test_an_empty_source_is_an_error(photos: Path, name: str) -> None:
    for content in ("", "\n \n"):
        source = write(photos, name, content)
        with pytest.raises(CaptionError, match=r"is empty|not JSON|no usable"):
            read_captions(photos if name == "a.txt" else source)


def test_a_source_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path, "captions.xlsx", "PK")
    os.mkfifo(tmp_path / "pipe.csv")
    for name, reason in {
        "no.csv": "does not exist",
        "captions.xlsx": "no known kind",
        "pipe.csv": "not a regular file",
        "empty": "no usable pair",
    }.items():
        with pytest.raises(CaptionError, match=reason):
            read_captions(tmp_path / name)


def test_a_source_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, "captions.csv", "image,caption\n")

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "open", refuse)  # the superuser may read everything
    with pytest.raises(CaptionError, match=r"cannot read .*captions\.csv: Permission denied"):
        read_captions(source)


def test_images_must_be_a_folder(photos: Path) -> None:
    source = write(photos, "captions.csv", SOUND["x.csv"])
    with pytest.raises(CaptionError, match="not a folder"):
        read_captions(source, source)


def test_names_are_below_images_or_beside_the_source_or_absolute(
    photos: Path, tmp_path: Path
) -> None:
    table = f"image,caption\na.jpg,one\n{photos / 'b.jpg'},two\n../photos/sub/c.jpg,three\n"
    inside = read_captions(write(photos, "captions.csv", table))
    outside = read_captions(write(tmp_path, "texts/captions.csv", table), photos)
    assert [image.path for image in inside.images] == [
        str(photos / name) for name in ("a.jpg", "b.jpg", "sub/c.jpg")
    ]
    assert outside == inside
    assert outside.skipped == {}


def test_paths_are_absolute_from_any_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(photos, "captions.csv", SOUND["x.csv"])
    monkeypatch.chdir(photos.parent)
    for source in (Path("photos/captions.csv"), Path("../") / photos.parent.name / "photos"):
        write(photos, "a.txt", "a dog")
        assert read_captions(source).images[0].path == str(photos / "a.jpg")


def test_sources_are_only_read(photos: Path) -> None:
    for name, content in SOUND.items():
        write(photos, name, content)
    shard(photos)
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    for path in [*before, photos]:
        with contextlib.suppress(CaptionError):
            read_captions(path)
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before


def test_many_rows_look_at_each_image_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: Counter[str] = Counter()
    isfile = os.path.isfile
    monkeypatch.setattr(os.path, "isfile", lambda path: looks.update([path]) or isfile(path))
    rows = "".join(f"a.jpg,dog {number}\nno.jpg,x\n" for number in range(10_000))
    captions = read_captions(write(photos, "captions.csv", "image,caption\n" + rows))
    assert (len(captions.images[0].captions), captions.skipped["image is missing"]) == (10_000,) * 2
    assert set(looks.values()) == {1}
    with tempfile.TemporaryDirectory() as empty, pytest.raises(CaptionError, match="20000 rows"):
        read_captions(photos / "captions.csv", Path(empty))
