"""Where in a picture is what a text says: sliding windows scored against the text.

Square windows of several sizes are cut out and encoded. Every pixel gets the scores of the windows
that cover it; the box is drawn around the hottest of them. No training, any two-tower encoder.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine import images
from searchengine.errors import QueryError
from searchengine.types import Encoder, Pixels

if TYPE_CHECKING:
    import PIL.Image

Box: TypeAlias = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels; right and bottom are the first ones outside."""

# The choices below were compared on scenes with known boxes: scripts/locate_accuracy.py.
_SIZES = (2 / 3, 1 / 2, 1 / 3, 1 / 4)  # of a window, as a share of the shorter side
_STRIDE = 1 / 4  # of a window, while that makes no more than
_MOST = 420  # windows in all
_LONGEST = 6  # a panorama longer than so many times its height has windows cut off at its edge
_CELLS = 96  # of the heat map, along the longer side
_PRIOR = 1.0  # how much the average counts in a cell, beside as many windows as cover any cell
_EDGE = 0.7  # the box's region is at least that hot; the hottest pixel is 1, the coldest 0
_ROUNDING = 1e-5  # a map that varies less than that is flat


@dataclass(frozen=True)
class Location:
    """Where a text is in a picture.

    `heat` is (H, W) float32 in [0, 1], as large as the picture; `score` is the cosine of the text
    and of what is in the box.
    """

    heat: NDArray[np.float32]
    box: Box
    score: float


def locate(encoder: Encoder, image: PIL.Image.Image, text: str) -> Location:
    """Find where an RGB picture shows what the text says; there is always a place, fitting or not.

    What counts is how a window's cosine differs from the mean of its size, because small windows
    fit any text less well than large ones. A picture that is the same everywhere has no heat, and
    a box around all of it. Raises `QueryError` for an empty text.
    """
    if not text.strip():
        raise QueryError("the text is empty; say what to look for in the picture")
    embedding = encoder.encode_texts([text])[0]
    image.load()  # once, before threads cut from it
    sizes = _windows(*image.size)
    windows = np.concatenate(sizes)
    cosines = _encode(encoder, image, windows) @ embedding
    heat = _heat(windows, _centred(cosines, sizes), image.size)
    box = _box(heat, image.size)
    found = _encode(encoder, image, np.array([box]))[0]
    return Location(_enlarged(heat, image.size), box, float(found @ embedding))


def _windows(width: int, height: int) -> list[NDArray[np.int64]]:
    """For each size, the boxes (n, 4) of windows that cover the picture from edge to edge."""
    unit = max(min(width, height), max(width, height) / _LONGEST)
    stride = _STRIDE
    while True:
        sizes = [_grid(width, height, unit * share, stride) for share in _SIZES]
        if sum(len(windows) for windows in sizes) <= _MOST:
            return sizes
        stride *= 1.1


def _grid(width: int, height: int, side: float, stride: float) -> NDArray[np.int64]:
    wide, high = (max(1, min(round(side), length)) for length in (width, height))
    lefts, tops = _starts(width, wide, stride), _starts(height, high, stride)
    left, top = (each.ravel() for each in np.meshgrid(lefts, tops))
    return np.stack([left, top, left + wide, top + high], axis=1)


def _starts(length: int, side: int, stride: float) -> NDArray[np.int64]:
    """Where windows begin on a line: evenly, from its one end to its other."""
    count = math.ceil((length - side) / (stride * side)) + 1
    return np.unique(np.linspace(0, length - side, count).round().astype(np.int64))


def _encode(
    encoder: Encoder, image: PIL.Image.Image, windows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The (n, dim) embeddings of n windows; a pool of threads cuts and scales them."""

    def cut(window: NDArray[np.int64]) -> Pixels:
        return encoder.preprocess(image.crop(tuple(window.tolist())))

    # Batches of like size: a small last one would have the encoder load its other runtime.
    size = math.ceil(len(windows) / math.ceil(len(windows) / encoder.batch_size))
    batches = images.read_batches(cut, windows, size, threading.Event())
    return np.concatenate([encoder.encode_images(np.stack(batch)) for batch in batches])


def _centred(
    cosines: NDArray[np.float32], sizes: Sequence[NDArray[np.int64]]
) -> NDArray[np.float32]:
    """The cosines of all windows, less the mean of their size."""
    parts = np.split(cosines, np.cumsum([len(windows) for windows in sizes])[:-1])
    return np.concatenate([part - part.mean() for part in parts])


def _heat(
    windows: NDArray[np.int64], scores: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.float64]:
    """A coarse map (rows, columns) in [0, 1]: in each cell the mean score of what covers it.

    The mean counts some windows of score 0 too, so that it does not run to extremes at the edges
    and in the corners, where few windows or a single one decide.
    """
    columns, rows = (max(1, min(side, round(_CELLS * side / max(size)))) for side in size)
    across = _cover(windows[:, 0], windows[:, 2], size[0], columns)
    down = _cover(windows[:, 1], windows[:, 3], size[1], rows)
    coverage = down.T @ across
    total = (down * scores[:, np.newaxis]).T @ across
    heat: NDArray[np.float64] = total / (coverage + _PRIOR * coverage.max())
    heat -= heat.min()
    if heat.max() < _ROUNDING:
        return np.zeros_like(heat)
    heat /= heat.max()
    return heat


def _cover(
    starts: NDArray[np.int64], ends: NDArray[np.int64], length: int, cells: int
) -> NDArray[np.float64]:
    """Which share (n, cells) of each cell of a line each of n windows covers."""
    edges = np.linspace(0, length, cells + 1)
    first = np.maximum(edges[:-1], starts[:, np.newaxis])
    last = np.minimum(edges[1:], ends[:, np.newaxis])
    covered: NDArray[np.float64] = np.maximum(last - first, 0)
    return covered * cells / length


def _box(heat: NDArray[np.float64], size: tuple[int, int]) -> Box:
    """The box around the hot region that holds the hottest cell, in pixels of the picture."""
    region = _region(heat >= min(_EDGE, heat.max()), int(heat.argmax()))
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    wide, high = size[0] / heat.shape[1], size[1] / heat.shape[0]
    return (
        math.floor(columns[0] * wide),
        math.floor(rows[0] * high),
        min(size[0], math.ceil((columns[-1] + 1) * wide)),
        min(size[1], math.ceil((rows[-1] + 1) * high)),
    )


def _region(mask: NDArray[np.bool_], start: int) -> NDArray[np.bool_]:
    """The part of a mask that is connected, side by side, with the cell of that flat index."""
    region = np.zeros_like(mask)
    region.flat[start] = True
    while True:
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= mask
        if np.array_equal(grown, region):
            return region
        region = grown


def _enlarged(heat: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    from PIL import Image

    smooth = Image.fromarray(heat.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(smooth, np.float32).clip(0, 1)
