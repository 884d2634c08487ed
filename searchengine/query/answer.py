"""From requests to hits."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from searchengine.index import Among, Index
from searchengine.query.composition import SAMPLE, Away, Composed, Weighted, compose
from searchengine.query.diversity import diversify
from searchengine.query.examples import embed_example
from searchengine.query.feedback import Pull
from searchengine.query.prompts import embed_texts
from searchengine.query.ranking import WINDOW, Nearest, Place, Ranker, fuse
from searchengine.query.relevance import BANDS, Judge
from searchengine.query.request import Part, Request, SearchOptions, check_k
from searchengine.query.text_cache import TextCache
from searchengine.types import Encoder, Hit

Ids = NDArray[np.int64]
Texts = dict[str, NDArray[np.float32]]

_WORD_MATCHES = 1000  # that take part in a ranking
_TOGETHER = min(4, os.cpu_count() or 1)  # requests; more would wait for each other


@dataclass(frozen=True)
class Model:
    """The index's model: an encoder once it is needed, and what judges its hits, if it can."""

    encoder: Callable[[], Encoder]
    judge: Judge | None


@dataclass
class _Asked:
    """A request, what it means, among which images it asks, None for all, what its marks do."""

    request: Request
    query: Composed
    among: Among | None
    pull: Pull | None = None
    first: Nearest | None = None
    """Its first window, where several requests were looked up at once."""


class Answerer:
    """Answers requests from an index."""

    def __init__(self, index: Index, model: Model, cache: TextCache):
        self.index, self.model, self.cache = index, model, cache

    def answer(
        self, requests: Sequence[Request], k: int, options: SearchOptions
    ) -> list[list[Hit]]:
        """At most k hits for each request, best first; their texts are encoded together.

        Raises `QueryError` for an example that cannot be used.
        """
        check_k(k)
        for request in requests:
            request.check()
        with ThreadPoolExecutor(_TOGETHER) as pool:
            loading = pool.submit(self.index.preload)  # the longest part of a first query
            texts = self._embed_texts(requests, options)
            loading.result()
            asked = list(pool.map(lambda each: self._asked(each, texts), requests))
            self._search_together(asked)
            return list(pool.map(lambda each: self._answer(each, k, options), asked))

    # --- parts to embeddings ---

    def _embed_texts(self, requests: Sequence[Request], options: SearchOptions) -> Texts:
        parts = (part for request in requests for part in (*request.plus, *request.minus))
        texts = list(dict.fromkeys(part.text for part in parts if part.text is not None))
        if not texts:
            return {}
        embeddings = embed_texts(
            lambda batch: self.model.encoder().encode_texts(batch),
            self.index.spec.fingerprint,
            texts,
            self.cache,
            raw=options.raw,
        )
        return dict(zip(texts, embeddings, strict=True))

    def _weighted(self, parts: Sequence[Part], texts: Texts) -> Weighted:
        return [(self._embedding(part, texts), part.weight) for part in parts]

    def _embedding(self, part: Part, texts: Texts) -> NDArray[np.float32]:
        if part.text is not None:
            return texts[part.text]
        if isinstance(part.content, int):
            found = self.index.embeddings([part.content])
        else:
            found = embed_example(self.model.encoder(), part.content)
        return np.asarray(found[0])

    def _composed(self, request: Request, texts: Texts) -> Composed:
        plus = self._weighted(request.plus, texts)
        if len(plus) == 1 and not request.minus:
            return Composed(plus[0][0])
        minus = self._weighted(request.minus, texts)
        away = [
            Away(embedding, weight, part.text)
            for (embedding, weight), part in zip(minus, request.minus, strict=True)
        ]
        return compose(plus, away, self.index.sample(SAMPLE))

    def _asked(self, request: Request, texts: Texts) -> _Asked:
        query = self._composed(request, texts)
        return _Asked(request, query, self._among(request), self._pull(request, query))

    def _pull(self, request: Request, query: Composed) -> Pull | None:
        if not request.feedback:
            return None
        marked = self.index.embeddings(request.feedback.ids)
        return Pull(request.feedback, marked, query.direction, self.index.sample(SAMPLE))

    def _search_together(self, asked: Sequence[_Asked]) -> None:
        """Look up the first windows of several plain requests at once: a fifth of the time."""
        plain = [
            each
            for each in asked
            if each.among is None and not each.query.away and each.pull is None
        ]
        if len(plain) > 1:
            directions = np.stack([each.query.direction for each in plain])
            scores, found = self.index.nearest(directions, WINDOW)
            for each, *row in zip(plain, scores, found, strict=True):
                each.first = row[0], row[1]

    # --- one request ---

    def _answer(self, asked: _Asked, k: int, options: SearchOptions) -> list[Hit]:
        ids = asked.among if isinstance(asked.among, np.ndarray) else None
        total = self.index.count if ids is None else len(ids)
        if total == 0:
            return []
        wanted, count, before = options.offset + k, 0, -1
        while True:
            count = min(total, max(wanted, 2 * count, WINDOW))
            places = self._places(asked, count, options)
            kept = list(takewhile(lambda place: _is_enough(place, options), places))
            hits = self._hits(kept, options)
            is_all = count == total or len(places) == before
            if is_all or len(hits) >= wanted or len(kept) < len(places):
                return hits[options.offset : wanted]
            before = len(places)

    def _among(self, request: Request) -> Among | None:
        """The images among which to search, as ids or as the filters they pass; None for all."""
        if not request.quotations and not request.examples and request.filters:
            return self.index.narrowed(request.filters)
        allowed = self.index.matching(request.filters) if request.filters else None
        for quoted in request.quotations:
            matches = self.index.words(f'"{quoted}"', max(1, self.index.count), allowed)
            allowed = np.array(sorted(match.id for match in matches), np.int64)
        if request.examples:
            allowed = self.index.ids() if allowed is None else allowed
            allowed = np.setdiff1d(allowed, request.examples)
        return allowed

    def _places(self, asked: _Asked, count: int, options: SearchOptions) -> list[Place]:
        request = asked.request
        ranker = Ranker(self.index, self.model.judge, request.texts, not options.raw, asked.pull)
        places = ranker.rank(asked.query, asked.among, count, asked.first)
        if request.texts and not options.semantic_only and not options.raw:
            matches = self.index.words(" ".join(request.typed), _WORD_MATCHES, asked.among)
            first = {place.id for place in places[:WINDOW]}
            others = ranker.singled_out(asked.query, [m.id for m in matches if m.id not in first])
            places = fuse(places, matches, others) if matches else places
        return places

    def _hits(self, places: Sequence[Place], options: SearchOptions) -> list[Hit]:
        if options.diverse:
            places = self._diversified(places)
        images = {each.id: each for each in self.index.images([place.id for place in places])}
        hits = [
            Hit(images[place.id], place.cosine, place.relevance, place.matched)
            for place in places
            if place.id in images
        ]
        if options.collapse:
            from searchengine.duplicates import collapse

            return collapse(self.index, hits)
        return hits

    def _diversified(self, places: Sequence[Place]) -> list[Place]:
        """The first window anew, band by band, each hit unlike those before it."""
        first, rest = places[:WINDOW], places[WINDOW:]
        order: list[Place] = []
        for relevance in (*BANDS, None):
            band = [place for place in first if place.relevance == relevance]
            ids, vectors = self.index.present([place.id for place in band])
            band = [place for place in band if place.id in set(ids)]
            order += [band[at] for at in diversify(vectors, [place.cosine for place in band])]
        return [*order, *rest]


def _is_enough(place: Place, options: SearchOptions) -> bool:
    if options.min_relevance is None or place.relevance is None:
        return True
    return BANDS.index(place.relevance) <= BANDS.index(options.min_relevance)
