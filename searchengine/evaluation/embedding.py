"""Pictures and texts to embeddings, many at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from searchengine import images
from searchengine.errors import ImageError
from searchengine.types import Embeddings, Encoder, Pixels, Progress

_TEXTS = 1024  # that many between two reports of progress


class PictureSource(Protocol):
    """Whatever names a picture and says where it lies, as `CaptionedImage` does."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def path(self) -> str:
        """The file that holds it."""

    @property
    def span(self) -> tuple[int, int] | None:
        """Its (offset, size) in a file that holds more."""


class Broken(NamedTuple):
    """A picture that cannot be read, and why."""

    name: str
    reason: str


class EmbeddedBatch(NamedTuple):
    """Some of the pictures in order: the embeddings of those that could be read."""

    embeddings: Embeddings
    kept: list[int]
    """Which pictures the rows of `embeddings` are."""
    broken: list[Broken]


@dataclass(frozen=True)
class EmbeddedPictures:
    """All pictures: row i of `embeddings` is picture `kept[i]`; the rest is `broken`."""

    embeddings: Embeddings
    kept: list[int]
    broken: list[Broken]


def embed_pictures(
    encoder: Encoder,
    pictures: Sequence[PictureSource],
    progress: Progress = lambda done, total: None,
) -> EmbeddedPictures:
    """Read and encode pictures; those that cannot be read are left out and named."""
    embeddings = np.empty((len(pictures), encoder.spec.dim), np.float32)
    kept: list[int] = []
    broken: list[Broken] = []
    for batch in embed_batches(encoder, pictures):
        embeddings[len(kept) : len(kept) + len(batch.kept)] = batch.embeddings
        kept += batch.kept
        broken += batch.broken
        progress(len(kept) + len(broken), len(pictures))
    return EmbeddedPictures(embeddings[: len(kept)], kept, broken)


def embed_batches(encoder: Encoder, pictures: Sequence[PictureSource]) -> Iterator[EmbeddedBatch]:
    """Read pictures in a pool of threads and encode them batch by batch, in order.

    The pixels of two batches at most are held beside those of the one in hand.
    """
    read = partial(_read, encoder, pictures)
    numbers = range(len(pictures))
    for batch in images.read_batches(read, numbers, encoder.batch_size, threading.Event()):
        pixels = [content for _, content in batch if not isinstance(content, Broken)]
        embeddings = np.empty((0, encoder.spec.dim), np.float32)
        if pixels:
            embeddings = encoder.encode_images(np.stack(pixels))
        yield EmbeddedBatch(
            embeddings,
            [number for number, content in batch if not isinstance(content, Broken)],
            [content for _, content in batch if isinstance(content, Broken)],
        )


def _read(
    encoder: Encoder, pictures: Sequence[PictureSource], number: int
) -> tuple[int, Pixels | Broken]:
    """A picture's number, and its pixels or what is wrong with it. Runs in the pool."""
    picture = pictures[number]
    try:
        read = images.read(picture.path, min_side=min(encoder.pixel_shape[1:]), span=picture.span)
    except ImageError as error:
        return number, Broken(picture.name, str(error))
    return number, encoder.preprocess(read.image)


def embed_texts(
    encoder: Encoder, texts: Sequence[str], progress: Progress = lambda done, total: None
) -> Embeddings:
    """Encode n texts as (n, dim); equal texts once, so that their embeddings are equal bit by bit.

    (A text's embedding depends in its last digits on those that share its batch.)
    """
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    distinct = list(rows)
    embeddings = np.empty((len(distinct), encoder.spec.dim), np.float32)
    for start in range(0, len(distinct), _TEXTS):
        part = distinct[start : start + _TEXTS]
        embeddings[start : start + len(part)] = encoder.encode_texts(part)
        progress(len(texts) * (start + len(part)) // len(distinct), len(texts))
    if len(distinct) == len(texts):
        return embeddings
    return embeddings[[rows[text] for text in texts]]
