"""Parquet files of images with their embeddings. Wraps pyarrow."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from searchengine.errors import ExchangeError
from searchengine.types import EncoderSpec

PART_ROWS = 250_000  # rows of a file
MODEL_KEY = b"searchengine"  # in the metadata of the schema
VECTOR = "embedding"


def require_pyarrow() -> None:
    """Raise `ExchangeError`, naming the extra, where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ExchangeError(
            "Parquet files need pyarrow; install it with: pip install 'searchengine[parquet]'"
        )


class PartsWriter:
    """Writes rows to `part-00000.parquet` and on; a context manager.

    Vectors are float32, which every reader of Parquet takes, and which takes the room of float16:
    the bytes are stored in four streams, and those of the digits that float16 lacks are all zero.
    """

    def __init__(self, folder: Path, spec: EncoderSpec):
        require_pyarrow()
        self.folder = folder
        self.schema = _schema(spec)
        self.parts = 0
        self.rows = 0
        self._open: Any = None

    def __enter__(self) -> PartsWriter:
        self._next()  # an empty index is exported as an empty file, not as none
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def write(self, rows: Sequence[dict[str, Any]], vectors: np.ndarray[Any, Any]) -> None:
        """Add n rows with their (n, dim) float32 vectors."""
        import pyarrow as pa

        if self.rows >= PART_ROWS * self.parts:
            self._open.close()
            self._next()
        columns = [
            pa.array([row[field.name] for row in rows], field.type)
            for field in self.schema
            if field.name != VECTOR
        ]
        flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
        columns.append(pa.FixedSizeListArray.from_arrays(flat, type=self.schema.field(VECTOR).type))
        self._open.write_batch(pa.record_batch(columns, schema=self.schema))
        self.rows += len(rows)

    def _next(self) -> None:
        from pyarrow.parquet import ParquetWriter

        self._open = ParquetWriter(
            self.folder / f"part-{self.parts:05}.parquet",
            self.schema,
            compression="zstd",
            use_dictionary=["root", "format", "camera", "lens"],
            use_byte_stream_split=[f"{VECTOR}.list.element"],
        )
        self.parts += 1


def _schema(spec: EncoderSpec) -> Any:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    facts = {"model": spec.name, "fingerprint": spec.fingerprint, "dim": spec.dim}
    return pa.schema(
        [
            *(("id", whole), ("path", text), ("root", text), ("size", whole)),
            *(("mtime_ns", whole), ("digest", text), ("width", pa.int32())),
            *(("height", pa.int32()), ("format", text), ("taken_at", text), ("camera", text)),
            *(("lens", text), ("latitude", real), ("longitude", real)),
            ("captions", pa.list_(text)),
            (VECTOR, pa.list_(pa.float32(), spec.dim)),
        ],
        metadata={MODEL_KEY: json.dumps(facts)},
    )
