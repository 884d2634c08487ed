"""Hamming distances between hashes of 64 bits, and which of many hashes are near to one."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Hashes: TypeAlias = NDArray[np.uint64]
Positions: TypeAlias = NDArray[np.int64]

_PAIRS: Final = np.uint64(0x5555555555555555)
_FOURS: Final = np.uint64(0x3333333333333333)
_BYTES: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_SUM: Final = np.uint64(0x0101010101010101)
_ONE, _TWO, _FOUR, _TOP = (np.uint64(shift) for shift in (1, 2, 4, 56))


def distances(these: Hashes, others: Hashes) -> NDArray[np.uint64]:
    """In how many bits hashes differ; the shapes broadcast."""
    bits = these ^ others
    bits -= (bits >> _ONE) & _PAIRS
    bits = (bits & _FOURS) + ((bits >> _TWO) & _FOURS)
    bits = (bits + (bits >> _FOUR)) & _BYTES
    return (bits * _SUM) >> _TOP


class HashTable:
    """Finds which of (n,) hashes differ from one of them in few bits, without comparing all.

    Cut into one band more than bits may differ, two near hashes are equal in at least one band.
    Each band has a table of all its values, so `most` is to be 4 or more: bands of 13 bits.
    """

    def __init__(self, hashes: Hashes, most: int) -> None:
        self._hashes = hashes
        self._most = most
        edges = np.linspace(0, 64, most + 2).astype(int).tolist()
        self._bands = [
            (np.uint64(low), np.uint64((1 << (high - low)) - 1)) for low, high in pairwise(edges)
        ]
        self._buckets = [_buckets(self._band(hashes, band), band) for band in self._bands]

    def near(self, position: int) -> Positions:
        """Positions of the hashes within the distance of the one at a position, ascending."""
        hash_ = self._hashes[position]
        equal = []
        for band, (order, starts) in zip(self._bands, self._buckets, strict=True):
            key = int(self._band(hash_, band))
            equal.append(order[starts[key] : starts[key + 1]])
        found = np.concatenate(equal)
        return np.unique(found[distances(self._hashes[found], hash_) <= self._most])

    @staticmethod
    def _band(hashes: Hashes, band: tuple[np.uint64, np.uint64]) -> Hashes:
        low, mask = band
        return (hashes >> low) & mask


def _buckets(keys: Hashes, band: tuple[np.uint64, np.uint64]) -> tuple[Positions, Positions]:
    """The positions sorted by key, and where in them each key starts."""
    order = np.argsort(keys, kind="stable")
    possible = np.arange(int(band[1]) + 2, dtype=np.uint64)
    return order, np.searchsorted(keys[order], possible)
