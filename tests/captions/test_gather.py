"""What is of no use is counted and shown; nothing usable at all is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.captions import read_captions
from searchengine.errors import CaptionError
from tests.captions.toys import as_table, write


def test_rows_of_no_use_are_counted_and_the_first_few_shown(photos: Path) -> None:
    rows = [
        ("a.jpg", "a dog"),
        ("./a.jpg", " a \n dog"),
        ("sub/../a.jpg", "a dog"),
        ("no.jpg", ""),
        ("a.jpg", " "),
        *[("no.jpg", "x")] * 5,
    ]
    captions = read_captions(write(photos, "x.csv", as_table(rows, ",")))
    assert captions.skipped == {"row repeats": 2, "image is missing": 6, "caption is empty": 1}
    assert captions.examples == (
        "x.csv:3: row repeats: ./a.jpg",
        "x.csv:5: row repeats: sub/../a.jpg",
        "x.csv:6: image is missing: no.jpg",
        "x.csv:7: caption is empty: a.jpg",
        "x.csv:8: image is missing: no.jpg",
    )


def test_all_images_missing_names_the_option_that_mends_it(photos: Path, tmp_path: Path) -> None:
    source = write(tmp_path, "x.csv", as_table([("a.jpg", "a dog"), ("b.jpg", "")], ","))
    with pytest.raises(CaptionError) as error:
        read_captions(source)
    assert str(error.value) == (
        f"{source} holds no usable pair of an image and a caption; skipped 2 rows: image is "
        "missing (2); the first is x.csv:2: image is missing: a.jpg; pictures were looked for in "
        f"{tmp_path}: name their folder with --images"
    )
    assert len(read_captions(source, photos).images) == 1


def test_all_captions_empty_does_not_name_it(photos: Path) -> None:
    source = write(photos, "x.csv", as_table([("a.jpg", ""), ("b.jpg", " ")], ","))
    with pytest.raises(CaptionError, match=r"caption is empty \(2\)") as error:
        read_captions(source)
    assert "--images" not in str(error.value)


def test_a_name_that_no_file_can_have_is_a_missing_image(photos: Path) -> None:
    names = ["a.jpg", "a.jpg\0", "x" * 5000, "a.jpg/b"]
    source = write(photos, "x.csv", as_table([(name, "a dog") for name in names], ","))
    captions = read_captions(source)
    assert (len(captions.images), captions.skipped) == (1, {"image is missing": 3})
    assert all(len(example) <= 300 for example in captions.examples)
