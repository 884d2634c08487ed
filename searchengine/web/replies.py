"""The shapes of the answers, and how they are sent."""

from __future__ import annotations

import json
from typing import Any, NotRequired

from starlette.responses import JSONResponse
from typing_extensions import TypedDict  # pydantic reads that of Python 3.12 only

from searchengine.types import Relevance


class Json(JSONResponse):
    """JSON in ASCII, so that file names which are not UTF-8 can be sent: as lone surrogates."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class HitReply(TypedDict):
    """An image found; `group` is a day or a folder, where hits were asked for in groups."""

    rank: int
    id: int
    score: float | None
    relevance: Relevance | None
    matched: list[str]
    path: str
    name: str
    width: int
    height: int
    taken_at: str | None
    copies: list[int]
    group: NotRequired[str]


class SearchReply(TypedDict):
    """A page of hits.

    `total` images pass the filters; `found` hits there are in all, where that is known; `judged`
    says whether the hits have a relevance, and `good_match` then, whether any is more than weak.
    """

    query: str
    judged: bool
    good_match: bool | None
    total: int
    found: int | None
    hits: list[HitReply]
    next: str | None
    took_ms: float
    version: str


class ImageReply(TypedDict):
    """All that is known of an image; `modified_at` is in UTC."""

    id: int
    path: str
    root: str
    folder: str
    name: str
    bytes: int
    format: str
    width: int
    height: int
    taken_at: str | None
    camera: str | None
    lens: str | None
    latitude: float | None
    longitude: float | None
    captions: list[str]
    modified_at: str | None


class CountReply(TypedDict):
    """A value of a facet, and how many images have it; `name` is the short form of a folder."""

    value: str
    count: int
    name: NotRequired[str]


class PlaceReply(TypedDict):
    """The middle of a cell of 0.1 degree, and how many images were taken in it."""

    latitude: float
    longitude: float
    count: int


class FacetsReply(TypedDict):
    """How many images there are of each kind; `placed` say where they were taken."""

    total: int
    months: list[CountReply]
    cameras: list[CountReply]
    types: list[CountReply]
    folders: list[CountReply]
    places: list[PlaceReply]
    placed: int


class IndexReply(TypedDict):
    """An index that is served; `images` is null where it cannot be read."""

    name: str
    images: int | None
    model: str | None
    default: bool


class IndexesReply(TypedDict):
    """All of them."""

    indexes: list[IndexReply]


class RootReply(TypedDict):
    """A folder whose pictures an index holds.

    Not reachable where a drive is not mounted; null behind an address, where nobody looked.
    """

    path: str
    name: str
    reachable: bool | None
    images: int


class HealthReply(TypedDict):
    """The state of an index; `coverage` is the share of the files that could be read."""

    name: str
    folder: str
    images: int
    model: str
    dim: int
    kind: str
    failed: int
    coverage: float
    roots: list[RootReply]
    version: str
    job: dict[str, Any] | None


class FailureReply(TypedDict):
    """A file that could not be read, and why."""

    path: str
    reason: str


class FailuresReply(TypedDict):
    """A page of them."""

    total: int
    failures: list[FailureReply]
