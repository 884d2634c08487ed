"""An index of images that have no file: each a content, a hash and an embedding of one's choice."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from searchengine.index import Changes, Index, NewImage
from searchengine.types import EncoderSpec, ImageFile, ImageInfo

SPEC = EncoderSpec("toy", "f" * 64, 4)
ROOT = "/photos"
HASH = 0x0123456789ABCDEF

_digests = itertools.count()


def towards(degrees: float) -> np.ndarray:
    """A unit vector at an angle to the first axis."""
    angle = np.radians(degrees)
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)


def image(
    path: str,
    phash: int | None = None,
    degrees: float = 0,
    content: bytes | None = None,
    **info: Any,
) -> NewImage:
    """An image 640 x 480; without `content` it has one of its own."""
    digest = content or next(_digests).to_bytes(16)
    facts = {"width": 640, "height": 480, "format": "JPEG", "phash": phash, **info}
    return NewImage(ImageFile(ROOT, path, 10, 20), digest, ImageInfo(**facts), towards(degrees))


def put(index: Index, *images: NewImage) -> None:
    index.write(Changes(added=list(images)))


def flipped(count: int, start: int = 0, phash: int = HASH) -> int:
    """A hash that differs in `count` bits."""
    for bit in range(start, start + count):
        phash ^= 1 << bit
    return phash
