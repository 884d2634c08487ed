"""A million embeddings to benchmark the vector index with, grown from crops of photographs.

Embeddings of random vectors are too easy or too hard to search; these are real ones, and what is
made between them is as far from them as another crop of the same photograph would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from searchengine import images
from searchengine.types import Embeddings, Encoder

SMALLEST = 0.3  # share of a photograph's area that a crop keeps at least
BLOCK = 20_000


class Crops(NamedTuple):
    """Embeddings of crops: (photographs, crops of each, dim), unit norm."""

    stored: NDArray[np.float32]
    held_out: Embeddings
    """One more crop of each photograph, to search with."""


def embed_crops(encoder: Encoder, photographs: Sequence[str], each: int) -> Crops:
    """Embed `each` random crops, half of them mirrored, and a held-out one, of photographs."""
    rows = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(photographs), 32):  # all at once would fill the memory
            seeds = range(start, min(start + 32, len(photographs)))
            pixels = pool.map(lambda i: _crops(encoder, photographs[i], each + 1, i), seeds)
            rows.append(encoder.encode_images(np.concatenate(list(pixels))))
    embeddings = np.concatenate(rows).reshape(len(photographs), each + 1, -1)
    return Crops(embeddings[:, 1:], embeddings[:, 0])


def _crops(encoder: Encoder, path: str, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    picture = images.read(path, min_side=min(encoder.pixel_shape[1:])).image
    pixels = []
    for _ in range(count):
        side = np.sqrt(rng.uniform(SMALLEST, 1))
        width, height = (max(1, round(length * side)) for length in picture.size)
        left = rng.integers(picture.width - width + 1)
        top = rng.integers(picture.height - height + 1)
        crop = picture.crop((left, top, left + width, top + height))
        crop = ImageOps.mirror(crop) if rng.random() < 0.5 else crop
        scale = min(encoder.pixel_shape[1:]) / min(crop.size)
        size = (max(1, round(crop.width * scale)), max(1, round(crop.height * scale)))
        pixels.append(encoder.preprocess(crop.resize(size, Image.Resampling.BICUBIC)))
    return np.stack(pixels)


def spread(crops: NDArray[np.float32]) -> float:
    """How far a crop lies from the nearest line through two other crops of its photograph.

    The median of it, over a sample of (n, m, dim).
    """
    rng = np.random.default_rng(1)
    distances = []
    for photograph in rng.permutation(len(crops))[:300]:
        one, *others = crops[photograph]
        ends = np.array(others)
        starts, ways = ends[:, None], ends[None] - ends[:, None]
        lengths = np.maximum((ways**2).sum(-1), 1e-9)
        along = np.clip(((one - starts) * ways).sum(-1) / lengths, 0, 1)
        gaps = one - (starts + along[..., None] * ways)
        distances.append(np.sqrt((gaps**2).sum(-1)[~np.eye(len(ends), dtype=bool)].min()))
    return float(np.median(distances))


def grow(crops: NDArray[np.float32], count: int) -> Iterator[Embeddings]:
    """`count` embeddings in blocks: the crops, then points between two crops of a photograph.

    The noise on the latter is the difference of two crops of some other photograph, as long as
    `spread`: it varies where real embeddings vary.
    """
    rng, noise = np.random.default_rng(2), spread(crops)
    photographs, each, dim = crops.shape
    yield crops.reshape(-1, dim)[:count]
    for start in range(photographs * each, count, BLOCK):
        size = min(BLOCK, count - start)
        one, other, third, fourth = rng.integers(each, size=(4, size))
        photograph, elsewhere = rng.integers(photographs, size=(2, size))
        share = rng.random((size, 1), dtype=np.float32)
        between = share * crops[photograph, one] + (1 - share) * crops[photograph, other]
        apart = crops[elsewhere, third] - crops[elsewhere, fourth]
        apart += (1e-3 * rng.standard_normal((size, dim))).astype(np.float32)
        apart *= noise / np.linalg.norm(apart, axis=1, keepdims=True)
        yield _unit(between + apart)


def _unit(rows: NDArray[np.float32]) -> Embeddings:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def widening(dim: int, wide: int) -> NDArray[np.float32]:
    """A fixed random orthonormal (dim, wide): it keeps all cosines and fills all dimensions."""
    square = np.random.default_rng(3).standard_normal((wide, dim))
    return np.ascontiguousarray(np.linalg.qr(square)[0].T, np.float32)


def photographs_in(folder: Path, count: int) -> list[str]:
    found = (f for f in images.walk(str(folder)) if not isinstance(f, images.UnreadableFolder))
    return [f.absolute for f, _ in zip(found, range(count), strict=False)]
