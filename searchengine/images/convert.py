"""Turn the pixels of any Pillow mode into 8-bit RGB that shows what a viewer would show."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageCms

_WHITE, _GREY = 255, 128
_NEARLY_WHITE: Final = 0.9
_DEPTHS: Final = (8, 10, 12, 14, 16)


def simplify(image: Image.Image) -> Image.Image:
    """Bring a loaded picture to a mode that can be averaged: L, RGB, RGBA, CMYK, I or F."""
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.mode in ("I", "F"):
        return image
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a picture from `simplify` into a new one of mode RGB, in sRGB, without metadata."""
    profile = image.info.get("icc_profile")
    if image.mode in ("I", "F"):
        image = stretch(image)
    elif image.mode == "RGBA":
        image = flatten(image)
    if profile and image.mode in ("RGB", "CMYK"):
        image = _to_srgb(image, profile)
    image = image.convert("RGB")
    image.info = {}  # an orientation or a profile left here could be applied twice
    return image


def flatten(image: Image.Image) -> Image.Image:
    """Lay an RGBA picture on white, or on mid-grey where it would vanish: a white logo."""
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB")
    weight = np.asarray(alpha, dtype=np.float32)
    light = np.asarray(image.convert("L"), dtype=np.float32) / 255
    visible = float(weight.sum())
    vanishes = visible > 0 and float((light * weight).sum()) / visible > _NEARLY_WHITE
    level = _GREY if vanishes else _WHITE
    flat = Image.new("RGB", image.size, (level, level, level))
    flat.paste(image, mask=alpha)
    return flat


def stretch(image: Image.Image) -> Image.Image:
    """Scale an integer (I) or float (F) picture into 0..255, mode L.

    Integers are scaled by the smallest depth of 8, 10, 12, 14 or 16 bits that holds their
    maximum: sensors write 12 bits into 16, where a plain division by 257 would give black. Wider
    ones, and floats that leave 0..1, by their own range. NaN and infinities become black.
    """
    values = np.array(image, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return Image.new("L", image.size)
    low = float(values.min(where=finite, initial=np.inf))
    high = float(values.max(where=finite, initial=-np.inf))
    if image.mode == "I":
        low = min(low, 0.0)
        high = next((2.0**bits - 1 for bits in _DEPTHS if high < 2**bits), high)
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    values[~finite] = low
    values -= low  # in place: the array may be hundreds of megabytes
    values /= max(high - low, np.finfo(np.float64).tiny)
    values *= 255
    return Image.fromarray(np.rint(values, out=values).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Apply the embedded ICC profile; a broken one, or one for other channels, is ignored."""
    try:
        converted = ImageCms.applyTransform(image, _transform(profile, image.mode))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    return converted or image


@lru_cache(maxsize=16)  # the pictures of one camera share a profile; building takes milliseconds
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
