"""Small copies of pictures, to be shown."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from searchengine import images

if TYPE_CHECKING:
    import PIL.Image


def thumbnail(path: str, box: tuple[int, int]) -> PIL.Image.Image:
    """A picture upright in RGB, reduced to fit into `box` (width, height).

    Raises `ImageError` with the reason when it cannot be read.
    """
    picture = images.read(path, min_side=min(box) // 2).image
    picture.thumbnail(box)
    return picture


def data_uri(picture: PIL.Image.Image) -> str:
    """A picture as a JPEG inside its own address, for a page that carries all it shows."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
