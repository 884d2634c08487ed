"""The perceptual hash: what keeps it, what changes it, and what has none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from searchengine.images import perceptual_hash
from searchengine.types import BLANK_PHASH

SIZE = (480, 360)


def photo(number: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """Broad shapes under finer ones, as in a photograph."""
    random = np.random.default_rng(number)
    broad, fine = (
        Image.fromarray(random.integers(0, 256, (rows, columns, 3), np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        for rows, columns in ((3, 4), (15, 20))
    )
    return Image.blend(broad, fine, 0.3)


def bits_apart(one: Image.Image, other: Image.Image) -> int:
    return ((perceptual_hash(one) ^ perceptual_hash(other)) & (2**64 - 1)).bit_count()


def reencoded(image: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


def cut(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share / 2), round(image.height * share / 2)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES = {
    "smaller": lambda image: image.resize((160, 120), Image.Resampling.LANCZOS),
    "larger": lambda image: image.resize((1200, 900), Image.Resampling.BICUBIC),
    "encoded at quality 50": lambda image: reencoded(image, 50),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "cut by 2 percent": lambda image: cut(image, 0.02),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_a_copy_differs_in_six_bits_at_most(change) -> None:
    assert max(bits_apart(photo(n), change(photo(n))) for n in range(12)) <= 6


def test_other_pictures_and_mirrored_ones_differ_in_many_bits() -> None:
    photos = [photo(number) for number in range(12)]
    pairs = [(one, other) for i, one in enumerate(photos) for other in photos[:i]]
    assert min(bits_apart(*pair) for pair in pairs) > 8
    assert min(bits_apart(each, ImageOps.mirror(each)) for each in photos) > 8


def test_half_of_the_bits_are_set_so_that_no_hash_is_the_blank_one() -> None:
    for number in range(20):
        found = perceptual_hash(photo(number))
        assert -(2**63) <= found < 2**63
        assert (found & (2**64 - 1)).bit_count() == 32


def noise(level: float, deviation: float) -> Image.Image:
    values = np.random.default_rng(0).normal(level, deviation, (SIZE[1], SIZE[0], 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def page(lines: int) -> Image.Image:
    image = Image.new("RGB", (850, 1100), "white")
    pen = ImageDraw.Draw(image)
    for line in range(lines):
        text = "the quick brown fox jumps over the lazy dog and runs away"
        pen.text((100, 90 + 25 * line), text, "black", ImageFont.load_default(18))
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", SIZE, "black"),
        Image.new("RGB", SIZE, "white"),
        Image.new("RGB", (1, 1), "red"),
        noise(0, 20),
        noise(128, 40),
        noise(250, 5),
        Image.linear_gradient("L").point(lambda level: 200 + level // 20).convert("RGB"),
        page(0),
        page(1),
        page(10),
        page(20),
    ],
    ids=[
        *("black", "white", "one pixel", "dark noise", "grey noise", "empty scan", "faint ramp"),
        *("empty page", "a line", "ten lines", "twenty lines"),
    ],
)
def test_what_says_too_little_is_blank(image: Image.Image) -> None:
    assert perceptual_hash(image) == BLANK_PHASH


@pytest.mark.parametrize("size", [(1, 700), (700, 1), (5, 5), (20, 3000), (31, 33)])
def test_any_shape_has_one(size: tuple[int, int]) -> None:
    assert isinstance(perceptual_hash(photo(3, size)), int)
