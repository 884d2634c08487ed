"""What happens in folders, as the system tells it. Wraps watchdog."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from searchengine.images import EXTENSIONS

log = logging.getLogger(__name__)

_IGNORE_FILE = ".searchignore"


class Events:
    """Tells of pictures and folders that come, change, move or go below the folders followed.

    `tell` is called with the followed folder for each event, `lose` when it is deleted itself,
    both in a thread of their own.

    `complete` is false once the system has refused to tell of some folder: whoever wants to know
    has to look from time to time.
    """

    def __init__(self, tell: Callable[[str], None], lose: Callable[[str], None]):
        self.complete = True
        self._tell, self._lose = tell, lose
        self._followed: dict[str, Any] = {}
        self._observer = self._start()

    def _start(self) -> Any:
        from watchdog.observers import Observer

        # Folders that are made while their parent is being added are added twice; it warns each
        # time, in a thread that would die of the warning where warnings are errors.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, "watchdog")
        try:
            observer = Observer()
            observer.start()
        except OSError as error:
            self._refused(error)
            return None
        return observer

    def follow(self, folder: str) -> None:
        """Tell of a folder from now on; once more, if another one took its place."""
        if self._observer is None:
            return
        if folder in self._followed:
            with contextlib.suppress(KeyError, OSError):
                self._observer.unschedule(self._followed.pop(folder))
        try:
            self._followed[folder] = self._schedule(
                _Handler(folder, self._tell, self._lose), folder
            )
        except OSError as error:
            self._refused(error)
        self.check()

    def check(self) -> None:
        """Find out whether the system still takes folders to follow.

        Below a folder that is followed it refuses others without a word, so one is tried.
        """
        if self._observer is None or not self.complete or sys.platform != "linux":
            return
        with contextlib.suppress(OSError), tempfile.TemporaryDirectory(prefix=".") as folder:
            try:
                watch = self._schedule(_Handler(folder, _ignore, _ignore), folder)
            except OSError as error:
                self._refused(error)
            else:
                self._observer.unschedule(watch)

    def close(self) -> None:
        """Tell nothing more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(1)

    def _schedule(self, handler: _Handler, folder: str) -> Any:
        from watchdog import events as kinds

        # Not of files that are opened and closed: an indexing run opens every one of them.
        wanted = [
            *(kinds.FileCreatedEvent, kinds.FileModifiedEvent, kinds.FileClosedEvent),
            *(kinds.FileMovedEvent, kinds.FileDeletedEvent),
            *(kinds.DirCreatedEvent, kinds.DirMovedEvent, kinds.DirDeletedEvent),
        ]
        return self._observer.schedule(handler, folder, recursive=True, event_filter=wanted)

    def _refused(self, error: OSError) -> None:
        if not self.complete:
            return
        self.complete = False
        cure = ""
        if sys.platform == "linux" and error.errno in (errno.ENOSPC, errno.EMFILE):
            name = "watches" if error.errno == errno.ENOSPC else "instances"
            cure = f"; raise it with: sudo sysctl fs.inotify.max_user_{name}=1048576"
        log.warning(
            "the system does not tell of every change (%s), so the folders are looked through "
            "from time to time instead%s",
            error.strerror or error,
            cure,
        )


class _Handler:
    """What watchdog calls for each event below one folder."""

    def __init__(self, folder: str, tell: Callable[[str], None], lose: Callable[[str], None]):
        self.folder = folder
        self.tell = tell
        self.lose = lose

    def dispatch(self, event: Any) -> None:
        """Tell of an event that an indexing run may see."""
        if event.event_type == "deleted" and os.fsdecode(event.src_path) == self.folder:
            self.lose(self.folder)
        paths = (event.src_path, getattr(event, "dest_path", ""))
        if any(self._matters(os.fsdecode(path), event.is_directory) for path in paths if path):
            self.tell(self.folder)

    def _matters(self, path: str, is_folder: bool) -> bool:
        """Whether an indexing run may see it. The index's own files never do."""
        inside = PurePath(path)
        if not inside.is_relative_to(self.folder):
            return False
        parts = inside.relative_to(self.folder).parts
        if parts and parts[-1] == _IGNORE_FILE:
            return True
        is_hidden = any(part.startswith(".") for part in parts)
        return not is_hidden and (is_folder or inside.suffix.lower() in EXTENSIONS)


def _ignore(folder: str) -> None:
    pass
