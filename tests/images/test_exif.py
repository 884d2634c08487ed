"""What a camera wrote is read where it makes sense, and nothing is made up where it does not."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base
from PIL.TiffImagePlugin import IFDRational

from searchengine.images import decode
from searchengine.images.exif import camera, position, taken_at
from searchengine.types import ImageInfo


def exif_block(
    main: dict[int, Any], details: dict[int, Any] | None = None, gps: dict[int, Any] | None = None
) -> bytes:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(IFD.Exif).update(details or {})
    exif.get_ifd(IFD.GPSInfo).update(gps or {})
    return exif.tobytes()


def info_of(exif: bytes, format_: str = "JPEG") -> ImageInfo:
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, format_, exif=exif)
    return decode(file, min_side=16).info


FULL = exif_block(
    {Base.Make: "Canon", Base.Model: "Canon EOS 5D\0", Base.DateTime: "2020:01:01 00:00:00"},
    {
        Base.DateTimeOriginal: "2019:07:14 18:30:05",
        Base.OffsetTimeOriginal: "+02:00",
        Base.LensModel: " EF24-70mm  f/2.8L ",
    },
    {
        GPS.GPSLatitudeRef: "S",
        GPS.GPSLatitude: (33.0, 51.0, 24.0),
        GPS.GPSLongitudeRef: "E",
        GPS.GPSLongitude: (151.0, 12.0, 54.0),
    },
)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_every_format_that_carries_exif(format_: str) -> None:
    info = info_of(FULL, format_)
    assert info == ImageInfo(
        width=64,
        height=48,
        format=format_,
        taken_at="2019-07-14T18:30:05+02:00",
        camera="Canon EOS 5D",
        lens="EF24-70mm f/2.8L",
        latitude=-33.8566667,
        longitude=151.215,
    )


@pytest.mark.parametrize("cut", range(6, len(FULL), 17))
def test_broken_exif_never_fails_the_picture(cut: int) -> None:
    assert info_of(FULL[:cut]).width == 64
    assert info_of(FULL[:cut] + b"\xff" * (len(FULL) - cut)).width == 64


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({Base.DateTimeOriginal: "2024:02:29 23:59:59"}, "2024-02-29T23:59:59"),
        ({Base.DateTimeOriginal: "2024-02-29T23:59:59.123"}, "2024-02-29T23:59:59"),
        ({Base.DateTimeOriginal: b"2024:02:29 23:59:59\0"}, "2024-02-29T23:59:59"),
        ({Base.DateTimeDigitized: "2001:02:03 04:05:06"}, "2001-02-03T04:05:06"),
        ({Base.DateTime: "2001:02:03 04:05:06"}, "2001-02-03T04:05:06"),
        (
            {Base.DateTimeOriginal: "0000:00:00 00:00:00", Base.DateTime: "2001:02:03 04:05:06"},
            "2001-02-03T04:05:06",
        ),
        (
            {Base.DateTimeOriginal: "2001:02:03 04:05:06", Base.OffsetTimeOriginal: "-09:30"},
            "2001-02-03T04:05:06-09:30",
        ),
        (
            {Base.DateTimeOriginal: "2001:02:03 04:05:06", Base.OffsetTimeOriginal: "+99:99"},
            "2001-02-03T04:05:06",
        ),
        # An offset belongs to its own date only.
        (
            {Base.DateTime: "2001:02:03 04:05:06", Base.OffsetTimeOriginal: "+01:00"},
            "2001-02-03T04:05:06",
        ),
        ({Base.DateTimeOriginal: "    :  :     :  :  "}, None),
        ({Base.DateTimeOriginal: "2023:13:01 00:00:00"}, None),
        ({Base.DateTimeOriginal: "2023:06:31 00:00:00"}, None),
        ({Base.DateTimeOriginal: "2023:06:30 24:00:00"}, None),
        ({Base.DateTimeOriginal: "2023:06:30"}, None),
        ({Base.DateTimeOriginal: "٢٠٢٣:06:30 00:00:00"}, None),
        ({Base.DateTimeOriginal: 2023}, None),
        ({}, None),
    ],
)
def test_date(tags: dict[int, Any], expected: str | None) -> None:
    assert taken_at(tags) == expected


@pytest.mark.parametrize(
    ("make", "model", "expected"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("SONY", "ILCE-7M3", "SONY ILCE-7M3"),
        ("Apple\0\0junk", " iPhone 15 \0", "Apple iPhone 15"),
        ("Apple", None, "Apple"),
        (None, "D90", "D90"),
        ("  ", "\0", None),
        (b"Acme", b"\xff", "Acme \ufffd"),
        (7, (1, 2), None),
        ("A\nB", "C\x07D", "A B C D"),
    ],
)
def test_camera(make: object, model: object, expected: str | None) -> None:
    assert camera({Base.Make: make, Base.Model: model}) == expected


def test_texts_are_bounded() -> None:
    assert camera({Base.Model: "x" * 60_000}) == "x" * 100


def gps(latitude: object, longitude: object, references: tuple[object, object]) -> dict[int, Any]:
    return {
        GPS.GPSLatitude: latitude,
        GPS.GPSLatitudeRef: references[0],
        GPS.GPSLongitude: longitude,
        GPS.GPSLongitudeRef: references[1],
    }


@given(
    st.integers(-89 * 36000, 89 * 36000),
    st.integers(-179 * 36000, 179 * 36000),
)
def test_degrees_minutes_seconds_give_back_the_degrees(latitude: int, longitude: int) -> None:
    def split(tenths: int) -> tuple[IFDRational, ...]:
        seconds = abs(tenths)
        return (
            IFDRational(seconds // 36000),
            IFDRational(seconds // 600 % 60),
            IFDRational(seconds % 600, 10),
        )

    references = ("N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W")
    found = position(gps(split(latitude), split(longitude), references))
    assert found == pytest.approx((latitude / 36000, longitude / 36000), abs=1e-7)


def test_position_in_shorter_forms() -> None:
    assert position(gps((48.5,), (2, 30.0), ("N\0", b"w"))) == (48.5, -2.5)
    assert position(gps((0, 0, 0), (0, 0, 0), ("N", "E"))) == (0, 0)


@pytest.mark.parametrize(
    ("latitude", "references"),
    [
        ((IFDRational(1, 0), 0, 0), ("N", "E")),
        ((float("nan"), 0, 0), ("N", "E")),
        ((float("inf"), 0, 0), ("N", "E")),
        ((91, 0, 0), ("N", "E")),
        ((-5, 0, 0), ("N", "E")),
        ((), ("N", "E")),
        (None, ("N", "E")),
        ("north", ("N", "E")),
        (45.0, ("N", "E")),
        ((0, 0, 0), (None, None)),
        ((0, 0, 0), ("", "E")),
        ((5, 0, 0), ("X", "E")),
        ((5, 0, 0), ("N", 3)),
    ],
)
def test_a_position_in_doubt_is_none(latitude: object, references: tuple[object, object]) -> None:
    assert position(gps(latitude, (2, 0, 0), references)) == (None, None)
