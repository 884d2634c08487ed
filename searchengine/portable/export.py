"""Write an index for other programs, block by block."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from searchengine.index import Entry, Index
from searchengine.portable.appearing import appearing
from searchengine.portable.arrays import ArrayWriter
from searchengine.portable.names import to_text
from searchengine.portable.parquet import PartsWriter
from searchengine.types import Progress

Format: TypeAlias = Literal["parquet", "npy"]


@dataclass(frozen=True)
class Exported:
    """What was written: how many images, in how many files, of how many bytes."""

    images: int
    files: int
    bytes: int


def export(
    index: Index,
    destination: Path,
    format_: Format = "parquet",
    progress: Progress = lambda done, total: None,
) -> Exported:
    """Write every image with its embedding to a new folder, as of one moment, by id.

    `parquet` gives `part-00000.parquet` and on; `npy` gives `img_emb/img_emb_0.npy` and, row by
    row in the same order, `metadata.jsonl`. The folder appears whole or not at all.

    Raises:
        ExchangeError: the folder holds something, cannot be written, or pyarrow is missing.
    """
    writer_of = PartsWriter if format_ == "parquet" else ArrayWriter
    with appearing(destination) as folder:
        total = index.count
        with writer_of(folder, index.spec) as writer:
            for block in index.entries():
                writer.write([_row(each) for each in block], _vectors(block))
                progress(writer.rows, max(writer.rows, total))
        files = [path for path in folder.rglob("*") if path.is_file()]
        return Exported(writer.rows, len(files), sum(path.stat().st_size for path in files))


def _vectors(block: list[Entry]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.stack([each.image.embedding for each in block])


def _row(entry: Entry) -> dict[str, Any]:
    """The facts of an image; names that are not UTF-8 as the catalog has them."""
    image = entry.image
    facts = {"id": entry.id, **asdict(image.file), "digest": image.digest.hex()}
    facts |= asdict(image.info) | {"captions": [to_text(each) for each in entry.captions]}
    del facts["phash"]  # of use to this program only, which makes it anew
    texts = {key: to_text(value) for key, value in facts.items() if isinstance(value, str)}
    return facts | texts
