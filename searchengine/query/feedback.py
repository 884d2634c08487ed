"""More like this, less like this: hits that a person marked move the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import QueryError
from searchengine.query.relevance import Scores
from searchengine.types import Embeddings, Relevance

MORE: Final = 0.1  # what likeness to good hits counts beside the query itself
LESS: Final = 0.2  # what likeness to bad hits does, as far as it is unusual
UNUSUAL: Final = 1.0  # deviations from what the query explains; less says nothing
_SAME: Final = 0.998  # cosine from which on two pictures are copies

Mask = NDArray[np.bool_]


class Marked(TypedDict, total=False):
    """The ids of hits that were good and that were bad, as keywords."""

    more: Sequence[int]
    less: Sequence[int]


@dataclass(frozen=True, slots=True)
class Feedback:
    """The ids of hits of which a person wants more and less; their order says nothing.

    Raises `QueryError` for an id that no image can have, or that is marked twice.
    """

    more: tuple[int, ...] = ()
    less: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        seen: set[int] = set()
        for each in (*self.more, *self.less):
            check_id(each)
            if each in seen:
                raise QueryError(f"image {each} is marked twice; mark it once, as more or as less")
            seen.add(each)

    @classmethod
    def of(cls, more: Sequence[int] = (), less: Sequence[int] = ()) -> Feedback:
        """The same from any sequences."""
        return cls(tuple(more), tuple(less))

    def __bool__(self) -> bool:
        return bool(self.more or self.less)

    @property
    def ids(self) -> list[int]:
        """The marked images: those of `more`, then those of `less`, each ascending."""
        return [*sorted(self.more), *sorted(self.less)]


class Pull:
    """What marked images do to the ranking of a query.

    It moves the query's direction, by which images are looked up, towards those of `more`
    (J. Rocchio, "Relevance Feedback in Information Retrieval", 1971), each side in units of the
    deviation of its cosines over the collection, and it puts the images of a window in order anew
    by the same measure. Bands stay what they are: the order changes inside each. Of the likeness
    to `less` only that counts which the query does not explain: a bad hit is like the query, and
    so is what is being looked for. `scripts/feedback_flickr8k.py` measures it.
    """

    def __init__(
        self,
        feedback: Feedback,
        marked: Embeddings,
        direction: NDArray[np.float32],
        sample: Embeddings,
    ):
        """Take the (n, dim) embeddings of `feedback.ids`, the query's (dim,), and a sample."""
        self._marked = marked
        self._is_more = np.arange(len(marked)) < len(feedback.more)
        self._mean, self._deviation = _spread(sample @ marked.T)
        self._unit = float(_spread(sample @ direction[:, np.newaxis])[1][0])
        self.direction = self._moved(direction)
        """Where to look for images, (dim,) float32 of unit norm."""

    def _moved(self, direction: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._is_more.any():
            return direction
        towards = (self._marked / self._deviation[:, np.newaxis])[self._is_more].mean(0)
        moved = direction / self._unit + MORE * towards
        norm = float(np.linalg.norm(moved))
        return np.asarray(moved / norm, np.float32) if norm > 1e-6 / self._unit else direction

    def order(
        self,
        images: Embeddings,
        keys: Sequence[float],
        known: Sequence[Relevance | None],
        window: int,
    ) -> list[int]:
        """The new order of n ranked images, as numbers into them, window by window.

        They come with their keys and their bands, in the order of both. A marked one stays where
        it would be without its own mark.
        """
        order: list[int] = []
        for start in range(0, len(keys), window):
            block = slice(start, start + window)
            here = self._order(images[block], np.array(keys[block], np.float32), known[block])
            order += [start + at for at in here]
        return order

    def _order(
        self, images: Embeddings, keys: Scores, known: Sequence[Relevance | None]
    ) -> list[int]:
        cosines = images @ self._marked.T
        likeness = (cosines - self._mean) / self._deviation
        own = cosines >= _SAME
        likeness[:, ~self._is_more] = _unexplained(likeness[:, ~self._is_more], keys, own)
        by_all = self._keys(keys, likeness, np.zeros(len(self._marked), bool))
        there = np.flatnonzero(own.any(1)).tolist()
        without = {at: self._keys(keys, likeness, own[at]) for at in there}
        order: list[int] = []
        for _, band in groupby(range(len(keys)), key=lambda at: known[at]):
            places = list(band)
            moving = [at for at in places if at not in without]
            run = sorted(moving, key=lambda at: (-by_all[at], at))
            kept = [(_place(at, without[at], places), at) for at in places if at in without]
            for place, at in sorted(kept):
                run.insert(min(place, len(run)), at)
            order += run
        return order

    def _keys(self, keys: Scores, likeness: Scores, ignored: Mask) -> Scores:
        more, less = (likeness[:, side & ~ignored] for side in (self._is_more, ~self._is_more))
        gained = MORE * more.mean(1) if more.shape[1] else 0.0
        lost = LESS * less.max(1) if less.shape[1] else 0.0
        return np.asarray(keys + self._unit * (gained - lost), np.float32)


def _place(at: int, keys: Scores, band: Sequence[int]) -> int:
    """The place of an image among those of its band, by keys."""
    return sum((-keys[other], other) < (-keys[at], at) for other in band)


def _unexplained(likeness: Scores, keys: Scores, own: Mask) -> Scores:
    """The (n, m) part of likenesses that a line on the keys leaves over, beyond the usual.

    A marked image itself has no say in where its line lies.
    """
    rest = np.zeros_like(likeness)
    others = ~own.any(1)
    centred = keys - keys[others].mean() if others.any() else keys
    square = float(centred[others] @ centred[others])
    if square < 1e-12:
        return rest
    level = likeness - likeness[others].mean(0)
    slope = centred[others] @ level[others] / square
    return np.asarray(np.maximum(level - np.outer(centred, slope) - UNUSUAL, 0), np.float32)


def _spread(cosines: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean and the deviation of each column; 0 and 1 where there is too little to tell."""
    if len(cosines) < 2:
        return np.zeros(cosines.shape[1], np.float32), np.ones(cosines.shape[1], np.float32)
    return cosines.mean(0), np.maximum(cosines.std(0), 1e-6)


def check_id(image_id: int) -> None:
    """Raise `QueryError` unless an image can have this id."""
    if not 0 < image_id < 1 << 63:  # SQLite's integers
        raise QueryError(f"no image has the id {image_id}; a search prints ids")
