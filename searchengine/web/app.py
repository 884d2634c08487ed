"""The application: every route, and what stands around them."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from anyio.to_thread import run_sync
from fastapi import FastAPI

from searchengine import __version__
from searchengine.web import (
    facets,
    images,
    indexes,
    jobs,
    login,
    metrics,
    page,
    pictures,
    problems,
    searching,
    uploads,
)
from searchengine.web.guard import Guard
from searchengine.web.job_board import JobBoard
from searchengine.web.library import Library
from searchengine.web.pages import Pages
from searchengine.web.settings import Settings

ROUTES: Final = (
    *(searching, images, facets, indexes),
    *(pictures, uploads, jobs, login, metrics, page),
)
PROBLEM: Final[dict[str, Any]] = {
    "description": "A problem, as RFC 9457 describes it",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    **{name: {"type": "string"} for name in ("type", "title", "detail")},
                    "status": {"type": "integer"},
                },
            }
        }
    },
}


def create_app(folders: Mapping[str, Path], settings: Settings, device: str = "auto") -> FastAPI:
    """The page and its API over indexes, by their names; the first one is the default."""
    app = FastAPI(
        title="searchengine",
        version=__version__,
        lifespan=_lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses={"4XX": PROBLEM, "5XX": PROBLEM},
    )
    app.state.settings = settings
    app.state.library = Library(folders, device)
    app.state.pages = Pages()
    app.state.jobs = JobBoard()
    problems.install(app)
    app.add_middleware(Guard, settings=settings)
    metrics.install(app)  # around all else: refusals count too
    for module in ROUTES:
        app.include_router(module.router)
    page.mount(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Load what the first search needs while the first page is looked at; close at the end."""
    library: Library = app.state.library
    threading.Thread(target=library.warm, name="warm", daemon=True).start()
    yield {}
    await run_sync(library.close)
