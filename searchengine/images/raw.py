"""The preview that cameras put into their RAW files; needs the optional library `rawpy`."""

from __future__ import annotations

import io
from typing import BinaryIO, Final

import numpy as np
from PIL import Image

from searchengine.errors import ImageError

_QUARTER_TURNS: Final = {3: 2, 5: 1, 6: -1}  # LibRaw's `flip`, counter-clockwise


def preview(file: BinaryIO) -> tuple[BinaryIO, tuple[int, int]]:
    """The preview as a picture file of its own, and the displayed size of the RAW picture.

    Raises `ImageError` where there is none, or rawpy is not installed.
    """
    try:
        import rawpy
    except ImportError as error:
        raise ImageError("camera RAW needs rawpy: pip install 'searchengine[raw]'") from error
    try:
        with rawpy.imread(file) as raw:
            sizes, found = raw.sizes, raw.extract_thumb()
    except (rawpy.LibRawError, rawpy.NotSupportedError, OSError, ValueError, MemoryError) as error:
        raise ImageError(f"no readable preview in this RAW file: {_words(error)}") from error
    size = (sizes.height, sizes.width) if sizes.flip in (5, 6) else (sizes.width, sizes.height)
    if isinstance(found.data, bytes):  # a JPEG file; LibRaw sees to its EXIF orientation
        return io.BytesIO(found.data), size
    upright = np.rot90(found.data, _QUARTER_TURNS.get(sizes.flip, 0))
    bitmap = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(upright)).save(bitmap, "BMP")
    return bitmap, size


def _words(error: Exception) -> str:
    """The message of an error; LibRaw's are bytes."""
    text = error.args[0] if error.args else type(error).__name__
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
