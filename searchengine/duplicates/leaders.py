"""Gathering images around the first of their like.

Every member of a group is within the bounds of its first image, not only of some other member, so
that a chain of small differences never ends in a group of unlike pictures.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.duplicates.hamming import HashTable, Positions
from searchengine.duplicates.rules import (
    BURST_COSINE,
    BURST_SECONDS,
    MOST_BITS,
    NEAR_COSINE,
    as_hashes,
    has_hash,
    shots_of,
)
from searchengine.errors import IndexChangedError, QueryError
from searchengine.index import Index, Traits
from searchengine.types import Embeddings

_TOGETHER: Final = 4096  # images whose embeddings are held at a time


@dataclass
class Gathered:
    """Ids of a group, its first image first, and the lowest cosine of another one to the first."""

    ids: list[int]
    similarity: float = 1.0

    def take(self, ids: Sequence[int], cosines: NDArray[np.float32]) -> None:
        """Add images."""
        self.ids += ids
        self.similarity = min(self.similarity, *cosines.tolist())


@dataclass
class NearCopies:
    """Finds the near copies among images of distinct content, those to be listed first first."""

    index: Index
    traits: Sequence[Traits]
    groups: dict[int, Gathered] = field(default_factory=dict)
    """Position of a first image -> its group."""

    def find(self, stop: threading.Event) -> list[Gathered]:
        """The groups, in the order of their first images; none of those left after `stop`."""
        self.traits = [each for each in self.traits if has_hash(each.phash)]
        self._ids = np.array([each.id for each in self.traits], np.int64)
        self._taken = np.zeros(len(self.traits), bool)
        waiting: list[tuple[int, Positions]] = []
        count = 0
        for first, others in self._candidates(stop):
            waiting.append((first, others))
            count += len(others)
            if count >= _TOGETHER:
                self._settle(waiting)
                waiting, count = [], 0
        self._settle(waiting)
        return list(self.groups.values())

    def _candidates(self, stop: threading.Event) -> Iterator[tuple[int, Positions]]:
        """Images and, in parts, the later ones that look like them; embeddings will decide."""
        table = HashTable(as_hashes([each.phash or 0 for each in self.traits]), MOST_BITS)
        shots = shots_of(self.traits)
        for first in range(len(self.traits)):
            if stop.is_set():
                return
            if self._taken[first]:
                continue
            others = table.near(first)
            others = others[(others > first) & ~self._taken[others]]
            others = others[~shots.differ(first, others)]
            for start in range(0, len(others), _TOGETHER):
                yield first, others[start : start + _TOGETHER]

    def _settle(self, waiting: Sequence[tuple[int, Positions]]) -> None:
        """Decide, in order, which candidates join the group of their first image."""
        if not waiting:
            return
        rows = np.unique(np.concatenate([np.append(others, first) for first, others in waiting]))
        embeddings = embeddings_of(self.index, self._ids[rows].tolist())
        for first, others in waiting:
            if self._taken[first]:  # meanwhile it joined the group of an earlier one
                continue
            left = others[~self._taken[others]]
            cosines = (
                embeddings[np.searchsorted(rows, left)] @ embeddings[np.searchsorted(rows, first)]
            )
            joins = cosines >= NEAR_COSINE
            if joins.any():
                self._taken[left[joins]] = True
                group = self.groups.setdefault(first, Gathered([int(self._ids[first])]))
                group.take(self._ids[left[joins]].tolist(), cosines[joins])


def find_bursts(index: Index, traits: Sequence[Traits], stop: threading.Event) -> list[Gathered]:
    """Shots of one camera in quick succession that look alike; see `BURST_SECONDS`."""
    groups: list[Gathered] = []
    together: list[Positions] = []
    for run in (*_runs(traits), None):
        if stop.is_set():
            break
        if together and (run is None or sum(map(len, together)) + len(run) > _TOGETHER):
            ids = [[traits[each].id for each in positions] for positions in together]
            embeddings = embeddings_of(index, [each for run_ids in ids for each in run_ids])
            parts = np.split(embeddings, np.cumsum([len(each) for each in ids])[:-1])
            groups += [group for pair in zip(ids, parts, strict=True) for group in _gather(*pair)]
            together = []
        if run is not None:
            together.append(run)
    return groups


def _runs(traits: Sequence[Traits]) -> Iterator[Positions]:
    """Positions of pictures that one camera took in quick succession, ascending, two or more.

    A longer run than fits into memory, such as the frames of a film, is cut.
    """
    shots = shots_of(traits)
    known = np.flatnonzero(shots.known)
    order = known[np.lexsort((known, shots.time[known], shots.camera[known]))]
    gaps = np.diff(shots.time[order]) > np.timedelta64(BURST_SECONDS, "s")
    cuts = np.flatnonzero(gaps | (np.diff(shots.camera[order]) != 0)) + 1
    for run in np.split(order, cuts):
        for start in range(0, len(run), _TOGETHER):
            if len(part := run[start : start + _TOGETHER]) > 1:
                yield np.sort(part)


def _gather(ids: Sequence[int], embeddings: Embeddings) -> Iterator[Gathered]:
    """Groups of the images of a run that are alike, in the order of their ids."""
    left = np.arange(len(ids))
    while len(left) > 1:
        first, others = left[0], left[1:]
        cosines = embeddings[others] @ embeddings[first]
        joins = cosines >= BURST_COSINE
        if joins.any():
            group = Gathered([ids[first]])
            group.take([ids[each] for each in others[joins]], cosines[joins])
            yield group
        left = others[~joins]


def embeddings_of(index: Index, ids: Sequence[int]) -> Embeddings:
    """The embeddings of images that were there a moment ago.

    Raises:
        IndexChangedError: they are not any more.
    """
    try:
        return index.embeddings(ids)
    except QueryError as error:
        raise IndexChangedError(
            f"another process removed images from {index.folder}; run the same command again"
        ) from error
