"""Which embeddings a search is among."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from searchengine.vectors.store import Bits, Ids, Places, Store


class Chosen:
    """The embeddings of a store that have one of some ids, while the store is not changed."""

    def __init__(self, store: Store, allowed: Ids) -> None:
        self._store = store
        self._mask = _mask(store, allowed)

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self._mask))

    @cached_property
    def places(self) -> Places:
        """Where they are, (n,)."""
        found, table = np.flatnonzero(self._mask), self._store.places
        return found if table is None else table[found].astype(np.int64)

    @cached_property
    def by_id(self) -> Bits:
        """For each id from 0 whether it is one of them; of no use where ids lie far apart."""
        return np.packbits(self._mask, bitorder="little")

    @cached_property
    def by_place(self) -> Bits:
        """For each place whether it is."""
        mask = self._mask if self._store.places is None else self._mask[self._store.ids]
        return np.packbits(mask, bitorder="little")


def _mask(store: Store, allowed: Ids) -> NDArray[np.bool_]:
    """For each id from 0 whether it is there and allowed; where ids lie far apart, by place."""
    table = store.places
    if table is None:
        return np.isin(store.ids, allowed)
    mask, allowed = np.zeros(table.size, np.bool_), np.asarray(allowed, np.int64)
    # As unsigned numbers, negative ids are large ones too.
    if allowed.size and allowed.view(np.uint64).max() >= table.size:
        allowed = allowed[(allowed >= 0) & (allowed < table.size)]
    mask[allowed] = True
    mask &= store.is_taken
    return mask
