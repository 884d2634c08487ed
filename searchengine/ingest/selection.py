"""What a run is told of the files to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from searchengine.catalog import lift
from searchengine.types import Scope


@dataclass(frozen=True)
class Selection:
    """Which files of a folder to take.

    The index remembers `include_hidden` and `exclude` of each root folder: None is what it
    remembers. For a folder inside a root, what is given counts for one run.
    """

    include_hidden: bool | None = None
    exclude: Sequence[str] | None = None
    """Patterns with gitignore syntax, relative to the folder, in the place of those remembered."""
    retry_failed: bool = False
    """Read files again that could not be read in the state they are in."""
    allow_empty: bool = False
    """Drop all images of a folder that is empty now (otherwise: an unmounted drive)."""

    def __post_init__(self) -> None:
        if isinstance(self.exclude, str):  # each of its letters would be remembered
            raise TypeError(f"exclude must be a sequence of patterns: [{self.exclude!r}]")

    def scope(self, known: Scope, under: str) -> Scope:
        """Which files to take of the folder `under` a root: as told, else as known of the root."""
        return Scope(
            known.exclude if self.exclude is None else lift(self.exclude, under),
            known.include_hidden if self.include_hidden is None else self.include_hidden,
        )
