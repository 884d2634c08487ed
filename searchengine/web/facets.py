"""`/api/facets`: of which months, cameras, formats, folders and places there are images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from typing import Final

from fastapi import APIRouter

from searchengine.types import Facets
from searchengine.web.asking import FacetsBody
from searchengine.web.library import Served
from searchengine.web.overload import Bounded
from searchengine.web.replies import CountReply, FacetsReply, Json

router = APIRouter(prefix="/api", tags=["images"])

_PLACES: Final = 50
_VALUES: Final = 1000  # of each kind; nobody reads more


@router.post("/facets", responses={200: {"model": FacetsReply}}, response_class=Json)
def facets(body: FacetsBody, library: Served, slot: Bounded) -> Json:
    """Count the images that pass the filters."""
    catalog = library.engine(body.index).catalog
    filters = body.filters.filters()
    found = catalog.facets(catalog.matching(filters) if filters else None)
    return Json(_reply(found))


def _reply(found: Facets) -> FacetsReply:
    return {
        "total": found.total,
        "months": _counts(found.months),
        "cameras": _counts(found.cameras),
        "types": _counts(found.formats),
        "folders": [
            {**each, "name": os.path.basename(each["value"]) or each["value"]}
            for each in _counts(found.folders)
        ],
        "places": [
            {"latitude": latitude, "longitude": longitude, "count": count}
            for (latitude, longitude), count in islice(found.places.items(), _PLACES)
        ],
        "placed": found.placed,
    }


def _counts(counts: Mapping[str, int]) -> list[CountReply]:
    return [{"value": value, "count": count} for value, count in islice(counts.items(), _VALUES)]
