"""When two pictures count as copies, or as shots of one burst. Measured on photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.index import Traits
from searchengine.types import BLANK_PHASH

MOST_BITS: Final = 8
"""In which the perceptual hashes of near copies may differ."""
NEAR_COSINE: Final = 0.5
"""Least cosine of near copies. Low: small copies lose detail that an encoder sees, and of distinct
photographs one pair in 150 reaches it."""
BURST_COSINE: Final = 0.75
"""Least cosine of shots of a burst; of distinct photographs one pair in 7,000 reaches it."""
BURST_SECONDS: Final = 3
"""Most seconds from a shot of a burst to the next."""


class Shots:
    """When, and with what camera, n pictures were taken: arrays with a row for each."""

    def __init__(self, taken_at: Sequence[str | None], camera: Sequence[str | None]) -> None:
        # Local time: shots of one camera have one offset, if any.
        times = [each[:19] if each else "NaT" for each in taken_at]
        self.time = np.array(times, "datetime64[s]")
        codes = {name: code for code, name in enumerate(dict.fromkeys(camera))}
        self.camera = np.array([codes[each] for each in camera], np.int64)
        without = np.array([each is None for each in camera], bool)
        self.known: NDArray[np.bool_] = ~(without | np.isnat(self.time))

    def differ(
        self, these: int | NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which pairs one camera took at different seconds: two shots, however alike."""
        known = self.known[these] & self.known[others]
        same_camera = self.camera[these] == self.camera[others]
        return np.asarray(known & same_camera & (self.time[these] != self.time[others]))


def shots_of(traits: Sequence[Traits]) -> Shots:
    """When and with what camera images were taken."""
    return Shots([each.taken_at for each in traits], [each.camera for each in traits])


def as_hashes(phashes: Sequence[int]) -> NDArray[np.uint64]:
    """Stored hashes, signed, as the bits they stand for."""
    return np.array(phashes, np.int64).view(np.uint64)


def has_hash(phash: int | None) -> bool:
    """Tell whether a picture was hashed and is not blank."""
    return phash is not None and phash != BLANK_PHASH
