"""`searchengine index --captions`."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.engine import SearchEngine
from searchengine.index import Index
from searchengine.ingest import Report
from tests.cli.conftest import Run, json_lines
from tests.pictures import fill

TABLE = "image,caption\n0000.jpg,a dog\n0000.jpg,two dogs\n0001.jpg,a cat\n0001.jpg,\n"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    fill(tmp_path / "photos", 3)
    return tmp_path / "photos"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "captions.csv").write_text(TABLE)
    return tmp_path / "texts" / "captions.csv"


def stored(folder: Path) -> dict[int, tuple[str, ...]]:
    with Index.open(folder) as index:
        assert index.check() == []
        return index.captions()


def test_captions_are_stored_after_indexing(run: Run, photos: Path, table: Path) -> None:
    index = photos.parent / "index"
    result = run("index", photos, "--index", index, "--captions", table, "--quiet")
    assert (result.exit_code, result.stderr.splitlines()) == (
        0,
        [
            "stored 3 captions of 2 images",
            "skipped rows: caption is empty (1); the first is captions.csv:5: caption is empty: "
            "0001.jpg",
        ],
    )
    assert stored(index) == {1: ("a dog", "two dogs"), 2: ("a cat",)}
    (line,) = json_lines(run("index", "--index", index, "--json"))
    assert not {"captions", "captioned_images"} & line.keys()
    assert stored(index) == {1: ("a dog", "two dogs"), 2: ("a cat",)}


def test_json_tells_how_many(run: Run, photos: Path, table: Path) -> None:
    table.write_text(TABLE + f"{photos.parent / 'other.jpg'},x\n")
    fill(photos.parent, 1, first=7)
    (photos.parent / "0007.jpg").rename(photos.parent / "other.jpg")
    index = photos.parent / "index"
    arguments = ("--captions", table, "--images", photos, "--json", "--quiet")
    result = run("index", photos, "--index", index, *arguments)
    (line,) = json_lines(result)
    assert (line["added"], line["captions"], line["captioned_images"]) == (3, 3, 2)
    assert "; 1 images of the file are not in the index\n" in result.stderr


def test_pictures_beside_the_captions_go_first(run: Run, photos: Path, table: Path) -> None:
    beside = table.parent / "0000.jpg"
    beside.write_bytes((photos / "0000.jpg").read_bytes())
    index = photos.parent / "index"
    arguments = ("index", photos, "--index", index, "--captions", table, "--quiet")
    assert "stored 0 captions of 0 images; 1 images" in run(*arguments).stderr
    assert stored(index) == {}
    assert "stored 3 captions of 2 images\n" in run(*arguments, "--images", photos).stderr


def test_without_one_folder_the_images_must_be_named(run: Run, photos: Path, table: Path) -> None:
    index = photos.parent / "index"
    fill(photos.parent / "more", 1, first=9)
    several = ("index", photos, photos.parent / "more", "--index", index, "--captions", table)
    result = run(*several)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "--images" in result.stderr
    assert not index.exists()
    assert run(*several, "--images", photos).exit_code == 0
    assert run("index", "--index", index, "--captions", table, "--images", photos).exit_code == 0


def test_an_interrupted_run_leaves_them_to_the_next(
    run: Run, photos: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = photos.parent / "index"
    arguments = ("index", photos, "--index", index, "--captions", table, "--quiet")
    assert run(*arguments[:4], "--quiet").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(SearchEngine, "index", lambda *_, **__: Report(interrupted=True))
        result = run(*arguments)
    assert (result.exit_code, stored(index)) == (130, {})
    assert "stored" not in result.stderr
    assert run(*arguments).exit_code == 0
    assert stored(index) == {1: ("a dog", "two dogs"), 2: ("a cat",)}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("no.csv", None, "does not exist"),
        ("x.csv", "photo,words\n0000.jpg,x\n", "x.csv:1: the header lacks a column"),
        ("x.csv", "image,caption\nno.jpg,x\n", "pictures were looked for in"),
    ],
)
def test_captions_of_no_use_are_one_line_before_anything_is_indexed(
    run: Run, photos: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (photos.parent / name).write_text(text)
    index = photos.parent / "index"
    result = run("index", photos, "--index", index, "--captions", photos.parent / name)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert message in result.stderr
    assert not index.exists()


def test_images_without_captions_is_a_usage_error(run: Run, photos: Path) -> None:
    result = run("index", photos, "--index", photos.parent / "index", "--images", photos)
    assert result.exit_code == 2
    assert "--captions" in result.stderr
