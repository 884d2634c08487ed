"""Filters as conditions on the catalog."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, Connection

from searchengine.catalog.expressions import among, lower, numbers, position
from searchengine.catalog.paths import below, is_url
from searchengine.catalog.schema import AnyText, captions, images, roots
from searchengine.filters import Circle, Filters, Orientation, format_of

EARTH_KM = 6371.0088  # mean radius, as the IUGG defines it
_MARGIN = 1e-6  # degrees; more than any rounding here
_LARGEST = 2**63 - 1  # that the database takes

_width, _height = images.c.width, images.c.height
_SHAPES: dict[Orientation, ColumnElement[bool]] = {
    "landscape": _width > _height,
    "portrait": _width < _height,
    "square": _width == _height,
}


def matching(
    db: Connection, filters: Filters, ids: Iterable[int] | None = None
) -> NDArray[np.int64]:
    """The ids of images, or of those with these ids, that pass the filters, ascending, int64."""
    root_paths = {row.id: row.path for row in db.execute(sa.select(roots))}
    passes = condition(filters, root_paths)
    if ids is not None:
        passes &= among(images.c.id, ids)
    if filters.near is None:
        return numbers(db, sa.select(images.c.id).where(passes))
    columns = (images.c.id, images.c.latitude, images.c.longitude)
    rows = np.array(db.execute(sa.select(*columns).where(passes)).all(), np.float64).reshape(-1, 3)
    inside = distance_km(filters.near, rows[:, 1:]) <= filters.near.km
    return np.sort(rows[inside, 0].astype(np.int64))


def condition(filters: Filters, root_paths: Mapping[int, str]) -> ColumnElement[bool]:
    """What `images` must fulfil; of a circle, the rectangle of degrees that holds it.

    Args:
        filters: the filters; all of their parts must hold.
        root_paths: the root folders by id, which a folder is compared with.
    """
    return sa.and_(sa.true(), *_conditions(filters, root_paths))


def _conditions(filters: Filters, root_paths: Mapping[int, str]) -> Iterator[ColumnElement[bool]]:
    # A date in the catalog may end in an offset from UTC. As text it is after all of its starts,
    # so comparing it with a date of at most 19 characters compares local times.
    if filters.after is not None:
        yield images.c.taken_at >= filters.after[:19]
    if filters.before is not None:
        yield images.c.taken_at < filters.before[:19]
    if filters.camera is not None:
        yield _holds(images.c.camera, filters.camera)
    if filters.lens is not None:
        yield _holds(images.c.lens, filters.lens)
    if filters.near is not None:
        yield _around(filters.near)
    if filters.folder is not None:
        yield sa.or_(sa.false(), *_in_folder(filters.folder, root_paths))
    if filters.types:
        yield images.c.format.in_({format_of(name) for name in filters.types})
    if filters.min_bytes is not None:
        yield images.c.size >= _at_most(filters.min_bytes)
    if filters.min_width is not None:
        yield _width >= _at_most(filters.min_width)
    if filters.orientation is not None:
        yield _SHAPES[filters.orientation]
    if filters.captioned is not None:
        captioned = images.c.id.in_(sa.select(captions.c.image_id))
        yield captioned if filters.captioned else ~captioned


def _at_most(number: int) -> ColumnElement[int]:
    return sa.literal(min(number, _LARGEST), sa.BigInteger)


def _holds(column: Column[str], text: str) -> ColumnElement[bool]:
    return position(lower(column), lower(sa.literal(text, AnyText))) > 0


def _in_folder(folder: str, root_paths: Mapping[int, str]) -> Iterator[ColumnElement[bool]]:
    """For every root: in the folder with that path, or in any with that name."""
    folder = os.path.expanduser(folder)
    path = folder if is_url(folder) else os.path.abspath(folder)
    is_path = os.path.isabs(folder) or not {".", ".."}.isdisjoint(folder.split(os.sep))
    name = "" if is_path or is_url(folder) else PurePath(folder).as_posix()
    for root_id, root in root_paths.items():
        here = images.c.root_id == root_id
        if below(root, path) is not None:
            yield here
            continue
        if under := below(path, root):
            start = sa.literal(f"{under}/", AnyText)
            yield here & (sa.func.substr(images.c.path, 1, sa.func.length(start)) == start)
        if name:
            within = sa.literal(f"/{os.path.basename(root)}/", AnyText) + images.c.path
            yield here & (position(within, sa.literal(f"/{name}/", AnyText)) > 0)


def _around(circle: Circle) -> ColumnElement[bool]:
    """The rectangle of degrees that holds a circle: a little too large, never too small."""
    latitude, longitude = images.c.latitude, images.c.longitude
    height = math.degrees(circle.km / EARTH_KM) + _MARGIN
    south, north = circle.latitude - height, circle.latitude + height
    band = latitude.between(south, north) & longitude.is_not(None)
    if south <= -90 or north >= 90:  # a pole is inside, and with it every longitude
        return band
    ratio = math.sin(math.radians(height)) / math.cos(math.radians(circle.latitude))
    width = math.degrees(math.asin(min(ratio, 1.0))) + _MARGIN
    west, east = circle.longitude - width, circle.longitude + width
    if west < -180:
        return band & ((longitude >= west + 360) | (longitude <= east))
    if east > 180:
        return band & ((longitude >= west) | (longitude <= east - 360))
    return band & longitude.between(west, east)


def distance_km(circle: Circle, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the middle of a circle to (n, 2) latitudes and longitudes in degrees, (n,) in km.

    The haversine formula on a sphere (Sinnott, "Virtues of the Haversine", 1984), exact for
    small distances too.
    """
    here = np.radians([circle.latitude, circle.longitude])
    there = np.radians(places)
    across = np.sin((there - here) / 2) ** 2
    chord = across[:, 0] + np.cos(here[0]) * np.cos(there[:, 0]) * across[:, 1]
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(chord.clip(0, 1))))
