"""One page of what was asked for: of a search, or of all images where nothing was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, NamedTuple

from searchengine.engine import SearchEngine
from searchengine.filters import Filters
from searchengine.index import Index
from searchengine.query import Request, SearchOptions
from searchengine.query.arranging import NO_DATE, Grouping, Order, arrange
from searchengine.types import Hit, IndexedImage
from searchengine.web.results import (
    MOST_HITS,
    MOST_IDS,
    Ask,
    Cursor,
    NotKnownError,
    Ranking,
    Rankings,
    digest,
    short,
)

_ARRANGED: Final = 4000  # relevant hits put in another order, the best ones: a second's work
_NEAREST: Final = 1000  # the same where relevance is not judged
_COUNTED: Final = 1000  # relevant hits that are counted before the first page is shown
_FIRST: Final = 150  # hits that are as good as free: the engine orders 200, and copies go
_FOLDED: Final = 2000  # hits among which copies are looked for, which takes the square of it


@dataclass(frozen=True)
class Asked:
    """What is searched for, or browsed where `request` is None, and how it is shown."""

    index: str
    filters: Filters
    request: Request | None
    options: SearchOptions = field(default_factory=SearchOptions)
    order: Order = "relevance"
    by: Grouping | None = None
    limit: int = 60
    cursor: str | None = None

    @property
    def is_arranged(self) -> bool:
        """Whether hits are shown in another order than that of their rank."""
        return self.order != "relevance" or self.by is not None

    @property
    def ranking(self) -> str:
        """A short name of what makes the ranking."""
        if self.request is None:
            return digest(self.index, self.filters, self.by)
        parts = (*self.request.plus, *self.request.minus)
        return digest(
            *(self.index, self.filters, self.options, self.request.feedback),
            *(len(self.request.plus), *(part.weight for part in parts)),
            *(part.content for part in parts),
        )


class Shown(NamedTuple):
    """A hit, its place by relevance or age from 1, and the group that it is shown in."""

    rank: int
    hit: Hit
    group: str | None


@dataclass(frozen=True)
class Page:
    """Some hits in their order; see `replies.SearchReply`."""

    shown: list[Shown]
    next: Cursor | None
    found: int | None
    total: int
    judged: bool = False
    good_match: bool | None = None


class Pages:
    """Turns requests into pages, and keeps the rankings that the next pages come from."""

    def __init__(self) -> None:
        self._hits = Rankings[Hit](MOST_HITS)
        self._ids = Rankings[int](MOST_IDS)

    def page(self, engine: SearchEngine, asked: Asked) -> Page:
        """The page that a cursor names, or the first one.

        Raises:
            QueryError: there is no answer.
            Problem: 400, the cursor is not one of this request.
        """
        return self._page(engine, asked, only_known=False)

    def known_page(self, engine: SearchEngine, asked: Asked) -> Page | None:
        """The same where it takes no search: it is known. With filters, it never is.

        Raises:
            Problem: 400, the cursor is not one of this request.
        """
        if asked.filters:
            return None  # to count what passes them is much of the work
        try:
            return self._page(engine, asked, only_known=True)
        except NotKnownError:
            return None

    def _page(self, engine: SearchEngine, asked: Asked, *, only_known: bool) -> Page:
        request = asked.request
        if request is None:
            return self._browsed(engine.catalog, asked, only_known)
        if asked.is_arranged and asked.options.min_relevance is None:
            asked = replace(asked, options=replace(asked.options, min_relevance="likely"))
        return self._searched(engine, asked, request, only_known)

    def _browsed(self, index: Index, asked: Asked, only_known: bool) -> Page:
        allowed = index.matching(asked.filters) if asked.filters else None
        total = index.count if allowed is None else len(allowed)
        stamp = short(index.stamp)
        here = _start(asked, stamp)
        end = here.offset + asked.limit
        ranking = self._ids.get(asked.ranking, stamp, here.stamp)
        by_folder = asked.by == "folder"

        def newest(count: int) -> list[int]:
            return index.newest(allowed, 0, count, by_folder=by_folder)

        ranking.reach(end + 1, None if only_known else newest)
        self._ids.count(ranking)
        ids = ranking.items[here.offset : end]
        images = {image.id: image for image in index.images(ids)}
        shown = [
            Shown(rank, Hit(images[each], math.nan), asked.by and _group(images[each], asked.by))
            for rank, each in enumerate(ids, here.offset + 1)
            if each in images
        ]
        return Page(shown, _next(here, end, ranking, len(ranking.items)), None, total)

    def _searched(
        self, engine: SearchEngine, asked: Asked, request: Request, only_known: bool
    ) -> Page:
        index = engine.catalog
        total = len(index.matching(asked.filters)) if asked.filters else index.count
        stamp = short(index.stamp)
        here = _start(asked, stamp)
        end = here.offset + asked.limit
        ranking = self._hits.get(asked.ranking, stamp, here.stamp)
        reach = _Reach(engine, asked.options, request, ranking, total, only_known)
        if asked.is_arranged:
            reach.relevant(_ARRANGED)
        else:
            if asked.options.min_relevance is not None:
                reach.relevant(_COUNTED)
            reach(end + 1)
        self._hits.count(ranking)
        hits = ranking.items
        judged = _is_judged(hits)
        if asked.is_arranged:
            arranged = _arranged(hits, asked)
            shown, known = arranged[here.offset : end], len(arranged)
        else:
            ranks = enumerate(hits[here.offset : end], here.offset + 1)
            shown, known = [Shown(rank, hit, None) for rank, hit in ranks], len(hits)
        cut = asked.options.min_relevance is not None and not hits and total > 0
        return Page(
            shown,
            _next(here, end, ranking, known),
            known if asked.is_arranged or ranking.complete else None,
            total,
            judged or cut,
            hits[0].relevance != "weak" if judged else False if cut else None,
        )


@dataclass(frozen=True)
class _Reach:
    """Makes a ranking longer."""

    engine: SearchEngine
    options: SearchOptions
    request: Request
    ranking: Ranking[Hit]
    total: int
    """Images that may be hits."""
    only_known: bool

    def __call__(self, count: int) -> None:
        """Know at least so many hits, or all.

        Copies are folded among the first ones only. Of what comes later, those of the first ones
        are left out.
        """
        # One less than all: that a first page is not the end stays for the last one to say.
        first = max(count, min(_FIRST, self.total - 1))
        self.ranking.reach(min(first, _FOLDED), self._asking(self.options), _FOLDED)
        if count > _FOLDED:
            self.ranking.reach(count, self._asking(replace(self.options, collapse=False)))

    def relevant(self, most: int) -> None:
        """Know all relevant hits, or the `most` best; fewer where relevance is not judged."""
        count = _NEAREST
        while not self.ranking.complete and len(self.ranking.items) < most:
            self(count)
            if len(self.ranking.items) >= _NEAREST and not _is_judged(self.ranking.items):
                return
            count = min(2 * count, most)

    def _asking(self, options: SearchOptions) -> Ask[Hit] | None:
        return None if self.only_known else partial(self._search, options)

    def _search(self, options: SearchOptions, count: int) -> list[Hit]:
        return self.engine.search(
            None,
            count,
            plus=self.request.plus,
            minus=self.request.minus,
            filters=self.request.filters,
            options=options,
            more=self.request.feedback.more,
            less=self.request.feedback.less,
        )


def _arranged(hits: Sequence[Hit], asked: Asked) -> list[Shown]:
    most = _ARRANGED if _is_judged(hits) else _NEAREST
    return [
        Shown(ranked.rank, ranked.hit, group.name or None)
        for group in arrange(hits[:most], asked.order, asked.by)
        for ranked in group.members
    ]


def _is_judged(hits: Sequence[Hit]) -> bool:
    # Without a judge some hits may have a relevance, by their words; they are the first ones.
    return bool(hits) and hits[-1].relevance is not None


def _start(asked: Asked, stamp: str) -> Cursor:
    name = digest(asked.ranking, asked.order, asked.by)
    if asked.cursor is not None:
        return Cursor.read(asked.cursor, name)
    return Cursor(name, stamp)


def _next(
    here: Cursor, end: int, ranking: Ranking[Hit] | Ranking[int], known: int
) -> Cursor | None:
    return Cursor(here.asked, ranking.stamp, end) if end < known else None


def _group(image: IndexedImage, by: Grouping) -> str:
    """The group of an image that is browsed: as old as its file where it has no date."""
    if by == "folder":
        return image.path.rpartition("/")[0] or "/"
    if image.info.taken_at:
        return image.info.taken_at[:10]
    try:
        return datetime.fromtimestamp(image.file.mtime_ns // 10**9).date().isoformat()
    except (ValueError, OverflowError, OSError):  # a file system may give any number
        return NO_DATE
