"""What a batch changes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine.types import Failure, ImageFile, ImageInfo


@dataclass(frozen=True, slots=True, eq=False)
class NewImage:
    """A picture that was read: `digest` of its bytes, `embedding` (dim,) float32, unit norm."""

    file: ImageFile
    digest: bytes
    info: ImageInfo
    embedding: NDArray[np.float32]


class Entry(NamedTuple):
    """All that the catalog holds of an image."""

    id: int
    image: NewImage
    captions: tuple[str, ...]


@dataclass(slots=True)
class Changes:
    """One batch; all of it is written, or nothing.

    A path holds an image or a failure, never both: writing the one forgets the other. So a file
    that turned into garbage is only put into `failed`, and one that healed only into `added`.
    """

    added: list[NewImage] = field(default_factory=list)
    changed: dict[int, NewImage] = field(default_factory=dict)
    """Image id -> its new content; keeps the id."""
    moved: dict[int, ImageFile] = field(default_factory=dict)
    """Image id -> where it is now, or its new size and mtime there; keeps content and vector."""
    removed: list[int] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    forgotten: list[ImageFile] = field(default_factory=list)
    """Files whose failure is to be forgotten, as they are gone."""
    captions: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Image id -> its captions, in the place of those it had; a repeated one counts once."""

    def __bool__(self) -> bool:
        return any(getattr(self, part.name) for part in fields(self))
