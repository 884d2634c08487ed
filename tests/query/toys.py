"""Indexes of random vectors, encoders that are tables, and references in the hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from searchengine.encoders.reference import Reference
from searchengine.index import Changes, Index
from searchengine.query import Answerer, Judge, Model, TextCache
from searchengine.types import Embeddings, Encoder
from tests.fakes import FakeEncoder
from tests.index.toys import ROOT, picture, unit

DIM = FakeEncoder().spec.dim
WORDS = ("dog", "cat", "boat", "tree")


class CountingEncoder(FakeEncoder):
    """Keeps the texts that it was given."""

    def __init__(self, name: str = "fake"):
        super().__init__(name)
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self.asked += texts
        return super().encode_texts([text.encode("utf-8", "replace").decode() for text in texts])


def make_index(folder: Path, vectors: Embeddings, names: Sequence[str] = ()) -> Index:
    """An index of images without files; ids are 1, 2, ...; equal vectors are copies."""
    names = names or [f"{i:05}.jpg" for i in range(len(vectors))]
    index = Index.create(folder, FakeEncoder().spec)
    index.add_root(ROOT)
    pairs = zip(names, vectors, strict=True)
    added = [picture(name, row, hashlib.sha256(row.tobytes()).digest()) for name, row in pairs]
    index.write(Changes(added=added))
    return index


def images(n: int, seed: int = 0) -> Embeddings:
    return unit(n, seed, DIM)


def reference(seed: int = 9) -> Reference:
    """Forty photographs, of each of which people said one of `WORDS`, or several."""
    lines = [
        f"{WORDS[i % 4]}:1 {WORDS[i % 3]}:0.4" if i % 4 != i % 3 else f"{WORDS[i % 4]}:1"
        for i in range(40)
    ]
    return Reference(images(40, seed), "".join(f"{line}\n" for line in lines), 20.0)


def answerer(
    index: Index,
    encoder: Encoder | None = None,
    judge: Judge | None = None,
    cache: TextCache | None = None,
) -> Answerer:
    """What answers from an index; without a `judge`, no relevance is told."""
    chosen = encoder or CountingEncoder()
    return Answerer(index, Model(lambda: chosen, judge), cache or TextCache(None))
