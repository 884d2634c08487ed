"""Example pictures that a browser sends: read within bounds, and kept small for a while."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.responses import Response

from searchengine.web.problems import Problem
from searchengine.web.studio import Shape, TheStudio, small_webp
from searchengine.web.thumbnail_cache import PictureCache

_SHAPE: Final = Shape(1024, 85)
_DIGITS: Final = 32
_AT_ONCE: Final = 8  # bodies in memory while they come in
_PICTURES: Final = ("image/", "application/octet-stream")

router = APIRouter(prefix="/api", tags=["uploads"])

Key = Annotated[str, Path(pattern=f"^[0-9a-f]{{{_DIGITS}}}$")]


class Upload(BaseModel):
    """An example picture that is kept; `key` names it in a search."""

    key: str
    width: int
    height: int


async def read_picture(request: Request, studio: TheStudio) -> bytes:
    """The body of a request, a picture as it is, within `Settings.upload_bytes`.

    Raises:
        Problem: 413, it is larger; 415, it is not sent as a picture; 503, too many come at once.
    """
    kind = request.headers.get("content-type", _PICTURES[0]).strip().lower()
    if not kind.startswith(_PICTURES):
        raise Problem(
            415, "send the picture itself as the body, with its Content-Type: image/jpeg or such"
        )
    bound = request.app.state.settings.upload_bytes
    if int(request.headers.get("content-length") or 0) > bound:
        raise _too_large(bound)
    if studio.reading >= _AT_ONCE:
        raise Problem(
            503, "too many pictures come in at once; try again", headers={"Retry-After": "1"}
        )
    studio.reading += 1
    try:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > bound:
                raise _too_large(bound)
    finally:
        studio.reading -= 1
    return bytes(body)


def _too_large(bound: int) -> Problem:
    return Problem(413, f"the picture is larger than {bound} bytes; send a smaller copy")


PICTURE_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
"""What the OpenAPI document says of a route that takes `SentPicture`: `openapi_extra`."""

SentPicture = Annotated[bytes, Depends(read_picture)]
"""The body of a request, as a route asks for it."""


class Uploads:
    """The example pictures that are kept, by their keys."""

    def __init__(self, cache: PictureCache):
        self._cache = cache

    def resolve(self, key: str) -> bytes:
        """A kept picture, as a WebP file.

        Raises:
            Problem: 410, it is kept no more, or never was.
        """
        content = self._cache.get(key)
        if content is None:
            raise Problem(410, "the example picture is no longer here; drop it again")
        return content

    def keep(self, key: str, content: bytes) -> Upload:
        """Keep a small copy of a picture.

        Raises:
            Problem: 415, it cannot be read as one; 503, the disk does not take it.
        """
        small, (width, height) = small_webp(io.BytesIO(content), "", _SHAPE)
        if not self._cache.put(key, small):
            raise Problem(503, "the example picture cannot be kept: is there room on the disk?")
        return Upload(key=key, width=width, height=height)


async def _uploads(studio: TheStudio) -> Uploads:
    return Uploads(studio.uploads)


KeptUploads = Annotated[Uploads, Depends(_uploads)]
"""The uploads, as a route asks for them."""


@router.post("/uploads", status_code=201, openapi_extra=PICTURE_BODY)
async def upload(
    request: Request, content: SentPicture, studio: TheStudio, uploads: KeptUploads
) -> Upload:
    """Keep a picture for searches by example: the body is the picture itself."""
    key = hashlib.sha256(content).hexdigest()[:_DIGITS]
    make = partial(uploads.keep, key, content)
    return await studio.renderer.do(request, f"upload {key}", make)


@router.get(
    "/uploads/{key}",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}},
)
def uploaded(key: Key, uploads: KeptUploads) -> Response:
    """A kept picture, as a WebP file."""
    headers = {"Cache-Control": "private, max-age=86400, immutable", "ETag": f'"{key}"'}
    return Response(uploads.resolve(key), headers=headers, media_type="image/webp")
