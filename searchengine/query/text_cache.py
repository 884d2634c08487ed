"""Embeddings of texts that were searched before: a repeated query needs no model."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vectors = dict[str, NDArray[np.float32]]

KEPT: Final = 20_000
_WAIT: Final = 0.2  # seconds for another process; what is not kept is encoded again
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS texts (model TEXT, text TEXT, vector BLOB,"
    " PRIMARY KEY (model, text))"
)


class TextCache:
    """A small file of embeddings by model fingerprint and text; without a path, it keeps nothing.

    It is only a cache: where it cannot be read or written, nothing is found and nothing is kept.
    """

    def __init__(self, path: Path | None):
        self._path = path

    def get(self, fingerprint: str, texts: Sequence[str]) -> Vectors:
        """The embeddings, (dim,) float32 each, of those of the texts that are known."""
        found: Vectors = {}
        with suppress(OSError, sqlite3.Error, ValueError, TypeError), self._database() as database:
            query = "SELECT vector FROM texts WHERE model = ? AND text = ?"
            for text in texts:
                row = database.execute(query, (fingerprint, _storable(text))).fetchone()
                if row:
                    found[text] = np.frombuffer(row[0], np.float32)
        return found

    def put(self, fingerprint: str, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep embeddings; the oldest go when there are too many."""
        rows = [
            (fingerprint, _storable(text), vector.astype(np.float32).tobytes())
            for text, vector in vectors.items()
        ]
        try:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)", rows)
                old = "DELETE FROM texts WHERE rowid <= (SELECT max(rowid) FROM texts) - ?"
                database.execute(old, (KEPT,))
        except (OSError, sqlite3.OperationalError):
            pass  # no such folder, locked, or the disk is full
        except sqlite3.DatabaseError:
            self._discard()

    def _discard(self) -> None:
        """Remove a damaged file, so that the next one begins anew."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        if self._path is None:
            raise FileNotFoundError("no cache")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self._path, timeout=_WAIT)) as database, database:
            # Waiting for the disk would take longer than encoding a text does.
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_TABLE)
            yield database


def _storable(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
