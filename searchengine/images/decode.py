"""Read a picture file as the eye sees it: upright, opaque, 8-bit RGB, no larger than needed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import struct
import threading
import warnings
import zlib
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import BinaryIO, Final

from PIL import Image, ImageFile

from searchengine.errors import ImageError
from searchengine.images.convert import simplify, to_rgb
from searchengine.images.exif import describe, orientation, read_exif
from searchengine.images.formats import PILLOW_FORMATS, RAW_EXTENSIONS, extension
from searchengine.images.raw import preview
from searchengine.types import ImageInfo

MAX_PIXELS: Final = 256_000_000
"""A picture that would take more decoded pixels than this is refused."""

LARGE: Final = 32_000_000
# Pictures above it, of up to 1 GB each, wait for one another: otherwise N decoding threads in a
# folder of panoramas would take N times that.
_one_large_at_a_time = threading.Lock()

# What Pillow, pillow_heif and numpy raise on hostile bytes. A class missing here would stop a
# run over a million files at one of them.
_DECODER_ERRORS: Final = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError),
    *(AssertionError, ArithmeticError, MemoryError, RuntimeError, struct.error, zlib.error),
    Image.DecompressionBombError,
)

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_PILLOW_WARNINGS: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


@dataclass(frozen=True, slots=True)
class Picture:
    """Upright pixels, mode RGB and perhaps reduced, with the facts of the full picture."""

    image: Image.Image
    info: ImageInfo


def read(path: str, *, min_side: int, span: tuple[int, int] | None = None) -> Picture:
    """Read the picture file `path`; see `decode`. Camera RAW gives its embedded preview.

    With `span` (offset, size), the picture is that part of the file. Raises `ImageError` with the
    reason, one line without the path, whatever is wrong with it.
    """
    with _open(path) as file:
        if span:
            file.seek(span[0])
            return decode(io.BytesIO(file.read(span[1])), min_side=min_side)
        return decode_named(file, path, min_side=min_side)


def decode_named(file: BinaryIO, name: str, *, min_side: int) -> Picture:
    """Decode a binary file by its name: the preview where that is one of camera RAW."""
    kind = extension(name)
    if kind not in RAW_EXTENSIONS:
        return decode(file, min_side=min_side)
    shown, (width, height) = preview(file)
    picture = decode(shown, min_side=min_side)
    info = replace(picture.info, width=width, height=height, format=kind[1:].upper())
    return Picture(picture.image, info)


def digest(path: str) -> bytes:
    """The BLAKE2b hash of the whole content of a file, 16 bytes.

    Raises `ImageError` where `read` would for lack of a readable, non-empty file.
    """
    with _open(path) as file:
        try:
            return hash_content(file)
        except OSError as error:
            raise ImageError(_reason(error)) from error


def hash_content(file: io.BufferedIOBase) -> bytes:
    """The BLAKE2b hash of the whole content of an open file, 16 bytes."""
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()


def decode(file: BinaryIO, *, min_side: int) -> Picture:
    """Decode the first or main picture of a binary file that can seek. Safe in many threads.

    It is reduced by a whole factor such that the shorter side stays at least twice `min_side`
    (so that a resize to `min_side` keeps its quality), or stays as it is if already smaller.
    `info.width` and `info.height` are the displayed size of the picture as stored.

    Raises `ImageError` with a one-line reason.
    """
    if _PILLOW_WARNINGS not in warnings.filters:  # a test, or the host program, resets them
        warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        image = _identify(file)
        size, enough = image.size, 2 * min_side
        image.draft(None, (enough, enough))
        # A progressive JPEG is held whole while it is read, whatever the draft.
        width, height = size if "progressive" in image.info else image.size
        _check_bounds(width, height)
        with _one_large_at_a_time if width * height > LARGE else nullcontext():
            image.load()
            simple = simplify(image)
            upright = to_rgb(simple.reduce(max(1, min(simple.size) // enough)))
        exif = read_exif(image)
        turn = orientation(exif)
        if turn in _TURNS:
            upright = upright.transpose(_TURNS[turn])
        format_ = "JPEG" if image.format == "MPO" else image.format or ""
        return Picture(upright, describe(exif, size[::-1] if turn >= 5 else size, format_))
    except _DECODER_ERRORS as error:
        raise ImageError(_reason(error)) from error


def _open(path: str) -> io.BufferedReader:
    """Open a file that may be a picture: a regular one, readable and not empty."""
    try:
        state = os.stat(path)
        if stat.S_ISDIR(state.st_mode):
            raise ImageError("a folder, not a file")
        if not stat.S_ISREG(state.st_mode):  # opening a pipe would wait for ever
            raise ImageError("not a regular file")
        if state.st_size == 0:
            raise ImageError("empty file")
        return open(path, "rb")
    except (OSError, ValueError) as error:
        raise ImageError(_reason(error)) from error


def _identify(file: BinaryIO) -> ImageFile.ImageFile:
    """Read the header with the first Pillow plugin that can.

    In place of `Image.open`, whose limit of 179 million pixels counts before `draft` and can
    only be changed for the whole process: it refuses the JPEG files of 200-megapixel telephones.
    """
    _load_plugins()
    file.seek(0)
    prefix = file.read(64)
    problem: Exception | str = _what_it_looks_like(prefix)
    for name in PILLOW_FORMATS:
        factory, accept = Image.OPEN[name]
        accepted = accept(prefix[:16]) if accept else True
        if isinstance(accepted, str):  # this build of Pillow lacks the format
            problem = accepted
        elif accepted:
            file.seek(0)
            try:
                return factory(file, "")
            except _DECODER_ERRORS as error:
                problem = error
    raise ImageError(problem if isinstance(problem, str) else _reason(problem))


@cache
def _load_plugins() -> None:
    """Register the plugins of `PILLOW_FORMATS`; Pillow's own way would import all forty."""
    import pillow_heif
    from PIL import (  # noqa: F401
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    pillow_heif.register_heif_opener()


def _what_it_looks_like(prefix: bytes) -> str:
    """Say why a file that no plugin knows is not a picture."""
    text = prefix.decode("utf-8", errors="ignore")
    cut = 3  # bytes of a character that the prefix may have split
    whole = text and len(text.encode()) >= len(prefix) - cut
    if whole and all(c.isprintable() or c.isspace() for c in text):
        return "not a picture (its first bytes are text)"
    return f"not a picture in a known format (its first bytes are {prefix[:8].hex(' ')})"


def _check_bounds(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"too large: {width} x {height} is {width * height // 1_000_000} megapixels "
            f"to decode, the limit is {MAX_PIXELS // 1_000_000}"
        )


def _reason(error: Exception) -> str:
    """What is wrong with a file, in one short line, from what a library raised."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, EOFError) or "truncated" in text.lower():
        return "truncated file"
    return f"damaged: {text}"
