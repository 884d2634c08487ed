"""The images nearest to a query, in the order of what speaks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.encoders.reference import Evidence
from searchengine.index import Among, Index
from searchengine.query.composition import SAMPLE, Composed
from searchengine.query.feedback import Pull
from searchengine.query.relevance import BANDS, Judge, Penalty, Scores, bands
from searchengine.types import Embeddings, Relevance, WordMatch

Ids = NDArray[np.int64]
Nearest = tuple[Scores, Ids]
"""The scores and ids of the images nearest to a query, (n,) each, best first."""

WINDOW: Final = 200  # nearest images that are put in order together
_WIDE: Final = 1000  # where hits are to be unlike something
_RANKS: Final = 60  # of reciprocal rank fusion: how little the first ranks differ


@dataclass(frozen=True, slots=True)
class Place:
    """An image in a ranking, with its cosine to the query."""

    id: int
    cosine: float
    relevance: Relevance | None = None
    matched: tuple[str, ...] = ("picture",)


@dataclass(frozen=True)
class Ranker:
    """Puts the images nearest to a query in order."""

    index: Index
    judge: Judge | None = None
    texts: Mapping[str, float] = field(default_factory=dict)
    """What was asked for in words, with the weights."""
    reorders: bool = True
    """Whether what the judge says changes the order, or only the relevance."""
    pull: Pull | None = None
    """What marked hits do."""

    def rank(
        self, query: Composed, among: Among | None, count: int, first: Nearest | None = None
    ) -> list[Place]:
        """At least the `count` nearest images, or all; only those in `among`, if given.

        `first` is the first window, where it is known already.
        They are ordered window by window, so that asking for more never changes the first ones.
        No relevance is better than one before it.
        """
        window = _WIDE if query.away else WINDOW
        fetched = -(-count // window) * window
        if first is None or fetched > window:
            first = self._nearest(query, fetched, among)
        scores, found = first
        present, vectors = self.index.present(found.tolist())
        ids = np.array(present, np.int64)
        cosines = scores[np.isin(found, ids, assume_unique=True)]
        if self.pull:  # what was looked up is not what was asked
            cosines = (vectors @ query.direction).clip(-1, 1)
        penalty = None
        if query.away:
            penalty = Penalty(query.away, self.index.sample(SAMPLE), self.judge)
        order: list[int] = []
        keys: list[float] = []
        probabilities: list[float] = []
        for at in range(0, len(ids), window):
            block = slice(at, at + window)
            key, probability = self._keys(cosines[block], vectors[block], penalty)
            best = np.lexsort((ids[block], -key))
            order += (at + best).tolist()
            keys += key[best].tolist()
            probabilities += probability[best].tolist() if probability is not None else []
        known = bands(probabilities) if probabilities else [None] * len(order)
        if self.pull:
            order = [order[at] for at in self.pull.order(vectors[order], keys, known, window)]
        return [
            Place(present[at], float(cosines[at]), relevance)
            for at, relevance in zip(order, known, strict=True)
        ]

    def singled_out(self, query: Composed, ids: Sequence[int]) -> list[Place]:
        """The places of images wherever they are in the ranking, each judged by itself."""
        present, vectors = self.index.present(ids)
        if not present:
            return []
        cosines = (vectors @ query.direction).clip(-1, 1)
        _, probability = self._judged(cosines, self._evidence(vectors))
        known: list[Relevance | None] = [None] * len(present)
        if probability is not None:
            known = [bands([each])[0] for each in probability.tolist()]
        return [
            Place(each, float(cosine), relevance)
            for each, cosine, relevance in zip(present, cosines, known, strict=True)
        ]

    def _nearest(self, query: Composed, count: int, among: Among | None) -> Nearest:
        direction = self.pull.direction if self.pull else query.direction
        scores, ids = self.index.nearest(direction[np.newaxis], count, among)
        return scores[0], ids[0]

    def _keys(
        self, cosines: Scores, images: Embeddings, penalty: Penalty | None
    ) -> tuple[Scores, Scores | None]:
        """What to order a window by, and the probabilities that its images fit."""
        evidence = self._evidence(images) if self.texts or penalty else None
        keys, probabilities = self._judged(cosines, evidence)
        if penalty:
            keys = keys - penalty(images, evidence, float(keys.std()))
        return keys, probabilities

    def _evidence(self, images: Embeddings) -> Evidence | None:
        return self.judge.reference.beside(images) if self.judge else None

    def _judged(self, cosines: Scores, evidence: Evidence | None) -> tuple[Scores, Scores | None]:
        if self.judge is None or evidence is None or not self.texts:
            return cosines, None
        keys, probabilities = self.judge(self.texts, cosines, evidence)
        return (keys if self.reorders else cosines), probabilities


def fuse(places: list[Place], matches: Sequence[WordMatch], others: Sequence[Place]) -> list[Place]:
    """Images by what they show and by what their names and captions say, in one ranking.

    Reciprocal rank fusion (G. Cormack et al., SIGIR 2009) inside each band. A caption that holds
    all the words makes a hit strong, a name or a folder likely. `others` are the places of the
    matches beyond the first window, whether listed or not: a longer list begins like a shorter one.
    """
    found = {match.id: (rank_, match.fields) for rank_, match in enumerate(matches, 1)}
    fused: list[tuple[int, float, Place]] = []
    apart = {each.id for each in others}
    listed = [(rank_, each) for rank_, each in enumerate(places, 1) if each.id not in apart]
    for rank_, place in [*listed, *((None, each) for each in others)]:
        points, relevance, matched = 0.0, place.relevance, place.matched
        if rank_ is not None:
            points += 1 / (_RANKS + rank_)
        if place.id in found:
            word_rank, fields = found[place.id]
            points += 1 / (_RANKS + word_rank)
            by_words: Relevance = "strong" if "caption" in fields else "likely"
            shown = relevance in ("strong", "likely")
            matched = (("picture",) if shown else ()) + fields
            relevance = min(relevance or "weak", by_words, key=BANDS.index)
        fused.append(
            (
                BANDS.index(relevance or "weak"),
                -points,
                replace(place, relevance=relevance, matched=matched),
            )
        )
    return [place for *_, place in sorted(fused, key=lambda each: (*each[:2], each[2].id))]
