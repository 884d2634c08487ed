"""Example pictures to embeddings."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from searchengine.errors import ImageError, QueryError
from searchengine.types import Embeddings, Encoder


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
            picture = images.read(os.path.expanduser(example), min_side=min_side)
    except ImageError as error:
        name = "the example" if isinstance(example, bytes) else str(example)
        raise QueryError(f"cannot use {name} as an example picture: {error}") from error
    return encoder.encode_images(encoder.preprocess(picture.image)[np.newaxis])
