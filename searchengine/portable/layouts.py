"""Folders of embeddings: what this program exports, and what clip-retrieval writes.

clip-retrieval's `inference` (https://github.com/rom1504/clip-retrieval) writes
`img_emb/img_emb_N.npy`, (n, dim) float16, beside `metadata/metadata_N.parquet` with the columns
`image_path` and `caption`, row by row in the same order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import ExchangeError
from searchengine.portable.arrays import METADATA, MODEL, VECTORS
from searchengine.portable.names import to_name
from searchengine.portable.parquet import MODEL_KEY, VECTOR, require_pyarrow

BLOCK = 2048  # rows read at a time
_FACTS = ("root", "path", "digest", "captions")  # what is read of an export; the rest is made anew


class Record(NamedTuple):
    """A row: the picture's path as the source has it, its captions, its digest if it is known."""

    path: str
    captions: tuple[str, ...]
    digest: bytes | None


Rows: TypeAlias = tuple[list[Record], NDArray[Any]]
"""n rows and their (n, dim) vectors, float16 or float32, of any norm."""


@dataclass(frozen=True)
class Part:
    """A file of vectors with what is known of each."""

    path: Path
    count: int
    dim: int
    rows: Callable[[], Iterator[Rows]]


@dataclass(frozen=True)
class Source:
    """A folder of embeddings, opened."""

    folder: Path
    parts: tuple[Part, ...]
    refused: tuple[str, ...]
    """Why parts of it cannot be used, a line each."""
    model: str | None = None
    fingerprint: str | None = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(part.count for part in self.parts)

    def rows(self) -> Iterator[Rows]:
        """All rows, block by block; raises `ExchangeError` where a file turns out damaged."""
        for part in self.parts:
            try:
                yield from part.rows()
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise _damaged(part.path, error) from error


def open_source(folder: Path) -> Source:
    """Open what `export` or clip-retrieval wrote.

    A file of vectors is refused, and said to be, where it is damaged or its metadata has another
    number of rows: nothing would tell which vector belongs to which picture. Raises
    `ExchangeError` where nothing is left, or the vectors are not all of one dimension.
    """
    facts: dict[str, Any] = {}
    refused: list[str] = []
    parts: list[Part] = []
    for path, open_ in _find(folder):
        try:
            part, model = open_(path)
            facts |= model
            parts.append(part)
        except ExchangeError as error:
            refused.append(str(error))
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            refused.append(str(_damaged(path, error)))
    if not parts:
        raise ExchangeError(f"nothing of {folder} can be imported: {'; '.join(refused)}")
    if len(dims := sorted({part.dim for part in parts})) > 1:
        raise ExchangeError(f"{folder} holds vectors of {dims} dimensions; import them one by one")
    return Source(
        folder, tuple(parts), tuple(refused), facts.get("model"), facts.get("fingerprint")
    )


_Opened: TypeAlias = "tuple[Part, dict[str, Any]]"


def _find(folder: Path) -> list[tuple[Path, Callable[[Path], _Opened]]]:
    """The files of vectors in a folder, and how each is opened."""
    if exported := sorted(folder.glob("part-*.parquet")):
        require_pyarrow()
        return [(path, _open_table) for path in exported]
    arrays = sorted((folder / VECTORS).parent.glob("*.npy"), key=lambda path: _number(path) or 0)
    if (folder / METADATA).is_file() and arrays:
        return [(folder / VECTORS, partial(_open_array, folder))]
    if arrays:
        require_pyarrow()
        return [(path, partial(_open_pair, folder)) for path in arrays]
    raise ExchangeError(
        f"{folder} holds neither part-*.parquet nor {VECTORS}; name a folder that "
        "`searchengine export` or clip-retrieval wrote"
    )


def _number(path: Path) -> int | None:
    found = re.search(r"(\d+)$", path.stem)
    return int(found[1]) if found else None


def _damaged(path: Path, error: Exception) -> ExchangeError:
    return ExchangeError(f"{path}: damaged: {' '.join(str(error).split())[:200]}")


# --- What this program exports ---


def _open_table(path: Path) -> _Opened:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
    dim = schema.field(VECTOR).type.list_size
    facts = json.loads((schema.metadata or {}).get(MODEL_KEY, "{}"))
    return Part(path, count, dim, partial(_table_rows, path, dim)), facts


def _table_rows(path: Path, dim: int) -> Iterator[Rows]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for batch in file.iter_batches(BLOCK, columns=[*_FACTS, VECTOR]):
            vectors = batch.column(VECTOR).flatten().to_numpy().reshape(len(batch), dim)
            yield [_record(row) for row in batch.drop_columns([VECTOR]).to_pylist()], vectors


def _open_array(folder: Path, path: Path) -> _Opened:
    vectors, metadata = _vectors(path), folder / METADATA
    with metadata.open("rb") as lines:
        _require_aligned(path, len(vectors), metadata, sum(1 for line in lines if line.strip()))
    model = folder / MODEL
    facts = json.loads(model.read_bytes()) if model.is_file() else {}
    return _part(path, vectors, partial(_lines, metadata)), facts


def _lines(metadata: Path) -> Iterator[list[Record]]:
    with metadata.open(encoding="utf-8") as file:
        lines = (line for line in file if line.strip())
        while block := list(islice(lines, BLOCK)):
            yield [_record(json.loads(line)) for line in block]


def _record(row: dict[str, Any]) -> Record:
    path = to_name(f"{row['root']}/{row['path']}")
    captions = tuple(map(to_name, row["captions"]))
    return Record(path, captions, bytes.fromhex(row["digest"]))


# --- What clip-retrieval writes ---


def _open_pair(folder: Path, path: Path) -> _Opened:
    from pyarrow.parquet import ParquetFile

    vectors = _vectors(path)
    for metadata in (folder / "metadata").glob("*.parquet"):
        if _number(metadata) == _number(path):
            break
    else:
        raise ExchangeError(f"{path}: there is no metadata/metadata_N.parquet of its number")
    with ParquetFile(metadata) as file:
        _require_aligned(path, len(vectors), metadata, file.metadata.num_rows)
        names = file.schema_arrow.names
    if "image_path" not in names:
        raise ExchangeError(f"{metadata}: no column image_path; found {', '.join(names)}")
    columns = [name for name in ("image_path", "caption") if name in names]
    return _part(path, vectors, partial(_foreign_records, metadata, columns)), {}


def _foreign_records(metadata: Path, columns: list[str]) -> Iterator[list[Record]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(metadata) as file:
        for batch in file.iter_batches(BLOCK, columns=columns):
            yield [
                Record(
                    str(row["image_path"] or ""),
                    (text,) if (text := str(row.get("caption") or "").strip()) else (),
                    None,
                )
                for row in batch.to_pylist()
            ]


# --- NumPy's files, whoever wrote them ---


def _vectors(path: Path) -> NDArray[Any]:
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise ExchangeError(
            f"{path}: {vectors.shape} {vectors.dtype} are no embeddings; they are (n, dim) floats"
        )
    return np.asarray(vectors)


def _require_aligned(vectors: Path, count: int, metadata: Path, rows: int) -> None:
    if count != rows:
        raise ExchangeError(
            f"{vectors} has {count} vectors and {metadata.name} {rows} rows: which belongs to "
            "which is lost; make both anew"
        )


def _part(path: Path, vectors: NDArray[Any], records: Callable[[], Iterator[list[Record]]]) -> Part:
    def rows() -> Iterator[Rows]:
        start = 0
        for block in records():
            yield block, vectors[start : start + len(block)]
            start += len(block)

    return Part(path, len(vectors), vectors.shape[1], rows)
