"""Which images a search may answer with: when, where, and with what they were taken, and how.

All of a filter's parts must hold. The parsers read what a person types.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from searchengine.errors import QueryError

Orientation: TypeAlias = Literal["landscape", "portrait", "square"]

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d?)(?::(\d\d)(?::(\d\d))?)?)?)?)?", re.ASCII
)
_LEAST = ("", "1", "1", "0", "0", "0")
_BYTES = re.compile(r"(\d{1,15}(?:\.\d+)?)\s*(?:([KMGT])(i?))?B?", re.ASCII | re.IGNORECASE)
_FORMATS = {
    **dict.fromkeys(("JPG", "JPEG", "JPE", "JFIF"), "JPEG"),
    **dict.fromkeys(("TIF", "TIFF"), "TIFF"),
    **dict.fromkeys(("HEIC", "HEIF", "HIF"), "HEIF"),
    **{name: name for name in ("PNG", "WEBP", "GIF", "BMP", "AVIF")},
    **{raw: raw for raw in ("DNG", "CR2", "CR3", "NEF", "ARW", "ORF", "RW2", "RAF", "PEF", "SRW")},
}


@dataclass(frozen=True, slots=True)
class Circle:
    """All places at most `km` kilometres from one, in decimal degrees, north and east positive.

    Raises:
        QueryError: there is no such place, or the distance is not positive.
    """

    latitude: float
    longitude: float
    km: float

    def __post_init__(self) -> None:
        if not -90 <= self.latitude <= 90:
            raise QueryError(f"latitude {self.latitude} is not between -90 and 90 degrees")
        if not -180 <= self.longitude <= 180:
            raise QueryError(f"longitude {self.longitude} is not between -180 and 180 degrees")
        if not (math.isfinite(self.km) and self.km > 0):
            raise QueryError(f"{self.km} km is not a distance; give more than 0")


@dataclass(frozen=True, slots=True)
class Filters:
    """What an image must be; a part that is None, or empty, lets every image pass.

    An image that does not say when, where or with what it was taken passes no filter about it.
    """

    after: str | None = None
    """Taken then or later, by the camera's clock: `2024-07-01T18:30:00`, or the start of it."""
    before: str | None = None
    """Taken earlier than that."""
    camera: str | None = None
    """Part of the camera's name; case does not matter (of ASCII letters)."""
    lens: str | None = None
    """Part of the lens's name, likewise."""
    near: Circle | None = None
    folder: str | None = None
    """In this folder or below it: a path, or the name of any folder in the index."""
    types: tuple[str, ...] = ()
    """Of one of these formats, or extensions, such as `JPEG`, `jpg` or `heic`."""
    min_bytes: int | None = None
    min_width: int | None = None
    """In pixels, as displayed."""
    orientation: Orientation | None = None
    captioned: bool | None = None
    """With captions, or without any."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "types", tuple(self.types))  # whatever sequence was given

    def __bool__(self) -> bool:
        return self != Filters()


def parse_after(text: str) -> str:
    """The first second of a year, month, day, hour or minute: 2024 is 2024-01-01T00:00:00.

    Raises:
        QueryError: it is no such date.
    """
    found = _DATE.fullmatch(text.strip())
    try:
        if found:
            given = (part or least for part, least in zip(found.groups(), _LEAST, strict=True))
            date = "{}-{:0>2}-{:0>2}T{:0>2}:{:0>2}:{:0>2}".format(*given)
            return datetime.fromisoformat(date).isoformat()
    except ValueError:  # the 31st of June
        pass
    raise QueryError(
        f"{text!r} is not a date; write it like 2024, 2024-07, 2024-07-31 or 2024-07-31T18:30"
    )


def parse_before(text: str) -> str:
    """The end, itself not included: 2024-07 ends at the start of July; see `parse_after`."""
    return parse_after(text)


def parse_near(text: str) -> Circle:
    """A place and a distance: latitude, longitude, kilometres.

    Raises:
        QueryError: these are not three numbers, or there is no such place.
    """
    try:
        latitude, longitude, km = (float(part) for part in text.split(","))
    except ValueError:
        raise QueryError(
            f"{text!r} is not LATITUDE,LONGITUDE,KM; write it like 48.2,16.4,5"
        ) from None
    return Circle(latitude, longitude, km)


def parse_bytes(text: str) -> int:
    """A size in bytes: 2MB is 2,000,000, 2MiB is 2,097,152.

    Raises:
        QueryError: it is no size.
    """
    found = _BYTES.fullmatch(text.strip())
    if not found:
        raise QueryError(f"{text!r} is not a size; write it like 500000, 500kB, 2MB or 2MiB")
    number, unit, binary = found.groups()
    power = " KMGT".index((unit or " ").upper())
    return math.ceil(float(number) * float(1024 if binary else 1000) ** power)


def format_of(name: str) -> str:
    """The format that a name of a format, or an extension, stands for: `.jpg` is JPEG.

    Raises:
        QueryError: no format has that name.
    """
    try:
        return _FORMATS[name.strip().removeprefix(".").upper()]
    except KeyError:
        known = ", ".join(sorted(set(_FORMATS.values())))
        raise QueryError(f"{name!r} is not an image format; known are {known}") from None
