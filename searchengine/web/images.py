"""`/api/images/{id}`: all that is known of an image."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path

from searchengine.types import IndexedImage
from searchengine.web.asking import LARGEST_ID, IndexName
from searchengine.web.library import Served
from searchengine.web.problems import Problem
from searchengine.web.replies import ImageReply, Json

router = APIRouter(prefix="/api", tags=["images"])

ImageId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.get("/images/{image_id}", responses={200: {"model": ImageReply}}, response_class=Json)
def image(image_id: ImageId, library: Served, index: IndexName = None) -> Json:
    """The file, what its picture says of itself, and its captions."""
    catalog = library.engine(index).catalog
    found = catalog.images([image_id])
    if not found:
        raise Problem(404, f"no image has the id {image_id}; it may have been removed")
    captions = catalog.captions([image_id]).get(image_id, ())
    return Json(_reply(found[0], captions))


def _reply(found: IndexedImage, captions: tuple[str, ...]) -> ImageReply:
    file, info = found.file, found.info
    folder, name = os.path.split(file.path)
    return {
        "id": found.id,
        "path": found.path,
        "root": file.root,
        "folder": folder,
        "name": name,
        "bytes": file.size,
        "format": info.format,
        "width": info.width,
        "height": info.height,
        "taken_at": info.taken_at,
        "camera": info.camera,
        "lens": info.lens,
        "latitude": info.latitude,
        "longitude": info.longitude,
        "captions": list(captions),
        "modified_at": _moment(file.mtime_ns),
    }


def _moment(mtime_ns: int) -> str | None:
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9, UTC).isoformat()
    except (ValueError, OverflowError, OSError):  # a file system may give any number
        return None
