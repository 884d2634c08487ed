"""A photo folder and its index."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from searchengine import images
from searchengine.index import Changes, Index, NewImage
from searchengine.ingest import Report, Selection, ingest
from searchengine.types import ImageFile, ImageInfo
from tests.fakes import FakeEncoder


class Collection:
    """A photo folder, its index, and an encoder that counts."""

    def __init__(self, home: Path):
        self.folder = home / "photos"
        self.folder.mkdir()
        self.encoder = FakeEncoder()
        self.index = Index.create(home / "index", self.encoder.spec)

    def run(self, **options: object) -> Report:
        self.encoder.encoded = 0
        return ingest(self.index, lambda: self.encoder, [self.folder], Selection(**options))

    def paths(self) -> set[str]:
        return set(self.index.files(str(self.folder)))

    def failed(self) -> dict[str, str]:
        return {each.file.path: each.reason for each in self.index.failures()}

    def embedding(self, path: str) -> np.ndarray:
        return self.index.embeddings([self.index.files(str(self.folder))[path][0]])[0]


def counts(report: Report) -> dict[str, int]:
    """The counts that are not zero."""
    names = ("added", "changed", "moved", "removed", "unchanged", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def write_as_cluster(index: Index, root: str, path: str, content: bytes) -> None:
    """Have a JPEG in an index that this machine could not read there, as --ray puts it."""
    index.add_root(root)
    digest = images.read_bytes_unless_known(content, path, lambda _: True, min_side=1).digest
    vector = np.eye(1, index.spec.dim, dtype=np.float32)[0]
    file = ImageFile(root, path, len(content), 1)
    index.write(Changes(added=[NewImage(file, digest, ImageInfo(96, 64, "JPEG"), vector)]))


def age(path: Path) -> None:
    """Make a file look written a minute ago."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns - 60_000_000_000))
