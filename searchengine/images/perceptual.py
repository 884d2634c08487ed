"""A hash that hardly changes when a picture is resized, re-encoded or brightened."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from searchengine.types import BLANK_PHASH

_SIDE: Final = 32
_LOW: Final = 8
"""The lowest frequencies of each direction; their 64 products are the bits."""
_SAMPLED: Final = 256
"""Samples a side: 64 for a cell of the small picture do as well as all, at a third of the time."""

_FAINT: Final = 4.0
"""Grey levels: below it the low frequencies of a picture are noise, or a line or two of text."""
_PLAIN: Final = 0.5
_LEVELS: Final = 5
"""A picture of which more than `_PLAIN` is within so many grey levels is a page or a drawing."""

_COSINES: Final = np.cos(np.pi / _SIDE * np.outer(np.arange(_LOW), np.arange(_SIDE) + 0.5)).astype(
    np.float32
)
_COSINES[0] /= np.sqrt(2)


def perceptual_hash(image: Image.Image) -> int:
    """The pHash of a picture of mode RGB: 64 bits as a signed integer, or `BLANK_PHASH`.

    A bit tells whether one of the 64 lowest frequencies (discrete cosine transform) of the grey
    picture of 32 x 32 is above their median: C. Zauner, "Implementation and Benchmarking of
    Perceptual Image Hash Functions", 2010. Half of the bits are set, so that 0 is never a hash:
    it stands for what is blank, noise, or mostly one flat level, as pages of text are. Such
    pictures agree in their outline and differ in what 32 x 32 cannot show.
    """
    sampled = (min(image.width, _SAMPLED), min(image.height, _SAMPLED))
    small = image.resize(sampled, Image.Resampling.NEAREST).resize(
        (_SIDE, _SIDE), Image.Resampling.BOX
    )
    grey = np.asarray(small.convert("L"))
    frequencies = (_COSINES @ grey.astype(np.float32) @ _COSINES.T).ravel()
    if _says_too_little(grey, frequencies):
        return BLANK_PHASH
    bits = np.packbits(frequencies > np.median(frequencies))
    return int.from_bytes(bits.tobytes(), "big", signed=True)


def _says_too_little(grey: NDArray[np.uint8], frequencies: NDArray[np.float32]) -> bool:
    strength = 2 / _SIDE**2 * np.linalg.norm(frequencies[1:])  # their share of the deviation
    if strength < _FAINT:
        return True
    counts = np.bincount(grey.ravel(), minlength=256)
    return bool(np.convolve(counts, np.ones(_LEVELS)).max() > _PLAIN * grey.size)
