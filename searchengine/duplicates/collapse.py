"""Hits that show the same picture as a better one are folded into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.duplicates.hamming import Hashes, distances
from searchengine.duplicates.rules import MOST_BITS, NEAR_COSINE, Shots, as_hashes, has_hash
from searchengine.errors import QueryError
from searchengine.index import Index
from searchengine.types import Hit, IndexedImage

_BLOCK: Final = 512  # hashes compared with all others at a time


def collapse(index: Index, hits: Sequence[Hit]) -> list[Hit]:
    """Ranked hits without later exact or near copies of earlier ones, which get them as `copies`.

    Reads the catalog once, and once more where hits look alike; their order is kept.
    """
    if len(hits) < 2:
        return list(hits)
    content = {each.id: each.content for each in index.traits([hit.id for hit in hits])}
    kept = _Kept(index, [hit.image if hit.id in content else None for hit in hits])
    copies: dict[int, list[IndexedImage]] = {}  # position of a hit that stays -> its copies
    holder: dict[int, int] = {}  # content -> position of the hit that it went to
    for position, hit in enumerate(hits):
        # An image that left the index meanwhile is a content of its own.
        key = content.get(hit.id, -1 - position)
        first = holder.get(key)
        if first is None:
            first = kept.like(position)
        if first is None:
            kept.add(position)
            first = position
        holder[key] = first
        if first == position:
            copies[position] = list(hit.copies)
        else:
            copies[first] += [hit.image, *hit.copies]
    return [
        replace(hits[each], copies=tuple(found)) if found else hits[each]
        for each, found in copies.items()
    ]


class _Kept:
    """The hits that stay, and which of them is the first that another is a near copy of."""

    def __init__(self, index: Index, images: Sequence[IndexedImage | None]) -> None:
        hashed = [
            (at, each) for at, each in enumerate(images) if each and has_hash(each.info.phash)
        ]
        hashes = as_hashes([each.info.phash or 0 for _, each in hashed])
        alike = [hashed[row] for row in _with_neighbours(hashes)]
        try:
            self._embeddings = index.embeddings([each.id for _, each in alike])
        except QueryError:  # one left the index since it was found: the hits stay as they are
            alike = []
        self._hashes = as_hashes([each.info.phash or 0 for _, each in alike])
        infos = [each.info for _, each in alike]
        self._shots = Shots([info.taken_at for info in infos], [info.camera for info in infos])
        self._positions = [at for at, _ in alike]
        self._rows = {at: row for row, at in enumerate(self._positions)}
        self._kept = np.empty(len(alike), np.int64)  # rows, the first `_count` of it
        self._count = 0

    def add(self, position: int) -> None:
        """A hit stays."""
        if position in self._rows:
            self._kept[self._count] = self._rows[position]
            self._count += 1

    def like(self, position: int) -> int | None:
        """The position of the first kept hit that shows the same picture; None: there is none."""
        row = self._rows.get(position)
        if row is None:
            return None
        kept = self._kept[: self._count]
        near = kept[distances(self._hashes[kept], self._hashes[row]) <= MOST_BITS]
        near = near[~self._shots.differ(row, near)]
        near = near[self._embeddings[near] @ self._embeddings[row] >= NEAR_COSINE]
        return self._positions[near[0]] if len(near) else None


def _with_neighbours(hashes: Hashes) -> NDArray[np.int64]:
    """Which of (n,) hashes have another one near."""
    near = [
        np.count_nonzero(distances(hashes[at : at + _BLOCK, np.newaxis], hashes) <= MOST_BITS, 1)
        for at in range(0, len(hashes), _BLOCK)
    ]
    return np.flatnonzero(np.concatenate(near) > 1) if near else np.empty(0, np.int64)
