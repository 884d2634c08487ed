"""What there is to do: a walk through a folder against what the catalog holds of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from searchengine import images
from searchengine.catalog.paths import inside
from searchengine.errors import ImageError
from searchengine.index import Index
from searchengine.ingest.report import Report
from searchengine.ingest.selection import Selection
from searchengine.ingest.workers import Workers
from searchengine.types import ImageFile, Scope, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """What the walk through a folder found to do."""

    todo: list[Task]
    vanished: list[int]
    forgotten: list[ImageFile]


@dataclass(frozen=True)
class Comparison:
    """Compares folders with the catalog; counts what is unchanged in the report."""

    index: Index
    workers: Workers
    selection: Selection
    stop: threading.Event
    report: Report

    def scan(self, root: str, under: str, has_entries: bool) -> Scan:
        """Find what is to be read of the folder `under` a root, and what is not there any more.

        Raises `ImageError` where it is empty, though the index holds images of it.
        """
        prefix = f"{under}/" if under else ""
        known = _below(prefix, self.index.files(root))
        if known and not has_entries and not self.selection.allow_empty:
            raise ImageError(
                f"{inside(root, under)} is empty, but the index holds {len(known)} images of it: "
                "is its drive mounted? If it is meant to be empty, say so with --allow-empty"
            )
        failed = _below(prefix, self.index.known_failures(root))
        todo, unlisted = self._compare(root, under, known, failed)
        missing = [path for path in (*known, *failed) if not path.startswith(unlisted)]
        if hidden := self.workers.out_of_sight(root, missing):
            log.warning(
                "pictures inside of tar archives below %s stay as they are (%d); --ray reads them",
                root,
                len(hidden),
            )
        gone = [path for path in missing if path not in hidden]
        return Scan(
            todo,
            [known[path][0] for path in gone if path in known],
            [ImageFile(root, path, *failed[path]) for path in gone if path in failed],
        )

    def _compare(
        self, root: str, under: str, known: dict[str, Any], failed: dict[str, Any]
    ) -> tuple[list[Task], tuple[str, ...]]:
        """Walk, and take what is still there out of `known` and `failed`.

        Returns what is to be read, and the prefixes below which nothing can be said.
        """
        todo: list[Task] = []
        unlisted: list[str] = []
        for file in self.workers.walk(root, under, self.scope(root, under)):
            if self.stop.is_set():
                break
            if isinstance(file, images.UnreadableFolder):
                log.warning("cannot list %s: %s", inside(root, file.path), file.reason)
                unlisted.append(f"{file.path}/" if file.path else "")
                continue
            state, failure = known.pop(file.path, None), failed.pop(file.path, None)
            if state and state[1:] == (file.size, file.mtime_ns):
                self.report.unchanged += 1
            elif failure == (file.size, file.mtime_ns) and not self.selection.retry_failed:
                self.report.failed += 1
            else:
                todo.append(Task(file, state[0] if state else None))
        return todo, tuple(unlisted)

    def scope(self, root: str, under: str) -> Scope:
        """Which files to take of the folder `under` a root."""
        return self.selection.scope(self._remembered(root), under)

    def _remembered(self, root: str) -> Scope:
        return self.index.scopes().get(root, Scope())

    def remember(self, root: str, under: str) -> None:
        """Have the index remember which files to take of a root; warn where it cannot."""
        scope = self.scope(root, under)
        if scope == self._remembered(root):
            return
        if under:
            log.warning(
                "which files to take of %s counts for this run only: it is inside %s, for which "
                "the index remembers that",
                inside(root, under),
                root,
            )
        else:
            self.index.set_scope(root, scope)


def _below(prefix: str, files: Mapping[str, Any]) -> dict[str, Any]:
    return {path: state for path, state in files.items() if path.startswith(prefix)}
