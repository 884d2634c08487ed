"""Put images into an index that come with their embeddings and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from searchengine.index import Changes, Index, NewImage
from searchengine.types import ImageFile


@dataclass
class Batch:
    """Changes of an index whose images have captions, written together."""

    index: Index
    changes: Changes = field(default_factory=Changes)
    captioned: int = 0
    """Images the index held that got captions they did not have."""
    _texts: dict[ImageFile, Sequence[str]] = field(default_factory=dict)
    _had: dict[int, tuple[str, ...]] | None = None

    def add(self, image: NewImage, captions: Sequence[str]) -> None:
        """Add an image that the index does not hold."""
        self.changes.added.append(image)
        if captions:
            self._texts[image.file] = captions

    def unite(self, image_id: int, captions: Sequence[str]) -> None:
        """Give an image of the index these captions beside those it has."""
        if not captions:
            return
        if self._had is None:
            self._had = self.index.captions()
        had = self.changes.captions.get(image_id) or self._had.get(image_id, ())
        if missing := [text for text in dict.fromkeys(captions) if text not in had]:
            self.captioned += 1
            self.changes.captions[image_id] = (*had, *missing)

    def write(self) -> None:
        """Write all of it, then the captions of new images, which have their ids only now.

        Should the process end between the two, these captions are missing; whoever gives them
        again to `unite` mends that.
        """
        self.index.write(self.changes)
        if self._texts:
            digests = {i.digest for i in self.changes.added if i.file in self._texts}
            found = [each for same in self.index.by_digest(digests).values() for each in same]
            texts = {i.id: tuple(self._texts[i.file]) for i in found if i.file in self._texts}
            self.index.write(Changes(captions=texts))
        self.changes, self._texts = Changes(), {}
