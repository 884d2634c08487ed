"""Unite two indexes of one model: what the other one knows is added, and nothing encoded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from searchengine.errors import ExchangeError, IndexModelError
from searchengine.index import Entry, Index, NewImage
from searchengine.portable.adding import Batch
from searchengine.types import ImageFile, Progress, Scope


@dataclass
class Merged:
    """What became of the images of the other index."""

    added: int = 0
    same: int = 0
    """Files that both hold in the same state."""
    replaced: int = 0
    """Files that the other index holds in a later state."""
    kept: int = 0
    """Files that this index holds in a later state, or could not read in it."""
    captioned: int = 0
    """Images both hold that got captions they did not have."""


def merge(other: Index, into: Index, progress: Progress = lambda done, total: None) -> Merged:
    """Add the images, embeddings and captions of `other` to `into`; `other` is only read.

    A file that both hold is one image, in the state with the later mtime, and has the captions of
    both. Every batch is one transaction, and what is there already is not added again: a merge
    that was cut short is completed by the next one. Files that `other` could not read are left to
    the next `index` run. A root folder that `into` did not have brings which of its files to take.

    Raises:
        IndexModelError: the two were not made with the same model.
        ExchangeError: both are the same index.
        IndexChangedError: another process wrote to `into` meanwhile.
    """
    if os.path.samefile(other.folder, into.folder):
        raise ExchangeError(f"{into.folder} cannot be merged with itself; name another index")
    if other.spec.fingerprint != into.spec.fingerprint:
        raise IndexModelError(
            f"{other.folder} was made with {other.spec.name} ({other.spec.fingerprint[:12]}), "
            f"{into.folder} with {into.spec.name} ({into.spec.fingerprint[:12]}): their vectors "
            "cannot be compared; first change one: searchengine index --re-embed "
            f"--index {other.folder} --model {into.spec.name}"
        )
    run = _Merge(into, other.scopes())
    done, total = 0, other.count
    for block in other.entries():
        run.add(block)
        done += len(block)
        progress(done, max(done, total))
    into.save_snapshot()
    run.report.captioned = run.batch.captioned
    return run.report


_State: TypeAlias = "tuple[int | None, int, int]"
"""(id, size, mtime_ns) of a file; no id where it could not be read."""


class _Merge:
    """Adds blocks of another index to this one."""

    def __init__(self, into: Index, scopes: Mapping[str, Scope]):
        self.batch = Batch(into)
        self.report = Merged()
        for root, scope in scopes.items():
            into.add_root(root, scope)
        # Asked again: a root may have become part of one that was added after it.
        self.places = {root: into.add_root(root) for root in scopes}
        self.known: dict[str, dict[str, _State]] = {}
        for root in {root for root, _ in self.places.values()}:
            failed = {path: (None, *state) for path, state in into.known_failures(root).items()}
            self.known[root] = {**failed, **into.files(root)}

    def add(self, block: Sequence[Entry]) -> None:
        """Write what a block of the other index adds."""
        for entry in block:
            image = replace(entry.image, file=self._place(entry.image.file))
            state = (image.file.size, image.file.mtime_ns)
            known = self.known[image.file.root].get(image.file.path, (None, 0, state[1] - 1))
            self._take(image, entry.captions, known[0], state == known[1:], state[1] > known[2])
        self.batch.write()

    def _take(
        self, image: NewImage, captions: Sequence[str], known: int | None, same: bool, later: bool
    ) -> None:
        """Decide what becomes of an image; `same` and `later` compare it with the known state."""
        if known is None:
            if same or later:
                self.report.added += 1
                self.batch.add(image, captions)
            else:
                self.report.kept += 1
            return
        if later:
            self.report.replaced += 1
            self.batch.changes.changed[known] = image
        elif same:
            self.report.same += 1
        else:
            self.report.kept += 1
        self.batch.unite(known, captions)

    def _place(self, file: ImageFile) -> ImageFile:
        """The file as this index names it: below which root, and by which path."""
        root, under = self.places[file.root]
        return replace(file, root=root, path=f"{under}/{file.path}" if under else file.path)
