"""What was found in a state of the catalog, for those who ask again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

import numpy as np

Found = TypeVar("Found")

ROOM: Final = 64 * 2**20  # bytes of arrays


class Remembered:
    """Findings of one state of the catalog at a time, by what they are.

    Arrays are kept, and must not be changed, while there is `ROOM`: what was not asked for longest
    goes first, but never the last one. Safe to share between threads.
    """

    def __init__(self) -> None:
        self._stamp = ""
        self._found: dict[Hashable, Any] = {}  # in the order in which they were asked for
        self._lock = threading.Lock()

    def once(self, stamp: str, what: Hashable, find: Callable[[], Found]) -> Found:
        """What there is to find in the state with this stamp, looked for only if need be."""
        with self._lock:
            if stamp == self._stamp and what in self._found:
                found: Found = self._found.pop(what)
                self._found[what] = found
                return found
        found = find()
        if isinstance(found, np.ndarray):
            found.setflags(write=False)
        with self._lock:
            if stamp != self._stamp:
                self._stamp, self._found = stamp, {}
            self._found[what] = found
            self._make_room()
        return found

    def _make_room(self) -> None:
        room = ROOM - sum(_size(each) for each in self._found.values())
        for what in list(self._found)[:-1]:
            if room >= 0:
                return
            room += _size(self._found.pop(what))


def _size(found: Any) -> int:
    return found.nbytes if isinstance(found, np.ndarray) else 0
