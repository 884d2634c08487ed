from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from searchengine.index import remembered
from searchengine.index.remembered import Remembered


class Searched:
    """Counts what is looked for."""

    def __init__(self) -> None:
        self.times = 0

    def finds(self, size: int) -> Callable[[], NDArray[np.int64]]:
        def find() -> NDArray[np.int64]:
            self.times += 1
            return np.arange(size)

        return find


def test_what_was_found_is_found_once_in_each_state() -> None:
    known, search = Remembered(), Searched()
    for stamp in ("a", "a", "b", "b", "a"):
        assert known.once(stamp, "x", search.finds(3)).tolist() == [0, 1, 2]
    assert search.times == 3
    known.once("a", "y", search.finds(3))
    assert search.times == 4


def test_what_was_not_asked_for_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "ROOM", 3 * 80)
    known, search = Remembered(), Searched()
    for what in ("a", "b", "c", "a", "d"):  # the fourth is known; for the last one, b goes
        known.once("now", what, search.finds(10))
    assert search.times == 4
    for what in ("a", "c", "d"):
        known.once("now", what, search.finds(10))
    assert search.times == 4
    known.once("now", "b", search.finds(10))
    assert search.times == 5
    for _ in range(2):  # larger than all the room: kept alone
        known.once("now", "large", search.finds(1000))
    assert search.times == 6


def test_what_is_remembered_cannot_be_changed() -> None:
    found = Remembered().once("now", "x", Searched().finds(3))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 7


def test_a_search_that_fails_is_not_remembered() -> None:
    known, search = Remembered(), Searched()
    with pytest.raises(ZeroDivisionError):
        known.once("now", "x", lambda: 1 // 0)
    assert len(known.once("now", "x", search.finds(3))) == 3
