"""Captions in the catalog: written with a batch, in order, and gone with their image."""

from __future__ import annotations

import pytest

from searchengine.catalog import Catalog
from searchengine.errors import IndexFolderError
from searchengine.types import Failure, ImageFile
from tests.catalog.toys import ROOT, apply, files, picture


@pytest.fixture
def captioned(catalog: Catalog) -> Catalog:
    apply(catalog, added=[picture("a"), picture("b"), picture("c")])
    apply(catalog, captions={3: ("z", "a", "m"), 1: ("a dog",)})
    return catalog


def captions(catalog: Catalog) -> dict[int, tuple[str, ...]]:
    with catalog.reading() as rows:
        return rows.captions()


def test_captions_keep_their_order_and_come_by_id(captioned: Catalog) -> None:
    assert list(captions(captioned).items()) == [(1, ("a dog",)), (3, ("z", "a", "m"))]


def test_new_captions_replace_those_of_their_image_only(captioned: Catalog) -> None:
    apply(captioned, captions={3: ("b", "a", "b", "\0 \U0010fe80 🐕")})
    assert captions(captioned) == {1: ("a dog",), 3: ("b", "a", "\0 \U0010fe80 🐕")}
    apply(captioned, captions={3: ()})
    assert captions(captioned) == {1: ("a dog",)}


def test_changed_and_moved_images_keep_them(captioned: Catalog) -> None:
    before = captions(captioned)
    apply(captioned, changed={1: picture("a", b"new")}, moved={3: ImageFile(ROOT, "d", 1, 1)})
    assert captions(captioned) == before


def test_a_removed_image_takes_its_captions_along(captioned: Catalog) -> None:
    apply(captioned, removed=[1])
    apply(captioned, failed=[Failure(ImageFile(ROOT, "c", 1, 1), "cut short")])
    assert captions(captioned) == {}
    with captioned.reading() as rows:
        assert rows.problems() == []


def test_they_are_part_of_the_batch(captioned: Catalog) -> None:
    before = captions(captioned)
    for no_image in (99, 1):
        with pytest.raises(IndexFolderError, match=r"(?i)foreign key"):
            apply(captioned, added=[picture("d")], removed=[1], captions={no_image: ("x",)})
    assert captions(captioned) == before
    assert "d" not in files(captioned)


def test_more_captions_than_one_statement_takes(catalog: Catalog) -> None:
    apply(catalog, added=[picture(f"{n}") for n in range(2000)])
    wanted = {n: (f"{n}", "x") for n in range(1, 2001)}
    apply(catalog, captions=wanted)
    assert captions(catalog) == wanted
