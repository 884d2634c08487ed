"""Hits that show the same picture as a better one are folded into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from searchengine.duplicates.hamming import distances
from searchengine.duplicates.rules import MOST_BITS, NEAR_COSINE, Shots, as_hashes, has_hash
from searchengine.errors import QueryError
from searchengine.index import Index
from searchengine.types import Hit, IndexedImage


def collapse(index: Index, hits: Sequence[Hit]) -> list[Hit]:
    """Ranked hits without later exact or near copies of earlier ones, which get them as `copies`.

    Reads the catalog once, and once more where hits look alike; their order is kept.
    """
    if len(hits) < 2:
        return list(hits)
    content = {each.id: each.content for each in index.traits([hit.id for hit in hits])}
    alike = _alike(index, [hit.image if hit.id in content else None for hit in hits])
    copies: dict[int, list[IndexedImage]] = {}  # position of a hit that stays -> its copies
    holder: dict[int, int] = {}  # content -> position of the hit that it went to
    for position, hit in enumerate(hits):
        # An image that left the index meanwhile is a content of its own.
        key = content.get(hit.id, -1 - position)
        first = holder.get(key)
        if first is None:
            earlier = np.flatnonzero(alike[position]).tolist()
            first = next((each for each in earlier if each in copies), position)
        holder[key] = first
        if first == position:
            copies[position] = list(hit.copies)
        else:
            copies[first] += [hit.image, *hit.copies]
    return [
        replace(hits[each], copies=tuple(found)) if found else hits[each]
        for each, found in copies.items()
    ]


def _alike(index: Index, images: Sequence[IndexedImage | None]) -> NDArray[np.bool_]:
    """Of n images, (n, n): whether one (row) is a near copy of an earlier one (column)."""
    alike = np.zeros((len(images), len(images)), bool)
    compared = [(i, each) for i, each in enumerate(images) if each and has_hash(each.info.phash)]
    infos = [each.info for _, each in compared]
    hashes = as_hashes([info.phash or 0 for info in infos])
    shots = Shots([info.taken_at for info in infos], [info.camera for info in infos])
    later, earlier = np.nonzero(np.tril(distances(hashes[:, None], hashes) <= MOST_BITS, -1))
    copies = ~shots.differ(later, earlier)
    later, earlier = later[copies], earlier[copies]
    rows = np.union1d(later, earlier)
    try:
        embeddings = index.embeddings([compared[row][1].id for row in rows]) if len(rows) else None
    except QueryError:  # one left the index since it was found: the hits stay as they are
        embeddings = None
    if embeddings is not None:
        cosines = embeddings @ embeddings.T
        near = cosines[np.searchsorted(rows, later), np.searchsorted(rows, earlier)] >= NEAR_COSINE
        place = np.array([i for i, _ in compared])
        alike[place[later[near]], place[earlier[near]]] = True
    return alike
