"""NumPy files of embeddings, with a line of JSON for each row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from searchengine.types import Embeddings, EncoderSpec

VECTORS = Path("img_emb", "img_emb_0.npy")  # where clip-retrieval has it
METADATA = "metadata.jsonl"
MODEL = "model.json"


class ArrayWriter:
    """Writes rows to `img_emb/img_emb_0.npy`, float16, and `metadata.jsonl`; a context manager."""

    def __init__(self, folder: Path, spec: EncoderSpec):
        self.spec = spec
        self.rows = 0
        facts = {"model": spec.name, "fingerprint": spec.fingerprint, "dim": spec.dim}
        (folder / MODEL).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        (folder / VECTORS).parent.mkdir()
        self._vectors: BinaryIO = (folder / VECTORS).open("wb")
        self._metadata = (folder / METADATA).open("w", encoding="utf-8")

    def __enter__(self) -> ArrayWriter:
        self._write_header()
        return self

    def __exit__(self, *error: object) -> None:
        with self._vectors, self._metadata:
            self._vectors.seek(0)
            self._write_header()  # now that the number of rows is known

    def write(self, rows: Sequence[dict[str, Any]], vectors: Embeddings) -> None:
        """Add n rows with their (n, dim) float32 vectors."""
        self._vectors.write(np.ascontiguousarray(vectors, "<f2").tobytes())
        self._metadata.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self.rows += len(rows)

    def _write_header(self) -> None:
        # NumPy leaves room in a header for more rows, so that both times it has one length.
        header = {"descr": "<f2", "fortran_order": False, "shape": (self.rows, self.spec.dim)}
        np.lib.format.write_array_header_1_0(self._vectors, header)
