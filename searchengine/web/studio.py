"""Where pictures are made small: what does it, and what keeps the results."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, BinaryIO, Final, NamedTuple

from fastapi import Depends, FastAPI, Request

from searchengine import images
from searchengine.errors import ImageError
from searchengine.web.problems import Problem
from searchengine.web.rendering import Renderer
from searchengine.web.settings import Settings
from searchengine.web.thumbnail_cache import PictureCache

_UPLOADS_BYTES: Final = 128 * 1024 * 1024
_EFFORT: Final = 2  # of 6: half the time of WebP's usual 4, for files as large


class Shape(NamedTuple):
    """What is made of a picture."""

    side: int
    """Of the square, in pixels, that it fits into."""
    quality: int
    """WebP's, of 100."""


class Studio:
    """The threads that make pictures small, and the caches of thumbnails and of uploads."""

    def __init__(self, settings: Settings):
        self.renderer = Renderer()
        self.thumbnails = PictureCache(settings.cache / "thumbnails", settings.cache_bytes)
        self.uploads = PictureCache(settings.cache / "uploads", _UPLOADS_BYTES)
        self.reading = 0
        """Uploads that are being received."""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The studio is there while the server is."""
    app.state.studio = Studio(app.state.settings)
    yield
    app.state.studio.renderer.close()


async def _studio(request: Request) -> Studio:
    state = request.app.state
    if not hasattr(state, "studio"):  # in the event loop, where nothing can come in between
        state.studio = Studio(state.settings)
    studio: Studio = state.studio
    return studio


TheStudio = Annotated[Studio, Depends(_studio)]
"""The studio, as a route asks for it."""


def small_webp(file: BinaryIO, name: str, shape: Shape) -> tuple[bytes, tuple[int, int]]:
    """A picture as a WebP file of some shape, upright and opaque, and its own (width, height).

    Args:
        file: The picture's file, open.
        name: Its name, by which camera RAW is known.
        shape: What to make of it; a smaller picture keeps its size.

    Raises:
        Problem: 415, with the reason why it cannot be read.
    """
    try:
        picture = images.decode_named(file, name, min_side=shape.side // 2)
    except ImageError as error:
        raise Problem(415, f"this picture cannot be shown: {error}") from error
    picture.image.thumbnail((shape.side, shape.side))
    content = io.BytesIO()
    picture.image.save(content, "WEBP", quality=shape.quality, method=_EFFORT)
    return content.getvalue(), (picture.info.width, picture.info.height)
