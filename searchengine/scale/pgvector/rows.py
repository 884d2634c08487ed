"""Embeddings and facts as PostgreSQL's binary COPY wants them, and as text."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.catalog.schema import AnyText
from searchengine.types import Embeddings, Facts

COLUMNS: Final = ("id", "embedding", *Facts._fields)
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END: Final = struct.pack(">h", -1)
_NULL: Final = struct.pack(">i", -1)
_START: Final = struct.Struct(">hiq")  # how many fields, then the id and its length
_NUMBER: Final = struct.Struct(">iq")
_LENGTH: Final = struct.Struct(">i")
_TEXT: Final = AnyText()
_BLOCK: Final = 1000


def copied(
    ids: NDArray[np.int64], embeddings: Embeddings, facts: Sequence[Facts]
) -> Iterator[bytes]:
    """A binary COPY of (n,) ids, (n, dim) embeddings as halfvec, and facts, in `COLUMNS`."""
    dim = embeddings.shape[1]
    head = _LENGTH.pack(4 + 2 * dim) + struct.pack(">HH", dim, 0)
    yield _HEADER
    for start in range(0, len(ids), _BLOCK):
        block = slice(start, start + _BLOCK)
        vectors = embeddings[block].astype(">f2")
        rows = zip(ids[block].tolist(), vectors, facts[block], strict=True)
        yield b"".join(
            _START.pack(len(COLUMNS), 8, id_) + head + vector.tobytes() + _packed(each)
            for id_, vector, each in rows
        )
    yield _END


def _packed(facts: Facts) -> bytes:
    numbers = (_NUMBER.pack(8, each) for each in (facts.size, facts.width, facts.height))
    texts = (facts.format, facts.taken_at, facts.camera, facts.lens)
    return b"".join(numbers) + b"".join(_field(text) for text in texts)


def _field(text: str | None) -> bytes:
    if text is None:
        return _NULL
    data = storable(text).encode()
    return _LENGTH.pack(len(data)) + data


def storable(text: str) -> str:
    """A text without what PostgreSQL does not take, each told from all others."""
    hidden = _TEXT.process_bind_param(text, None) or ""
    return hidden.replace("\0", "\U0010fe00")


def vector_literal(vector: NDArray[np.float32]) -> str:
    """A (dim,) float32 vector as text, with all of its digits."""
    return f"[{','.join(map(str, vector.tolist()))}]"
