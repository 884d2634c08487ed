"""Who lists folders, reads files and embeds pictures: this machine, or a cluster."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from searchengine.images import UnreadableFolder
from searchengine.types import ImageFile, KnownContent, Reading, Scope, Task


class Workers(Protocol):
    """What a run needs of the world outside the index."""

    def list_folders(self, folders: Iterable[str | Path]) -> dict[str, bool]:
        """The names by which the index knows folders, and whether there is anything in each.

        Those that lie inside another one are left out. Raises `ImageError` where one cannot be
        listed.
        """
        ...

    def walk(self, root: str, under: str, scope: Scope) -> Iterator[ImageFile | UnreadableFolder]:
        """Yield the picture files of the folder `under` a root.

        Raises `ImageError` at the first item where that folder cannot be listed.
        """
        ...

    def out_of_sight(self, root: str, paths: Iterable[str]) -> set[str]:
        """Those of the paths that `walk` would not have found even if they are there."""
        ...

    def is_gone(self, file: ImageFile) -> bool | None:
        """Whether a file that was indexed is missing, while its root is there.

        None where only a listing can tell: it is gone if `walk` did not find it.
        """
        ...

    def embed(
        self, tasks: Sequence[Task], known: KnownContent, stop: threading.Event
    ) -> Iterator[list[Reading]]:
        """Give a reading of each task, batch by batch; end after the batch in hand on `stop`.

        A content that is new is embedded at least once, and one that is known need not be.
        """
        ...
