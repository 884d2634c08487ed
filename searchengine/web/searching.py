"""`/api/search` and `/api/similar`."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from starlette.requests import Request as HttpRequest

from searchengine.engine import SearchEngine
from searchengine.query import Part, Request, SearchOptions
from searchengine.web.asking import PageQuery, SearchBody, TextQuery
from searchengine.web.library import Library, Served
from searchengine.web.overload import Enter, Slots
from searchengine.web.pages import Asked, Page, Pages, Shown
from searchengine.web.parts import in_words, request_of
from searchengine.web.replies import HitReply, Json, SearchReply
from searchengine.web.uploads import PICTURE_BODY, KeptUploads, SentPicture, Uploads

router = APIRouter(prefix="/api", tags=["search"])


def _pages(request: HttpRequest) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


Kept = Annotated[Pages, Depends(_pages)]


@router.post("/search", responses={200: {"model": SearchReply}}, response_class=Json)
async def search(
    body: SearchBody, library: Served, pages: Kept, uploads: KeptUploads, slots: Slots
) -> Json:
    """Find the pictures that a text describes, or a mix of texts and pictures."""
    return await _answer(library, pages, slots, lambda: _asked(body, library, uploads))


@router.get("/search", responses={200: {"model": SearchReply}}, response_class=Json)
async def search_text(
    query: Annotated[TextQuery, Query()],
    library: Served,
    pages: Kept,
    uploads: KeptUploads,
    slots: Slots,
) -> Json:
    """The same for a plain text."""
    body = SearchBody(text=query.q, index=query.index, limit=query.limit, cursor=query.cursor)
    return await search(body, library, pages, uploads, slots)


@router.post(
    "/similar",
    responses={200: {"model": SearchReply}},
    response_class=Json,
    openapi_extra=PICTURE_BODY,
)
async def similar(
    query: Annotated[PageQuery, Query()],
    picture: SentPicture,
    library: Served,
    pages: Kept,
    slots: Slots,
) -> Json:
    """Find the pictures that look like the one that is sent as the body, as it is."""

    def asked() -> Asked:
        request = Request((Part(picture),))
        index = library.name(query.index)
        return Asked(index, request.filters, request, limit=query.limit, cursor=query.cursor)

    return await _answer(library, pages, slots, asked)


def _asked(body: SearchBody, library: Library, uploads: Uploads) -> Asked:
    request = request_of(body, uploads.resolve)
    options = SearchOptions(
        raw=body.raw,
        semantic_only=body.semantic_only,
        min_relevance=body.min_relevance,
        collapse=body.collapse,
        diverse=body.diverse,
    )
    return Asked(
        index=library.name(body.index),
        filters=body.filters.filters(),
        request=request,
        options=options,
        order=body.sort,
        by=body.group,
        limit=body.limit,
        cursor=body.cursor,
    )


async def _answer(library: Library, pages: Pages, slots: Enter, read: Callable[[], Asked]) -> Json:
    """Answer; what is known already does not queue behind what has to be searched for."""
    started = time.perf_counter()

    def known() -> tuple[Asked, Json | None]:
        asked = read()
        engine = library.engine(asked.index)
        page = pages.known_page(engine, asked)
        return asked, _reply(engine, asked, page, started) if page else None

    def searched() -> Json:
        engine = library.engine(asked.index)
        return _reply(engine, asked, pages.page(engine, asked), started)

    asked, reply = await to_thread.run_sync(known)
    if reply is not None:
        return reply
    async with slots():
        return await to_thread.run_sync(searched)


def _reply(engine: SearchEngine, asked: Asked, page: Page, started: float) -> Json:
    reply: SearchReply = {
        "query": in_words(asked.request) if asked.request else "",
        "judged": page.judged,
        "good_match": page.good_match,
        "total": page.total,
        "found": page.found,
        "hits": [_hit(each) for each in page.shown],
        "next": str(page.next) if page.next else None,
        "took_ms": round(1000 * (time.perf_counter() - started), 1),
        "version": engine.catalog.stamp,
    }
    return Json(reply)


def _hit(shown: Shown) -> HitReply:
    hit = shown.hit
    reply: HitReply = {
        "rank": shown.rank,
        "id": hit.id,
        "score": None if math.isnan(hit.score) else round(hit.score, 6),
        "relevance": hit.relevance,
        "matched": list(hit.matched),
        "path": hit.path,
        "name": os.path.basename(hit.path),
        "width": hit.image.info.width,
        "height": hit.image.info.height,
        "taken_at": hit.image.info.taken_at,
        "copies": [copy.id for copy in hit.copies],
    }
    if shown.group is not None:
        reply["group"] = shown.group
    return reply
