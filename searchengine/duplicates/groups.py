"""Groups of pictures of which one may be enough; nothing is ever deleted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from searchengine.duplicates.hashing import hash_missing
from searchengine.duplicates.leaders import Gathered, NearCopies, find_bursts
from searchengine.index import Index, Traits
from searchengine.types import IndexedImage, Progress

Kind: TypeAlias = Literal["exact", "near", "burst"]
KINDS: Final[tuple[Kind, ...]] = ("exact", "near", "burst")


@dataclass(frozen=True, slots=True)
class Group:
    """Images that are alike, the one to keep first: the largest, else the oldest, else by path.

    `exact` copies have the same bytes. `near` copies show the same picture in another size,
    encoding or brightness, or cut by a little; of exact copies among them only the first is
    listed. The shots of a `burst` were taken by one camera in quick succession. `similarity` is
    the lowest cosine of an image to the first one.
    """

    kind: Kind
    images: tuple[IndexedImage, ...]
    similarity: float


def find_duplicates(
    index: Index,
    kinds: Sequence[Kind] = KINDS,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> list[Group]:
    """The groups of these kinds, kind by kind, each by its first image; an image is in one a kind.

    Images that have no perceptual hash yet are read and hashed first, unless only exact copies
    are asked for; `progress` tells how far that is. Setting `stop` ends it early, without groups,
    and what was hashed is kept. Raises `IndexChangedError` when another process removes images
    meanwhile.
    """
    stop = stop or threading.Event()
    traits = index.traits()
    by_content: dict[int, list[int]] = {}
    for each in traits:
        by_content.setdefault(each.content, []).append(each.id)
    exact = [Gathered(ids) for ids in by_content.values() if len(ids) > 1]
    near: list[Gathered] = []
    bursts: list[Gathered] = []
    if {"near", "burst"} & set(kinds):
        firsts = {ids[0] for ids in by_content.values()}
        distinct = [each for each in traits if each.id in firsts]
        distinct = _hashed(index, distinct, progress, stop)
        near = NearCopies(index, distinct).find(stop)
        if "burst" in kinds:
            copies = {id_ for group in near for id_ in group.ids[1:]}
            bursts = find_bursts(index, [each for each in distinct if each.id not in copies], stop)
    if stop.is_set():
        return []
    found: dict[Kind, list[Gathered]] = {"exact": exact, "near": near, "burst": bursts}
    return [group for kind in KINDS if kind in kinds for group in _shown(index, kind, found[kind])]


def _hashed(
    index: Index, traits: Sequence[Traits], progress: Progress, stop: threading.Event
) -> list[Traits]:
    """The same with the hashes that were missing."""
    if missing := [each.id for each in traits if each.phash is None]:
        hashes = hash_missing(index, missing, progress, stop)
        return [each._replace(phash=hashes.get(each.id, each.phash)) for each in traits]
    return list(traits)


def _shown(index: Index, kind: Kind, groups: Sequence[Gathered]) -> Iterator[Group]:
    """The groups with what the index holds of their images; those that left it are left out."""
    found = {each.id: each for each in index.images([i for group in groups for i in group.ids])}
    for group in groups:
        images = tuple(found[each] for each in group.ids if each in found)
        if len(images) > 1:
            yield Group(kind, images, max(-1.0, min(1.0, group.similarity)))
