"""Whether an index is sound, and how it is mended."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from searchengine.catalog import Reader, Writer, decode
from searchengine.errors import IndexFolderError
from searchengine.vectors import VectorIndex, usable


def problems(rows: Reader, dim: int, snapshot: Path) -> list[str]:
    """Say what is unsound, a line each. A missing snapshot is sound."""
    found = rows.problems()
    found += [f"image {each}: no usable vector" for each in _unusable(rows, dim)]
    if snapshot.exists() and not matches(rows, dim, snapshot):
        found.append(f"{snapshot} is damaged or differs from the catalog")
    return found


def mend(rows: Writer, dim: int) -> list[str]:
    """Drop from the catalog what is unsound; returns what was done, a line each."""
    done = []
    if orphans := rows.mend():
        done.append(f"removed {orphans} rows that referred to missing ones")
    if unusable := _unusable(rows, dim):
        rows.remove(unusable)
        done.append(f"dropped {len(unusable)} images without a usable vector")
    return done


def matches(rows: Reader, dim: int, snapshot: Path) -> bool:
    """Tell whether a snapshot holds exactly the vectors of the catalog."""
    try:
        ids, vectors = VectorIndex.load(snapshot).items()
    except (OSError, IndexFolderError):
        return False
    if vectors.shape != (rows.count(), dim):
        return False
    for block, blobs in rows.vectors_after(0):
        places = np.searchsorted(ids, block).clip(max=len(ids) - 1)
        if (ids[places] != block).any() or vectors[places].tobytes() != b"".join(blobs):
            return False
    return True


def _unusable(rows: Reader, dim: int) -> list[int]:
    bad = rows.without_vector()
    for ids, blobs in rows.vectors_after(0):
        good = np.array([len(blob) == 2 * dim for blob in blobs])
        whole = [blob for blob, right in zip(blobs, good, strict=True) if right]
        good[good] = usable(decode(whole, dim))
        bad += ids[~good].tolist()
    return bad
