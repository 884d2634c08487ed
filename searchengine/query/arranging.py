"""The order in which hits are shown: by relevance or date, in one list or in groups."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from searchengine.types import Hit

Order: TypeAlias = Literal["relevance", "date"]
Grouping: TypeAlias = Literal["day", "folder"]

NO_DATE = "no date"


class Ranked(NamedTuple):
    """A hit and its place by relevance, from 1, which it keeps wherever it is shown."""

    rank: int
    hit: Hit


class Group(NamedTuple):
    """Hits shown together: of a day (`2024-07-01`), of a folder (its absolute path), or all: ""."""

    name: str
    members: list[Ranked]


def arrange(
    hits: Sequence[Hit], order: Order = "relevance", by: Grouping | None = None, offset: int = 0
) -> list[Group]:
    """Hits, best first, as groups in the order of their first hit; by date the newest first.

    `offset` is how many better hits are not among these. Hits without a date come last by date.
    """
    ranked = [Ranked(rank, hit) for rank, hit in enumerate(hits, offset + 1)]
    if order == "date":
        ranked.sort(key=lambda each: _taken(each.hit), reverse=True)  # stable: ties by rank
    groups: dict[str, list[Ranked]] = {}
    for each in ranked:
        groups.setdefault(_group_of(each.hit, by), []).append(each)
    return [Group(name, members) for name, members in groups.items()]


def _taken(hit: Hit) -> str:
    """When it was taken by the clock of the place: without the offset from UTC."""
    return (hit.image.info.taken_at or "")[:19]


def _group_of(hit: Hit, by: Grouping | None) -> str:
    if by == "day":
        return _taken(hit)[:10] or NO_DATE
    return os.path.dirname(hit.path) if by == "folder" else ""
