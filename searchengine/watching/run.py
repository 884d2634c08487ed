"""When folders are brought up to date.

What happens in them is only the occasion: what changed is found by the ordinary run over the
folder, which takes 0.3 s for 100,000 files that have not. So nothing is lost for good when events
are.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from searchengine.errors import ImageError, IndexChangedError, IndexFolderError
from searchengine.watching.events import Events

log = logging.getLogger(__name__)

Refresh: TypeAlias = Callable[[list[str]], object]
"""Brings folders up to date; raises what `ingest` raises."""


@dataclass(frozen=True)
class Timing:
    """When folders are brought up to date, in seconds."""

    quiet: float = 2.0
    """After the last event: a file that is being written is read when it is whole."""
    at_most: float = 30.0
    """After the first event, however many follow."""
    rescan: float = 60.0
    """After the last time, for what brings no event: behind a link, on a network drive, or lost."""
    poll: float = 30.0
    """The same, where the system gives no events, or a folder could not be listed."""
    retry: float = 5.0
    """After another process kept the index from being written."""
    tick: float = 0.2
    """Between two looks at all this."""


class Debounce:
    """Which folders are due, from when something happened in them. Safe to share by threads."""

    def __init__(self, timing: Timing):
        self._timing = timing
        self._lock = threading.Lock()
        self._events: dict[str, tuple[float, float]] = {}  # folder -> its first and last event
        self._not_before = float("-inf")

    def note(self, folder: str, now: float) -> None:
        """Something happened in a folder."""
        with self._lock:
            first, _ = self._events.get(folder, (now, now))
            self._events[folder] = (first, now)

    def demand(self, folders: Iterable[str]) -> None:
        """These are due as soon as anything may be."""
        with self._lock:
            self._events |= dict.fromkeys(folders, (float("-inf"), float("-inf")))

    def pause(self, now: float) -> None:
        """Let nothing be due for a while."""
        self._not_before = now + self._timing.retry

    def take(self, now: float) -> list[str]:
        """The folders that are due; from then on they are not."""
        if now < self._not_before:
            return []
        with self._lock:
            due = [
                folder
                for folder, (first, last) in self._events.items()
                if now >= last + self._timing.quiet or now >= first + self._timing.at_most
            ]
            for folder in due:
                del self._events[folder]
        return sorted(due)


def watch(
    folders: Iterable[str],
    refresh: Refresh,
    stop: threading.Event,
    timing: Timing | None = None,
) -> None:
    """Bring folders up to date now, and then as things happen in them, until `stop` is set.

    `folders` are absolute paths. One that is not there, or is empty though the index holds images
    of it, is said so once and left as it is until it comes back. What another process that writes
    to the index prevents is done later. Errors that waiting cannot mend are raised.
    """
    run = _Watch(folders, refresh, timing or Timing())
    try:
        while not stop.is_set():
            run.look()
            run.refresh_due()
            stop.wait(run.timing.tick)
    finally:
        run.events.close()


@dataclass
class _Folder:
    """A watched folder: which one it is, as another may be mounted in its place."""

    path: str
    identity: tuple[int, int] | None = None
    refreshed_at: float = 0.0
    complaint: str = ""  # what was said last, so that it is said once

    def complain(self, message: str) -> None:
        """Say what is wrong, unless that was said last."""
        if message != self.complaint:
            log.warning("%s", message)
        self.complaint = message


class _Watch:
    """What is being watched, and what is due."""

    def __init__(self, folders: Iterable[str], refresh: Refresh, timing: Timing):
        self.refresh = refresh
        self.timing = timing
        self.debounce = Debounce(timing)
        self.folders = {path: _Folder(path) for path in folders}
        self.events = Events(self._note, self._lose)
        self.is_busy = False

    def look(self) -> None:
        """See whether the folders are there, and are the same; and do what brings no event."""
        for folder in self.folders.values():
            identity = _identity(folder.path)
            if identity is None:
                folder.identity = None
                folder.complain(f"{folder.path} is not there; waiting for it to come back")
            elif identity != folder.identity:
                folder.identity = identity
                self.events.follow(folder.path)
                self.debounce.demand([folder.path])
            elif time.monotonic() > folder.refreshed_at + self._interval(folder):
                self.debounce.demand([folder.path])

    def _note(self, folder: str) -> None:
        self.debounce.note(folder, time.monotonic())

    def _lose(self, folder: str) -> None:
        # Another one of its name may get even its number, so that only this tells them apart.
        self.folders[folder].identity = None

    def _interval(self, folder: _Folder) -> float:
        some_events = self.events.complete and not folder.complaint
        return self.timing.rescan if some_events else self.timing.poll

    def refresh_due(self) -> None:
        """Bring up to date what is due and there."""
        due = [each for each in self.debounce.take(time.monotonic()) if self.folders[each].identity]
        if not due:
            return
        for path in due:
            self.folders[path].refreshed_at = time.monotonic()
        try:
            self._refresh(due)
            self.is_busy = False
            self.events.check()
        except (IndexChangedError, IndexFolderError) as error:
            if not self.is_busy:
                log.warning("%s; trying again every %.0f s", error, self.timing.retry)
            self.is_busy = True
            self.debounce.demand(due)
            self.debounce.pause(time.monotonic())

    def _refresh(self, due: list[str]) -> None:
        """Refresh folders together, so that a picture moved between them is known; else alone."""
        try:
            self.refresh(due)
        except ImageError as error:
            if len(due) == 1:
                self.folders[due[0]].complain(str(error))
                return
            for path in due:
                self._refresh([path])
        else:
            for path in due:
                self.folders[path].complaint = ""


def _identity(folder: str) -> tuple[int, int] | None:
    """What tells a folder from another of its name; None where there is none."""
    try:
        state = os.stat(os.path.join(folder, ""))
    except OSError:
        return None
    return state.st_dev, state.st_ino
