"""Filters find what a plain look at every image would."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchengine.catalog import Catalog, Changes, NewImage
from searchengine.errors import QueryError
from searchengine.filters import Circle, Filters
from searchengine.types import ImageFile, ImageInfo, IndexedImage
from tests.catalog.toys import SPEC
from tests.postgres import new_place

ROOTS = ("/photos", "/media/Holiday")
FOLDERS = [
    "",
    "Holiday",
    "Holiday2",
    "2024/Holiday",
    "100%_x",
    "100abx",
    "caf\udce9",
    "a\U0010fe80",
]
OTHER_FOLDERS = [
    *("holiday", "100%", "photos", "media", "/", "/photos", "/photos/Holiday/", "/photo"),
    *("/media/Holiday/Holiday", ".", "..", "./Holiday", "/photos/100%_x", "Holiday/Holiday"),
]
CAMERAS = [None, "Canon EOS 5D", "NIKON D_90", "Nikon D%90", "Zürich 1"]
DATES = [None, "2024-07-01T00:00:00", "2024-06-30T23:59:59+02:00", "2024-07-01T00:00:00-11:00"]
PLACES = [(90.0, 0.0), (-90.0, 50.0), (0.0, 180.0), (0.0, -180.0), (89.9, 170.0), (0.0, 0.0)]


def make(number: int, rng: random.Random) -> NewImage:
    folder = rng.choice(FOLDERS)
    spread = (rng.uniform(-90, 90), rng.uniform(-180, 180))
    info = ImageInfo(
        rng.choice([100, 640, 1000]),
        rng.choice([100, 640]),
        rng.choice(["JPEG", "PNG", "HEIF"]),
        rng.choice([*DATES, f"20{rng.randint(0, 30):02}-01-15T12:00:00"]),
        rng.choice(CAMERAS),
        rng.choice([None, "50mm f/1.8"]),
        *(rng.choice([(None, None), rng.choice(PLACES), spread, spread])),
    )
    path = f"{folder}/{number}.jpg" if folder else f"{number}.jpg"
    file = ImageFile(ROOTS[number % 2], path, rng.choice([10, 10**6, 2**40]), 1)
    return NewImage(file, bytes([number % 256]), info, np.array([0.6, 0.8], np.float32))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    path = new_place(tmp_path_factory.mktemp("many"))
    catalog = Catalog.create(path, SPEC, {"stamp": "first"})
    rng = random.Random(7)
    with catalog.writing() as rows:
        for root in ROOTS:
            rows.add_root(root)
        added = [make(number, rng) for number in range(300)]
        rows.apply(Changes(added=added, captions=dict.fromkeys(range(1, 300, 3), ("x", "y"))))
    yield catalog
    catalog.close()


@pytest.fixture(scope="module")
def images(many: Catalog) -> dict[int, IndexedImage]:
    with many.reading() as rows:
        return rows.images(range(1, 301))


def lower(text: str | None) -> bytes:
    """Only ASCII letters have a lower case here."""
    return (text or "").encode("utf-8", "surrogateescape").lower()


def kilometres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Along the great circle, by the angle between two vectors: not the formula of the code."""
    x, y = (
        (
            math.cos(math.radians(latitude)) * math.cos(math.radians(longitude)),
            math.cos(math.radians(latitude)) * math.sin(math.radians(longitude)),
            math.sin(math.radians(latitude)),
        )
        for latitude, longitude in (a, b)
    )
    across = math.dist(x, y) / 2
    return 2 * 6371.0088 * math.asin(min(across, 1))


def is_in(image: IndexedImage, folder: str) -> bool:
    if PurePosixPath(os.path.abspath(folder)) in PurePosixPath(image.path).parents:
        return True
    if folder.startswith(("/", ".")):
        return False
    inside = (Path(image.file.root).name, *PurePosixPath(image.file.path).parent.parts)
    wanted = PurePosixPath(folder).parts
    return any(inside[start : start + len(wanted)] == wanted for start in range(len(inside)))


def passes(image: IndexedImage, has_caption: bool, wanted: Filters) -> bool:
    info, local = image.info, (image.info.taken_at or "")[:19]
    place = (info.latitude, info.longitude)
    return all(
        (
            wanted.after is None or (local and local >= wanted.after),
            wanted.before is None or (local and local < wanted.before),
            wanted.camera is None or lower(wanted.camera) in lower(info.camera),
            wanted.lens is None or lower(wanted.lens) in lower(info.lens),
            wanted.near is None
            or (
                None not in place
                and kilometres((wanted.near.latitude, wanted.near.longitude), place)  # type: ignore[arg-type]
                <= wanted.near.km
            ),
            wanted.folder is None or is_in(image, wanted.folder),
            not wanted.types or info.format in wanted.types,
            wanted.min_bytes is None or image.file.size >= wanted.min_bytes,
            wanted.min_width is None or info.width >= wanted.min_width,
            wanted.orientation is None
            or wanted.orientation
            == ("square", "landscape", "portrait")[
                (info.width > info.height) - (info.width < info.height)
            ],
            wanted.captioned is None or has_caption == wanted.captioned,
        )
    )


def matching(catalog: Catalog, wanted: Filters) -> list[int]:
    with catalog.reading() as rows:
        found = rows.matching(wanted)
    assert found.dtype == np.int64
    return found.tolist()


dates = st.none() | st.sampled_from(
    ["2024-07-01T00:00:00", "2024-06-30T23:59:59", "2010-01-15T12:00:00", "2024-07-01T00:00:01"]
)
circles = st.builds(
    Circle,
    st.floats(-90, 90) | st.sampled_from([-90, 90, 0, 89.95]),
    st.floats(-180, 180) | st.sampled_from([-180, 180, 0, 179.99]),
    st.floats(0.01, 20_016) | st.sampled_from([1, 12, 500]),
)
filters = st.builds(
    Filters,
    after=dates,
    before=dates,
    camera=st.sampled_from([None, None, "nikon", "_", "%90", "ZÜRICH", "5d", "zürich"]),
    lens=st.sampled_from([None, None, "F/1.8", "x"]),
    near=st.none() | circles,
    folder=st.none() | st.sampled_from(FOLDERS[1:]) | st.sampled_from(OTHER_FOLDERS),
    types=st.lists(st.sampled_from(["JPEG", "HEIF", "TIFF"]), max_size=2).map(tuple),
    min_bytes=st.sampled_from([None, None, 0, 11, 2**40, 2**70]),
    min_width=st.sampled_from([None, None, 640, 641, 2**70]),
    orientation=st.sampled_from([None, None, "landscape", "portrait", "square"]),
    captioned=st.sampled_from([None, None, True, False]),
)


@given(filters)
@settings(max_examples=120, deadline=None)
def test_any_mix_of_filters_finds_what_a_look_at_every_image_finds(
    many: Catalog, images: dict[int, IndexedImage], wanted: Filters
) -> None:
    expected = [each for each in images if passes(images[each], each % 3 == 1, wanted)]
    assert matching(many, wanted) == sorted(expected)


@given(circles)
@settings(max_examples=80, deadline=None)
def test_a_circle_finds_what_is_in_it_at_poles_and_across_the_date_line(
    many: Catalog, images: dict[int, IndexedImage], circle: Circle
) -> None:
    middle = (circle.latitude, circle.longitude)
    expected = [
        each.id
        for each in images.values()
        if each.info.latitude is not None
        and each.info.longitude is not None
        and kilometres(middle, (each.info.latitude, each.info.longitude)) <= circle.km
    ]
    assert matching(many, Filters(near=circle)) == sorted(expected)


def test_both_sides_of_the_date_line_are_near(
    many: Catalog, images: dict[int, IndexedImage]
) -> None:
    east = matching(many, Filters(near=Circle(0, 179.999, 1)))
    assert east == matching(many, Filters(near=Circle(0, -179.999, 1)))
    assert {images[each].info.longitude for each in east} == {180, -180}


def test_the_pole_is_near_from_every_side(many: Catalog, images: dict[int, IndexedImage]) -> None:
    for longitude in (-170, 0, 10, 180):
        found = matching(many, Filters(near=Circle(89.9, longitude, 12)))
        assert 90 in {images[each].info.latitude for each in found}


def test_a_folder_is_taken_literally(many: Catalog, images: dict[int, IndexedImage]) -> None:
    for folder in ("100%_x", "caf\udce9", "a\U0010fe80", "Holiday2"):
        found = [images[each].file.path for each in matching(many, Filters(folder=folder))]
        assert {path.split("/")[0] for path in found} == {folder}
    for folder in ("/photos/Holiday", "/photos/100%_x"):
        found = [images[each].path for each in matching(many, Filters(folder=folder))]
        assert {path.rpartition("/")[0] for path in found} == {folder}


def test_a_folder_is_found_from_where_one_is(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trip").mkdir()
    monkeypatch.chdir(tmp_path / "trip")
    monkeypatch.setenv("HOME", str(tmp_path))
    image = NewImage(
        ImageFile(str(tmp_path), "trip/a/1.jpg", 1, 1),
        b"",
        ImageInfo(1, 1, "PNG"),
        np.array([1, 0], np.float32),
    )
    with catalog.writing() as rows:
        rows.add_root(str(tmp_path))
        rows.apply(Changes(added=[image]))
    for folder in (".", "..", "a", "a/", "./a", "../trip", "trip", "trip/a", "~", "~/trip"):
        assert matching(catalog, Filters(folder=folder)) == [1], folder
    for folder in ("./trip", "tri", "trip/1.jpg", "1.jpg", "A", "a/trip"):
        assert matching(catalog, Filters(folder=folder)) == [], folder


def test_no_filter_lets_all_pass_and_an_empty_catalog_has_none(
    many: Catalog, catalog: Catalog
) -> None:
    assert matching(many, Filters()) == list(range(1, 301))
    for wanted in (Filters(), Filters(near=Circle(0, 0, 1)), Filters(folder="x")):
        assert matching(catalog, wanted) == []


def test_types_may_be_extensions(many: Catalog) -> None:
    assert matching(many, Filters(types=(".jpg", "heic"))) == matching(
        many, Filters(types=("JPEG", "HEIF"))
    )
    with pytest.raises(QueryError, match="'doc' is not an image format"):
        matching(many, Filters(types=("doc",)))


def test_a_date_may_be_the_start_of_one(many: Catalog) -> None:
    assert matching(many, Filters(after="2024", before="2024-07")) == matching(
        many, Filters(after="2024-01-01T00:00:00", before="2024-07-01T00:00:00")
    )


def test_text_that_no_database_takes_matches_nothing(many: Catalog) -> None:
    for text in ("\ud800", "\0", "x\0y", "%" * 100_000):
        for wanted in (Filters(camera=text), Filters(lens=text), Filters(folder=text)):
            assert matching(many, wanted) == []
