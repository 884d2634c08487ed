"""What a camera wrote into a picture: when, with what, and where."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from PIL import ExifTags, Image

from searchengine.types import ImageInfo

_BROKEN: Final = (OSError, SyntaxError, ValueError, struct.error, EOFError, LookupError, TypeError)
_BROKEN_NUMBER: Final = (ValueError, TypeError, ArithmeticError)

_DATES: Final = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    (ExifTags.Base.DateTime, ExifTags.Base.OffsetTime),
)
_DATE: Final = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET: Final = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d", re.ASCII)
_MAX_TEXT: Final = 100

Tags = Mapping[int, Any]


def describe(exif: Image.Exif, size: tuple[int, int], format: str) -> ImageInfo:  # noqa: A002
    """The facts of a picture; those that EXIF lacks, or has in a broken form, are None."""
    tags = {**_read(exif), **_read(exif, ExifTags.IFD.Exif)}
    latitude, longitude = position(_read(exif, ExifTags.IFD.GPSInfo))
    return ImageInfo(
        *size,
        format,
        taken_at=taken_at(tags),
        camera=camera(tags),
        lens=_text(tags.get(ExifTags.Base.LensModel)),
        latitude=latitude,
        longitude=longitude,
    )


def read_exif(image: Image.Image) -> Image.Exif:
    """The EXIF block of a loaded picture, empty where there is none or it is broken."""
    try:
        return image.getexif()
    except _BROKEN:
        return Image.Exif()


def orientation(exif: Image.Exif) -> int:
    """How the stored pixels are to be turned: 1 (not at all) to 8."""
    value = _read(exif).get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def taken_at(tags: Tags) -> str | None:
    """When the picture was taken, ISO 8601, with the offset from UTC where it is known."""
    for date_tag, offset_tag in _DATES:
        match = _DATE.match(_text(tags.get(date_tag)) or "")
        if match:
            date = "{}-{}-{}T{}:{}:{}".format(*match.groups())
            try:
                datetime.fromisoformat(date)
            except ValueError:  # 0000:00:00, the 31st of June
                continue
            offset = _text(tags.get(offset_tag)) or ""
            return date + offset if _OFFSET.fullmatch(offset) else date
    return None


def camera(tags: Tags) -> str | None:
    """Make and model; the make is left out where the model already names it."""
    make, model = _text(tags.get(ExifTags.Base.Make)), _text(tags.get(ExifTags.Base.Model))
    if make and model and make.split()[0].lower() not in model.lower():
        return f"{make} {model}"
    return model or make


def position(gps: Tags) -> tuple[float, float] | tuple[None, None]:
    """Latitude and longitude in decimal degrees, north and east positive; both or neither."""
    latitude = _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS", 90)
    longitude = _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW", 180)
    if latitude is None or longitude is None:
        return None, None
    return latitude, longitude


def _degrees(gps: Tags, tag: int, reference_tag: int, signs: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as one number; without N, S, E or W its sign is unknown."""
    reference = (_text(gps.get(reference_tag)) or " ")[0].upper()
    try:
        parts = [float(part) for part in gps[tag]]
    except (LookupError, *_BROKEN_NUMBER):
        return None
    if reference not in signs or not all(math.isfinite(p) and p >= 0 for p in parts):
        return None
    value: float = sum(part / 60**power for power, part in enumerate(parts[:3]))
    if not parts or value > limit:
        return None
    return round(-value if reference == signs[1] else value, 7)


def _read(exif: Image.Exif, ifd: int | None = None) -> dict[int, Any]:
    """The tags of one directory of the EXIF block, none where it is broken."""
    try:
        return dict(exif if ifd is None else exif.get_ifd(ifd))
    except _BROKEN:
        return {}


def _text(value: object) -> str | None:
    """A tag as one short line, without what follows a NUL; None where it says nothing."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    printable = "".join(c if c.isprintable() else " " for c in value.partition("\0")[0])
    return " ".join(printable.split())[:_MAX_TEXT].strip() or None
