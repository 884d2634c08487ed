"""`/api/indexes`: which indexes there are, and how they are."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from searchengine import __version__
from searchengine.catalog.paths import is_url
from searchengine.errors import SearchEngineError
from searchengine.web.folders import has_entries
from searchengine.web.library import Library, Served
from searchengine.web.replies import (
    FailuresReply,
    HealthReply,
    IndexesReply,
    IndexReply,
    Json,
    RootReply,
)

router = APIRouter(prefix="/api", tags=["indexes"])
log = logging.getLogger("searchengine.web")

Name = Annotated[str, Path(max_length=300)]
_MOST_FAILURES = 1000  # on a page


@router.get("/health", response_class=Json)
def alive() -> dict[str, str]:
    """Whether the server answers, and which version it is."""
    return {"status": "ok", "version": __version__}


@router.get("/indexes", responses={200: {"model": IndexesReply}}, response_class=Json)
def indexes(library: Served) -> Json:
    """The indexes that are served; the first one is the default."""
    reply: IndexesReply = {"indexes": [_entry(library, name) for name in library.names]}
    return Json(reply)


def _entry(library: Library, name: str) -> IndexReply:
    entry: IndexReply = {
        "name": name,
        "images": None,
        "model": None,
        "default": name == library.names[0],
    }
    try:
        catalog = library.engine(name).catalog
        entry["images"], entry["model"] = catalog.count, catalog.spec.name
    except SearchEngineError as error:  # one that is broken does not hide the others
        log.warning("%s: %s", name, error)
    return entry


@router.get("/indexes/{name}", responses={200: {"model": HealthReply}}, response_class=Json)
def health(name: Name, library: Served, request: Request) -> Json:
    """What is in an index, and whether its folders are there."""
    catalog = library.engine(name).catalog
    images, failed = catalog.count, len(catalog.failures())
    reply: HealthReply = {
        "name": name,
        "folder": os.path.abspath(catalog.folder),
        "images": images,
        "model": catalog.spec.name,
        "dim": catalog.spec.dim,
        "kind": catalog.kind,
        "failed": failed,
        "coverage": images / (images + failed) if images + failed else 1.0,
        "roots": [_root(path, count) for path, count in catalog.root_counts().items()],
        "version": catalog.stamp,
        "job": _job(request, name),
    }
    return Json(reply)


def _root(path: str, images: int) -> RootReply:
    name = os.path.basename(path) or path
    reachable = None if is_url(path) else has_entries(path) is not None
    return {"path": path, "name": name, "reachable": reachable, "images": images}


def _job(request: Request, name: str) -> dict[str, Any] | None:
    job = request.app.state.jobs.running(name)
    return asdict(job) if job else None


@router.get(
    "/indexes/{name}/failures", responses={200: {"model": FailuresReply}}, response_class=Json
)
def failures(
    name: Name,
    library: Served,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_FAILURES)] = 100,
) -> Json:
    """The files that could not be read, and why, by path."""
    found = library.engine(name).catalog.failures()
    reply: FailuresReply = {
        "total": len(found),
        "failures": [
            {"path": each.file.absolute, "reason": each.reason}
            for each in found[offset : offset + limit]
        ],
    }
    return Json(reply)
