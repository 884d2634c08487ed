"""How many images of a set there are of each kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from searchengine.catalog import Catalog
from searchengine.types import Facets, ImageInfo
from tests.catalog.toys import ROOT, apply, picture

PLAIN = ImageInfo(1, 1, "PNG")


def facets(catalog: Catalog, ids: object) -> Facets:
    with catalog.reading() as rows:
        return rows.facets(ids)  # type: ignore[arg-type]


def test_images_are_counted_by_month_camera_format_folder_and_place(catalog: Catalog) -> None:
    names = ["a.jpg", "trip/b.jpg", "trip/deep/c.jpg", "caf\udce9/d.jpg", "e.jpg"]
    added = [picture(name) for name in names]
    added[1] = replace(added[1], info=PLAIN)
    added[4] = replace(added[4], info=replace(PLAIN, taken_at="2025-01-01T00:00:00", camera="A"))
    apply(catalog, added=added)
    found = facets(catalog, range(1, 6))
    assert found.total == 5
    assert list(found.months.items()) == [("2025-01", 1), ("2024-07", 3)]
    assert list(found.cameras.items()) == [("Canon", 3), ("A", 1)]
    assert list(found.formats.items()) == [("JPEG", 3), ("PNG", 2)]
    assert list(found.folders.items()) == [
        (ROOT, 2),
        (f"{ROOT}/trip", 2),
        (f"{ROOT}/caf\udce9", 1),
    ]
    assert found.placed == 3
    assert sum(found.places.values()) == 3
    assert facets(catalog, None) == found


def test_places_are_cells_of_a_tenth_of_a_degree_most_images_first(catalog: Catalog) -> None:
    degrees = [
        (48.21, 16.37),
        (48.16, 16.44),
        (-33.94, -0.04),
        (None, 3.0),
        (0.0, 0.0),
        (0.01, 0.0),
    ]
    info = [replace(PLAIN, latitude=north, longitude=east) for north, east in degrees]
    apply(catalog, added=[replace(picture(str(n)), info=each) for n, each in enumerate(info)])
    found = facets(catalog, None)
    assert list(found.places.items()) == [((0.0, 0.0), 2), ((48.2, 16.4), 2), ((-33.9, 0.0), 1)]
    assert (found.placed, found.total) == (5, 6)


def test_counting_all_is_counting_every_id(catalog: Catalog) -> None:
    names = ["x", "a/x", "a/b/x", "caf\udce9/x", "a,b/x", "a\nb/x", "c/\udcff"]
    apply(catalog, added=[picture(name) for name in names])
    assert facets(catalog, None) == facets(catalog, range(1, 100_000))
    assert len(facets(catalog, None).folders) == 6


def test_only_the_images_asked_for_count(catalog: Catalog) -> None:
    apply(catalog, added=[picture(f"{n}/x.jpg") for n in range(2000)])
    some = np.arange(100, 1200)
    found = facets(catalog, some)
    assert (found.total, found.months, found.placed) == (1100, {"2024-07": 1100}, 1100)
    assert found.folders.keys() == {f"{ROOT}/{n - 1}" for n in some}
    assert facets(catalog, [5, 9999]).total == 1
    assert facets(catalog, []) == Facets(0, {}, {}, {}, {}, 0, {})
