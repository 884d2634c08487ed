"""`/api/search` and `/api/similar`."""

from __future__ import annotations

import math
import os
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request as HttpRequest

from searchengine.query import Part, Request, SearchOptions
from searchengine.web.asking import PageQuery, SearchBody, TextQuery
from searchengine.web.library import Library, Served
from searchengine.web.overload import Bounded
from searchengine.web.pages import Asked, Pages, Shown
from searchengine.web.parts import in_words, request_of
from searchengine.web.replies import HitReply, Json, SearchReply
from searchengine.web.uploads import PICTURE_BODY, KeptUploads, SentPicture

router = APIRouter(prefix="/api", tags=["search"])


def _pages(request: HttpRequest) -> Pages:
    pages: Pages = request.app.state.pages
    return pages


Kept = Annotated[Pages, Depends(_pages)]


@router.post("/search", responses={200: {"model": SearchReply}}, response_class=Json)
def search(
    body: SearchBody, library: Served, pages: Kept, uploads: KeptUploads, slot: Bounded
) -> Json:
    """Find the pictures that a text describes, or a mix of texts and pictures."""
    request = request_of(body, uploads.resolve)
    options = SearchOptions(
        raw=body.raw,
        semantic_only=body.semantic_only,
        min_relevance=body.min_relevance,
        collapse=body.collapse,
        diverse=body.diverse,
    )
    asked = Asked(
        index=library.name(body.index),
        filters=body.filters.filters(),
        request=request,
        options=options,
        order=body.sort,
        by=body.group,
        limit=body.limit,
        cursor=body.cursor,
    )
    return _answer(library, pages, asked)


@router.get("/search", responses={200: {"model": SearchReply}}, response_class=Json)
def search_text(
    query: Annotated[TextQuery, Query()],
    library: Served,
    pages: Kept,
    uploads: KeptUploads,
    slot: Bounded,
) -> Json:
    """The same for a plain text."""
    body = SearchBody(text=query.q, index=query.index, limit=query.limit, cursor=query.cursor)
    return search(body, library, pages, uploads, slot)


@router.post(
    "/similar",
    responses={200: {"model": SearchReply}},
    response_class=Json,
    openapi_extra=PICTURE_BODY,
)
def similar(
    query: Annotated[PageQuery, Query()],
    picture: SentPicture,
    library: Served,
    pages: Kept,
    slot: Bounded,
) -> Json:
    """Find the pictures that look like the one that is sent as the body, as it is."""
    index = library.name(query.index)
    request = Request((Part(picture),))
    asked = Asked(index, request.filters, request, limit=query.limit, cursor=query.cursor)
    return _answer(library, pages, asked)


def _answer(library: Library, pages: Pages, asked: Asked) -> Json:
    started = time.perf_counter()
    engine = library.engine(asked.index)
    page = pages.page(engine, asked)
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
