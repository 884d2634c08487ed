"""Rankings kept between the pages of a search, so that a deep page need not rank everything anew.

A ranking is as long as somebody has looked; whoever looks further makes it at least twice as long.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from searchengine.types import Hit
from searchengine.web.problems import Problem

Item = TypeVar("Item", bound=Hit | int)
"""A hit, or an image's id."""

Ask = Callable[[int], Sequence[Item]]
"""The first items, at most so many, of the ranking as the index is now."""

Key = tuple[str, str]
"""What was asked, and the state of the index then."""

MOST_HITS: Final = 100_000  # a kilobyte each
MOST_IDS: Final = 1_000_000
_EMPTY: Final = 16  # items that a ranking without any counts for, so that their number is bounded
_DIGITS: Final = 16  # of a digest, or of a stamp
_DEEPEST: Final = 2**40


class NotKnownError(Exception):
    """What is kept does not answer it."""


class Ranking(Generic[Item]):
    """The first items of a ranking, and whether they are all. Safe between threads."""

    def __init__(self, stamp: str, longest: int = MOST_HITS) -> None:
        self._longest = longest
        self.stamp = stamp
        """The state of the index that it began in."""
        self.items: list[Item] = []
        self.complete = False
        self.counted = 0
        """For how many items it counts among those kept; 0 where it is not kept."""
        self._asked = 0
        self._lock = threading.Lock()

    def reach(self, count: int, ask: Ask[Item] | None, most: int | None = None) -> None:
        """Know at least `count` items, or all; `ask` is asked for `most`, unless for `count`.

        Raises:
            NotKnownError: they are not known yet, and there is nobody to ask.
        """
        if self.complete or len(self.items) >= count:
            return
        if ask is None:
            raise NotKnownError
        most = self._longest if most is None else most
        with self._lock:
            while not self.complete and len(self.items) < count:
                wanted = max(count, min(2 * self._asked, most))
                if wanted <= self._asked:  # the index changed: what was found was known already
                    wanted = 2 * self._asked
                found = list(ask(wanted))
                self.items = _continued(self.items, found)
                self.complete = len(found) < wanted
                self._asked = wanted


def _continued(known: list[Item], found: list[Item]) -> list[Item]:
    """A longer ranking; where the index has changed since, the known items stay where they are."""
    if [_id(each) for each in found[: len(known)]] == [_id(each) for each in known]:
        return found
    seen = {other for each in known for other in _ids(each)}
    return [*known, *(each for each in found if _id(each) not in seen)]


def _id(item: Hit | int) -> int:
    return item if isinstance(item, int) else item.id


def _ids(item: Hit | int) -> list[int]:
    return [item] if isinstance(item, int) else [item.id, *(copy.id for copy in item.copies)]


class Rankings(Generic[Item]):
    """The rankings that were looked at last, with at most `most` items. Safe between threads."""

    def __init__(self, most: int):
        self._most = most
        self._total = 0
        self._kept: OrderedDict[Key, Ranking[Item]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def total(self) -> int:
        """How many items are kept, where an empty ranking counts for a few."""
        return self._total

    def get(self, asked: str, stamp: str, before: str | None = None) -> Ranking[Item]:
        """The ranking of what is `asked` in the state `before`, if it is kept, else in `stamp`."""
        with self._lock:
            if before is not None and (asked, before) in self._kept:
                stamp = before
            ranking = self._kept.setdefault((asked, stamp), Ranking(stamp, self._most - _EMPTY))
            self._kept.move_to_end((asked, stamp))
            self._count(ranking)
            return ranking

    def count(self, ranking: Ranking[Item]) -> None:
        """Take note that a ranking has grown; those not looked at for longest may have to go."""
        with self._lock:
            if ranking.counted:
                self._count(ranking)

    def _count(self, ranking: Ranking[Item]) -> None:
        grown = len(ranking.items) + _EMPTY
        self._total += grown - ranking.counted
        ranking.counted = grown
        while self._total > self._most:
            _, gone = self._kept.popitem(last=False)
            self._total -= gone.counted
            gone.counted = 0


@dataclass(frozen=True)
class Cursor:
    """Where the next page starts, of which search, and in which state of the index."""

    asked: str
    stamp: str
    offset: int = 0

    def __str__(self) -> str:
        content = json.dumps([self.offset, self.asked, self.stamp]).encode()
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    @classmethod
    def read(cls, text: str, asked: str) -> Cursor:
        """The cursor of a search.

        Raises:
            Problem: 400, it is none, or one of another search.
        """
        try:
            content = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            offset, other, stamp = json.loads(content)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise _not_a_cursor() from None
        is_count = type(offset) is int and 0 <= offset < _DEEPEST
        if other != asked or not is_count or not isinstance(stamp, str):
            raise _not_a_cursor()
        return cls(asked, stamp, offset)


def _not_a_cursor() -> Problem:
    return Problem(400, "the cursor is not one of this search; leave it out for the first page")


def digest(*things: object) -> str:
    """A short name of things that are equal where their `repr` is; of bytes, their content."""
    named = [hashlib.sha256(x).hexdigest() if isinstance(x, bytes) else x for x in things]
    content = repr(named).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def short(stamp: str) -> str:
    """As much of a stamp as tells it from others."""
    return stamp[:_DIGITS]
