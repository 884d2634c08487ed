"""Queries: texts, example pictures and indexed images to hits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from searchengine.errors import ImageError, QueryError
from searchengine.index import Index
from searchengine.types import Embeddings, Encoder, Hit


def search_texts(index: Index, encoder: Encoder, texts: Sequence[str], k: int) -> list[list[Hit]]:
    """The k images nearest to each text, best first; fewer when the index holds fewer.

    Raises `QueryError` for an empty text.
    """
    for text in texts:
        if not text.strip():
            raise QueryError("the query is empty; describe what the picture shows")
    check_k(k)
    with ThreadPoolExecutor(1) as beside:  # of a first query, loading is the longest part
        loading = beside.submit(index.preload)
        embeddings = encoder.encode_texts(texts)
        loading.result()
    return index.search(embeddings, k)


def embed_example(encoder: Encoder, example: str | Path | bytes) -> Embeddings:
    """The (1, dim) embedding of an example picture, a path or a file's content.

    Raises `QueryError` when it cannot be read as a picture.
    """
    from searchengine import images  # not for a text query, which is faster without

    min_side = min(encoder.pixel_shape[1:])
    try:
        if isinstance(example, bytes):
            picture = images.decode(io.BytesIO(example), min_side=min_side)
        else:
            picture = images.read(str(Path(example).expanduser()), min_side=min_side)
    except ImageError as error:
        name = "the example" if isinstance(example, bytes) else str(example)
        raise QueryError(f"cannot use {name} as an example picture: {error}") from error
    return encoder.encode_images(encoder.preprocess(picture.image)[np.newaxis])


def search_example(
    index: Index, encoder: Encoder, example: str | Path | bytes, k: int
) -> list[Hit]:
    """The k images nearest to an example picture, itself included if it is indexed."""
    check_k(k)
    return index.search(embed_example(encoder, example), k)[0]


def search_indexed(index: Index, image_id: int, k: int) -> list[Hit]:
    """The k images nearest to an indexed image, without itself; needs no model.

    Raises `QueryError` when no image has that id.
    """
    check_k(k)
    hits = index.search(index.embeddings([image_id]), k + 1)[0]
    return [hit for hit in hits if hit.id != image_id][:k]


def check_k(k: int) -> None:
    """Raise `QueryError` unless `k` is a positive number."""
    if k < 1:
        raise QueryError(f"k is {k}; ask for at least one hit")
