"""Which root folders an object writes to, and the state each had when it last looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from searchengine.catalog import Changes, Writer
from searchengine.errors import IndexChangedError
from searchengine.types import ImageFile


class Claims:
    """Root folders with their stamps: whoever writes builds upon the states that they name.

    Until the first root is claimed they are all roots that there were when the index was opened.
    So several processes may write to different roots, and nobody to what he did not see.
    """

    def __init__(self, folder: Path, stamps: Mapping[str, str]) -> None:
        self._folder = folder
        self._stamps = dict(stamps)
        self._all = True  # nothing is claimed yet

    def add(self, root: str, stamp: str) -> None:
        """Claim a root in the state it has."""
        if self._all:
            self._stamps, self._all = {}, False
        self._stamps[root] = stamp

    def built_upon(self, rows: Writer, changes: Changes, fresh: str) -> tuple[set[str], Changes]:
        """Give the roots that a batch touches a fresh stamp; returns them, and what to write.

        Images to be removed that are below other roots meanwhile are left to whoever moved them.

        Raises:
            IndexChangedError: another process wrote to one of the roots, or removed an image.
        """
        ids = {*changes.removed, *changes.captions, *changes.changed, *changes.moved}
        root_of = rows.roots_of(ids) if ids else {}
        removed = [each for each in changes.removed if root_of.get(each) in self._stamps]
        touched = {file.root for file in _files(changes)}
        touched |= {root_of[each] for each in (*removed, *changes.captions) if each in root_of}
        if self._all:
            touched |= self._stamps.keys()
        now = rows.root_stamps()
        known = touched & (now.keys() | self._stamps.keys())  # the others were never added
        held = {root: self._stamps.get(root, now.get(root, "")) for root in known}
        if len(root_of) < len(ids) or not rows.restamp(held, fresh):
            raise IndexChangedError(
                f"another process wrote to {self._folder}; run the same command again"
            )
        return known, replace(changes, removed=removed)

    def renew(self, roots: Iterable[str], stamp: str) -> None:
        """These roots have another stamp, by what this object wrote."""
        self._stamps.update(dict.fromkeys(roots, stamp))

    def renew_all(self, stamp: str) -> None:
        """Every root has another stamp, by what this object wrote."""
        self._stamps = dict.fromkeys(self._stamps, stamp)

    def move(self, old: str, new: str, before: str, after: str) -> None:
        """A root is somewhere else, by what this object wrote, and its stamp is another one.

        Where another process had written to it before, the next write must say so still.
        """
        if old in self._stamps:
            held = self._stamps.pop(old)
            self._stamps[new] = after if held == before else held

    def forget(self, root: str) -> None:
        """A root is not there any more."""
        self._stamps.pop(root, None)


def _files(changes: Changes) -> Iterable[ImageFile]:
    """Every file that a batch says something of."""
    yield from (each.file for each in (*changes.added, *changes.changed.values()))
    yield from (each.file for each in changes.failed)
    yield from (*changes.moved.values(), *changes.forgotten)
