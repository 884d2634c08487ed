"""Small copies of pictures, to be shown."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from searchengine import images
from searchengine.errors import ImageError
from searchengine.scale.cluster.addresses import SourceError
from searchengine.scale.pictures import open_copy

if TYPE_CHECKING:
    import PIL.Image

    from searchengine.types import ImageFile


def thumbnail(file: ImageFile, box: tuple[int, int]) -> PIL.Image.Image:
    """A picture upright in RGB, reduced to fit into `box` (width, height).

    Raises `ImageError` with the reason when it cannot be read.
    """
    picture = _read(file, min(box) // 2).image
    picture.thumbnail(box)
    return picture


def _read(file: ImageFile, min_side: int) -> images.Picture:
    try:
        copy = open_copy(file)
    except SourceError as error:
        raise ImageError(str(error)) from error
    if copy is None:
        return images.read(file.absolute, min_side=min_side)
    with copy:
        return images.decode_named(copy, file.path, min_side=min_side)


def data_uri(picture: PIL.Image.Image) -> str:
    """A picture as a JPEG inside its own address, for a page that carries all it shows."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
