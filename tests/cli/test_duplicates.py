"""`searchengine duplicates`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from searchengine.cli.output import in_units
from tests.cli.conftest import Run, json_lines
from tests.fakes import FakeEncoder
from tests.pictures import fill, picture


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with an exact and a near copy, and their `index/`."""
    from searchengine.index import Index
    from searchengine.ingest import ingest

    home = tmp_path_factory.mktemp("home")
    photos = home / "photos"
    fill(photos, 5)
    shutil.copy(photos / "0001.jpg", photos / "1 & <copy>.jpg")
    picture(2).resize((48, 32)).save(photos / "small.jpg", quality=95)
    encoder = FakeEncoder()
    with Index.create(home / "index", encoder.spec) as index:
        ingest(index, lambda: encoder, [photos])
    return home


def names(answer: dict) -> list[str]:
    return [Path(image["path"]).name for image in answer["images"]]


def test_json_has_a_line_for_every_group(run: Run, home: Path) -> None:
    result = run("duplicates", "--index", home / "index", "--json")
    exact, near = json_lines(result)
    assert (exact["kind"], names(exact)) == ("exact", ["0001.jpg", "1 & <copy>.jpg"])
    assert exact["similarity"] == 1.0
    assert (near["kind"], names(near)) == ("near", ["0002.jpg", "small.jpg"])
    assert 0.9 < near["similarity"] <= 1
    first = near["images"][0]
    assert first.keys() == {"id", "path", "size", "width", "height", "taken_at"}
    assert first["size"] == Path(first["path"]).stat().st_size
    assert (first["width"], first["height"], first["taken_at"]) == (96, 64, None)


def test_text_says_what_the_copies_take(run: Run, home: Path) -> None:
    result = run("duplicates", "--kind", "near", "--index", home / "index")
    photos = home / "photos"
    size = (photos / "small.jpg").stat().st_size
    assert result.stdout.splitlines() == [
        f"near: 2 pictures, copies take {in_units(size)}",
        f"  {photos / '0002.jpg'}",
        f"  {photos / 'small.jpg'}",
    ]
    assert result.stderr == (
        f"1 near group; besides the first of each, 1 picture takes {in_units(size)}\n"
    )


def test_kinds_can_be_combined_and_none_found_is_one_line(run: Run, home: Path) -> None:
    both = run("duplicates", "--kind", "near", "--kind", "exact", "--index", home / "index")
    assert both.stdout.count("pictures, copies take") == 2
    none = run("duplicates", "--kind", "burst", "--index", home / "index")
    assert (none.exit_code, none.stdout) == (0, "")
    assert none.stderr == "no duplicates among 7 images\n"
    assert run("duplicates", "--kind", "other", "--index", home / "index").exit_code == 2


def test_an_empty_index_says_so(run: Run, tmp_path: Path) -> None:
    from searchengine.index import Index

    Index.create(tmp_path / "index", FakeEncoder().spec).close()
    result = run("duplicates", "--index", tmp_path / "index")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.splitlines() == [
        "the index is empty; add pictures with: searchengine index FOLDER"
    ]


def test_no_index_is_one_error(run: Run, tmp_path: Path) -> None:
    result = run("duplicates", "--index", tmp_path / "none")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_page_shows_every_group_and_carries_its_pictures(
    run: Run, home: Path, tmp_path: Path
) -> None:
    before = sorted(path.name for path in (home / "photos").iterdir())
    page = tmp_path / "groups.html"
    result = run("duplicates", "--html", page, "--index", home / "index")
    assert result.exit_code == 0
    assert str(page) in result.stderr
    text = page.read_text(encoding="utf-8")
    assert text.count("<h2>") == 2
    assert text.count("data:image/jpeg;base64,") == 4
    assert "1 &amp; &lt;copy&gt;.jpg" in text
    assert "<copy>" not in text
    assert sorted(path.name for path in (home / "photos").iterdir()) == before


def test_page_shows_why_a_picture_is_missing(run: Run, home: Path, tmp_path: Path) -> None:
    away = home / "photos" / "small.jpg"
    kept = away.rename(home / "small.jpg")
    try:
        run("duplicates", "--html", tmp_path / "page.html", "--index", home / "index")
    finally:
        kept.rename(away)
    assert "no such file" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_page_that_cannot_be_written_is_one_error(run: Run, home: Path) -> None:
    result = run("duplicates", "--html", home / "no" / "page.html", "--index", home / "index")
    assert result.exit_code == 1
    assert "name another file" in result.stderr


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (3_140_000, "3.1 MB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_sizes_as_people_say_them(size: int, shown: str) -> None:
    assert in_units(size) == shown
