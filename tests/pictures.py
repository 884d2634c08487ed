"""Pictures made for tests: each number gives another one, always the same."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A smooth pattern of random colours."""
    noise = np.random.default_rng(number).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def jpeg(number: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """The bytes of `picture(number)` as a JPEG file."""
    content = io.BytesIO()
    picture(number, size).save(content, "JPEG", quality=92)
    return content.getvalue()


def fill(folder: Path, count: int, first: int = 0) -> None:
    """Write `count` different pictures, `0000.jpg` onwards."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number:04}.jpg").write_bytes(jpeg(number))
