"""Routes of the pictures themselves: small copies, and the files."""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import replace
from functools import partial
from typing import Annotated, Final, Literal, TypeAlias

from anyio import to_thread
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from searchengine.catalog.paths import is_url
from searchengine.types import ImageFile, IndexedImage
from searchengine.web.asking import LARGEST_ID, IndexName
from searchengine.web.file_answer import answer, matches
from searchengine.web.library import Library, Served
from searchengine.web.picture_files import open_indexed, open_inside, state_of
from searchengine.web.problems import Problem
from searchengine.web.studio import Shape, TheStudio, lifespan, small_webp
from searchengine.web.thumbnail_cache import PictureCache

Size: TypeAlias = Literal["small", "large"]


_SHAPES: Final[dict[Size, Shape]] = {"small": Shape(400, 78), "large": Shape(1600, 82)}

_LOOKS: Final = b"1"  # another one when thumbnails of the same file are to look different
_MEDIA_TYPES: Final = {
    name: f"image/{name.lower()}"
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
}

_UNKNOWN_TYPE: Final = "application/octet-stream"

router = APIRouter(tags=["pictures"], lifespan=lifespan)

ImageId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.head("/api/images/{image_id}/thumbnail", include_in_schema=False)
@router.get(
    "/api/images/{image_id}/thumbnail",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}, 304: {"description": "It is known"}},
)
async def thumbnail(
    request: Request,
    image_id: ImageId,
    library: Served,
    studio: TheStudio,
    index: IndexName = None,
    size: Size = "small",
) -> Response:
    """A small copy of a picture, WebP, that fits into 400 or 1600 pixels each way.

    One that was made before is there even while the picture's drive is not.
    """
    image = await to_thread.run_sync(_find, library, index, image_id)
    key = _key(image.file, size)
    if matches(request.headers.get("if-none-match"), _etag(key)):
        return Response(status_code=304, headers=_headers(key))
    content = await to_thread.run_sync(studio.thumbnails.get, key)
    if content is None:
        make = partial(_make, studio.thumbnails, image.file, size)
        key, content = await studio.renderer.do(request, key, make)
    return Response(content, headers=_headers(key), media_type="image/webp")


@router.head("/api/images/{image_id}/original", include_in_schema=False)
@router.get(
    "/api/images/{image_id}/original",
    response_class=Response,
    responses={
        200: {"content": {each: {} for each in (*_MEDIA_TYPES.values(), _UNKNOWN_TYPE)}},
        206: {"description": "The part that was asked for"},
        304: {"description": "It is known"},
    },
)
async def original(
    request: Request,
    image_id: ImageId,
    library: Served,
    studio: TheStudio,
    index: IndexName = None,
) -> Response:
    """The file itself, or the part of it that a Range header asks for."""
    image = await to_thread.run_sync(_find, library, index, image_id)
    media_type = _MEDIA_TYPES.get(image.info.format, _UNKNOWN_TYPE)
    name = os.path.basename(image.path)
    open_it = partial(open_inside, image.file)
    if is_url(image.file.root):  # a store that does not answer holds up pictures only
        file = await studio.renderer.do(request, secrets.token_hex(8), open_it)
    else:
        file = await to_thread.run_sync(open_it)
    return answer(file, request.headers, media_type, name, {"Cache-Control": "private, no-cache"})


def _find(library: Library, index: str | None, image_id: int) -> IndexedImage:
    for image in library.engine(index).catalog.images([image_id]):
        return image
    raise Problem(404, f"no image has the id {image_id} in this index")


def _make(cache: PictureCache, file: ImageFile, size: Size) -> tuple[str, bytes]:
    """The key and the content of a thumbnail, which is also kept.

    A file that has changed since it was indexed is shown as it is, under a key of its own: that of
    its former state must never give anything else.
    """
    with open_indexed(file) as opened:
        bytes_, mtime_ns = state_of(opened)
        key = _key(replace(file, size=bytes_, mtime_ns=mtime_ns), size)
        content = cache.get(key)
        if content is None:
            content, _ = small_webp(opened, file.path, _SHAPES[size])
            cache.put(key, content)
    return key, content


def _key(file: ImageFile, size: Size) -> str:
    """Stands for the content of a thumbnail: the file's path and state, and the size."""
    parts = (
        _LOOKS,
        size.encode(),
        file.root.encode("utf-8", "surrogatepass"),
        file.path.encode("utf-8", "surrogatepass"),
        b"%d %d" % (file.size, file.mtime_ns),
    )
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def _etag(key: str) -> str:
    return f'"{key}"'


def _headers(key: str) -> dict[str, str]:
    return {"ETag": _etag(key), "Cache-Control": "private, max-age=86400"}
