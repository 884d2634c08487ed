"""Pages of long rankings, and the groups of images that are browsed.

Pages are also tested through `/api/search`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from searchengine.filters import Filters
from searchengine.query import Part, Request, SearchOptions
from searchengine.query.arranging import NO_DATE
from searchengine.types import Hit, ImageFile, ImageInfo, IndexedImage, Relevance
from searchengine.web.pages import Asked, Page, Pages, _group
from tests.cli.hits import hit


def image(path: str, taken_at: str | None = None, mtime_ns: int = 0) -> IndexedImage:
    root, name = os.path.split(path)
    file = ImageFile(root, name, 1, mtime_ns)
    return IndexedImage(1, file, ImageInfo(1, 1, "JPEG", taken_at=taken_at))


def test_a_day_is_the_cameras_or_else_the_files() -> None:
    noon = int(datetime(2024, 7, 1, 12).timestamp()) * 10**9
    assert _group(image("/a/b", "2023-01-02T03:04:05+09:00", noon), "day") == "2023-01-02"
    assert _group(image("/a/b", None, noon), "day") == "2024-07-01"


@pytest.mark.parametrize("mtime_ns", [2**63 - 1, -(2**63), -1])
def test_no_time_is_an_error(mtime_ns: int) -> None:
    day = _group(image("/a/b", None, mtime_ns), "day")
    assert day == NO_DATE or datetime.fromisoformat(day)


def test_a_folder_is_the_path_without_the_name() -> None:
    assert _group(image("/a/b/c.jpg"), "folder") == "/a/b"
    assert _group(image("/c.jpg"), "folder") == "/"


class Engine:
    """A long ranking without an index; every third image is a copy of the one before it."""

    stamp, count = "a", 6000

    def __init__(self, relevant: int = 0, judged: bool = True):
        self.catalog = self
        self.calls: list[tuple[int, bool]] = []
        self._relevant, self._judged = relevant, judged

    def search(self, text: str | None, k: int, *, options: SearchOptions, **_: Any) -> list[Hit]:
        self.calls.append((k, options.collapse))
        cut = self._judged and options.min_relevance is not None
        last = self._relevant if cut else self.count
        numbers = [n for n in range(last) if n % 3 != 2 or not options.collapse][:k]
        return [self._hit(n, options) for n in numbers]

    def _hit(self, number: int, options: SearchOptions) -> Hit:
        band: Relevance = "likely" if number < self._relevant else "weak"
        one = hit(number, band if self._judged else None)
        return (
            replace(one, copies=(hit(number + 1).image,)) if self._folds(number, options) else one
        )

    @staticmethod
    def _folds(number: int, options: SearchOptions) -> bool:
        return options.collapse and number % 3 == 1


def page(pages: Pages, engine: Engine, cursor: str | None = None, **how: Any) -> Page:
    options = SearchOptions(min_relevance=how.pop("min_relevance", None))
    asked = Asked("i", Filters(), Request((Part("dog"),)), options, cursor=cursor, limit=200, **how)
    return pages.page(engine, asked)  # type: ignore[arg-type]


def test_copies_are_looked_for_among_the_first_and_no_hit_comes_twice() -> None:
    engine, pages, shown, cursor = Engine(), Pages(), [], None
    while True:
        found = page(pages, engine, cursor)
        shown += found.shown
        if not found.next:
            break
        cursor = str(found.next)
    assert all(k <= 2000 for k, folds in engine.calls if folds)
    assert [each.rank for each in shown] == list(range(1, len(shown) + 1))
    ids = [each.hit.id for each in shown]
    copies = [copy.id for each in shown for copy in each.hit.copies]
    assert sorted(ids + copies) == list(range(6000))
    assert ids[:2000] == [n for n in range(3000) if n % 3 != 2]
    again = page(Pages(), engine, cursor)  # the last page, where nothing is kept
    assert [each.hit.id for each in again.shown] == ids[-len(again.shown) :]


def test_relevant_hits_are_counted_where_that_is_quick() -> None:
    few = page(Pages(), Engine(relevant=600), min_relevance="likely")
    assert (few.found, few.good_match) == (400, True)
    engine = Engine(relevant=5000)
    many = page(Pages(), engine, min_relevance="likely")
    assert (many.found, many.next is not None, engine.calls) == (None, True, [(1000, True)])


def test_the_best_of_very_many_relevant_hits_are_arranged() -> None:
    assert page(Pages(), Engine(relevant=5800), order="date").found == 4000
    assert page(Pages(), Engine(relevant=600), by="folder").found == 400
    assert page(Pages(), Engine(judged=False), order="date").found == 1000
    none = page(Pages(), Engine(relevant=0), order="date")
    assert (none.found, none.judged, none.good_match) == (0, True, False)


def test_without_a_judge_no_relevance_is_counted() -> None:
    found = page(Pages(), Engine(judged=False), min_relevance="likely")
    assert (found.found, found.judged, found.good_match) == (None, False, None)
    assert found.next is not None
