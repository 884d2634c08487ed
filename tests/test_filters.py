"""What people type as filters, and what it means."""

from __future__ import annotations

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchengine.errors import QueryError
from searchengine.filters import (
    Circle,
    Filters,
    format_of,
    parse_after,
    parse_before,
    parse_bytes,
    parse_near,
)
from searchengine.images.formats import EXTENSIONS, PILLOW_FORMATS, RAW_EXTENSIONS


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2024", "2024-01-01T00:00:00"),
        ("2024-07", "2024-07-01T00:00:00"),
        ("2024-7-1", "2024-07-01T00:00:00"),
        ("2024-02-29", "2024-02-29T00:00:00"),
        (" 2024-07-31T18 ", "2024-07-31T18:00:00"),
        ("2024-07-31 18:30", "2024-07-31T18:30:00"),
        ("2024-07-31T18:30:59", "2024-07-31T18:30:59"),
    ],
)
def test_a_date_is_the_first_second_of_it(text: str, means: str) -> None:
    assert parse_after(text) == parse_before(text) == means


@given(st.datetimes(min_value=datetime(1000, 1, 1)))
def test_every_moment_can_be_written(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    assert parse_after(moment.isoformat()) == moment.isoformat()


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "24",
        "2023-02-29",
        "2024-13",
        "2024-07-32",
        "0000",
        "2024-07-01T24:00",
        "2024-07-01T18:30+02:00",
        "2024-07-01T18:30:00Z",
        "2024/07/01",
        "٢٠٢٤",
        "2024-07-31-01",
        "",
    ],
)
def test_what_is_no_date_is_one_error(text: str) -> None:
    for parse in (parse_after, parse_before):
        with pytest.raises(QueryError, match=r"is not a date; write it like .*2024-07-31T18:30"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("0", 0),
        ("500000", 500_000),
        ("1B", 1),
        ("500kB", 500_000),
        ("2MB", 2_000_000),
        ("2 mb", 2_000_000),
        ("2M", 2_000_000),
        ("2MiB", 2 * 1024**2),
        ("1.5GB", 1_500_000_000),
        ("0.3", 1),
        ("1TiB", 1024**4),
    ],
)
def test_sizes(text: str, means: int) -> None:
    assert parse_bytes(text) == means


@pytest.mark.parametrize("text", ["", "MB", "-1", "2 PB", "2iB", "1e6", "1,5MB", "9" * 400])
def test_what_is_no_size_is_one_error(text: str) -> None:
    with pytest.raises(QueryError, match="is not a size; write it like"):
        parse_bytes(text)


def test_a_place_and_a_distance() -> None:
    assert parse_near("48.2,16.4,5") == Circle(48.2, 16.4, 5)
    assert parse_near(" -33.9, 151.2 , 0.5 ") == Circle(-33.9, 151.2, 0.5)


@pytest.mark.parametrize("text", ["", "48.2,16.4", "48.2,16.4,5,6", "a,b,c", "48,2;16,4;5"])
def test_what_is_no_place_is_one_error(text: str) -> None:
    with pytest.raises(QueryError, match=r"write it like 48\.2,16\.4,5"):
        parse_near(text)


@pytest.mark.parametrize(
    ("circle", "says"),
    [
        ((90.01, 0, 1), "latitude 90.01"),
        ((-91, 0, 1), "latitude"),
        ((math.nan, 0, 1), "latitude"),
        ((0, 180.5, 1), "longitude"),
        ((0, -math.inf, 1), "longitude"),
        ((0, 0, 0), "0 km"),
        ((0, 0, -5), "-5 km"),
        ((0, 0, math.inf), "inf km"),
        ((0, 0, math.nan), "nan km"),
    ],
)
def test_there_is_no_such_place(circle: tuple[float, float, float], says: str) -> None:
    with pytest.raises(QueryError, match=says):
        Circle(*circle)
    with pytest.raises(QueryError, match=r"latitude|longitude|km"):
        parse_near(",".join(map(str, circle)))


@pytest.mark.parametrize("corner", [(90, 180), (-90, -180)])
def test_the_ends_of_the_world_are_places(corner: tuple[int, int]) -> None:
    assert Circle(*corner, 1).km == 1


def test_every_extension_that_is_read_is_a_type() -> None:
    assert {format_of(each) for each in EXTENSIONS - RAW_EXTENSIONS} == set(PILLOW_FORMATS)
    assert {format_of(name) for name in PILLOW_FORMATS} == set(PILLOW_FORMATS)
    for extension in RAW_EXTENSIONS:
        assert format_of(extension) == extension[1:].upper()
    assert (format_of("jpg"), format_of(" .TIF "), format_of("heic")) == ("JPEG", "TIFF", "HEIF")


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(QueryError, match=r"'mp4' is not an image format.*AVIF.*WEBP"):
        format_of("mp4")


def test_types_may_be_any_sequence() -> None:
    assert hash(Filters(types=["jpg"])) == hash(Filters(types=("jpg",)))  # type: ignore[arg-type]


def test_filters_that_filter_nothing_are_false() -> None:
    assert not Filters()
    for part in (
        Filters(after="2024"),
        Filters(types=("JPEG",)),
        Filters(captioned=False),
        Filters(min_bytes=0),
        Filters(near=Circle(0, 0, 1)),
    ):
        assert part
