"""Training and validation images: apart by image, and copies of a picture on the same side."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from searchengine import images
from searchengine.errors import ImageError, TrainingError
from searchengine.types import CaptionedImage


def split(
    captioned: Sequence[CaptionedImage], fraction: float, seed: int
) -> tuple[list[CaptionedImage], list[CaptionedImage]]:
    """Hold out a fraction of the images, in (0, 1), at least two; the rest is for training.

    Files with the same content stay together, whatever their names. Raises `TrainingError` when
    there are too few images.
    """
    contents = _contents(captioned)
    order = list(dict.fromkeys(contents))
    random.Random(seed).shuffle(order)
    wanted = max(2, round(fraction * len(captioned)))
    copies, held, count = Counter(contents), set(), 0
    for content in order:
        if count >= wanted:
            break
        held.add(content)
        count += copies[content]
    train = [i for i, c in zip(captioned, contents, strict=True) if c not in held]
    validation = [i for i, c in zip(captioned, contents, strict=True) if c in held]
    if len(train) < 2 or len(validation) < 2:
        raise TrainingError(
            f"{len(captioned)} captioned images are too few to train on some and validate on "
            "others: at least four different pictures are needed"
        )
    return train, validation


def without(
    captioned: Sequence[CaptionedImage], others: Sequence[CaptionedImage]
) -> list[CaptionedImage]:
    """The images whose content is not among `others`."""
    contents = _contents([*captioned, *others])
    known = set(contents[len(captioned) :])
    return [i for i, c in zip(captioned, contents, strict=False) if c not in known]


def _contents(captioned: Sequence[CaptionedImage]) -> list[str]:
    """What tells contents apart: the place, or for files of equal size their digest."""
    sizes = [_size(image) for image in captioned]
    seen = Counter(sizes)
    return [
        _digest(image) if image.span is None and seen[size] > 1 else f"{image.path} {image.span}"
        for image, size in zip(captioned, sizes, strict=True)
    ]


def _size(image: CaptionedImage) -> int:
    try:
        return Path(image.path).stat().st_size
    except OSError:
        return -1


def _digest(image: CaptionedImage) -> str:
    try:
        return images.digest(image.path).hex()
    except ImageError:
        return image.path
