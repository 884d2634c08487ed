"""Whether a catalog is sound, and how it is mended."""

from __future__ import annotations

import numpy as np

from searchengine.catalog import Reader, Writer, decode
from searchengine.vectors import usable


def problems(rows: Reader, dim: int) -> list[str]:
    """Say what is unsound in the catalog, a line each."""
    return rows.problems() + [f"image {each}: no usable vector" for each in _unusable(rows, dim)]


def mend(rows: Writer, dim: int) -> list[str]:
    """Drop from the catalog what is unsound; returns what was done, a line each."""
    done = []
    if orphans := rows.mend():
        done.append(f"removed {orphans} rows that referred to missing ones")
    if unusable := _unusable(rows, dim):
        rows.remove(unusable)
        done.append(f"dropped {len(unusable)} images without a usable vector")
    return done


def _unusable(rows: Reader, dim: int) -> list[int]:
    bad = rows.without_vector()
    for ids, blobs in rows.vectors_after(0):
        good = np.array([len(blob) == 2 * dim for blob in blobs])
        whole = [blob for blob, right in zip(blobs, good, strict=True) if right]
        good[good] = usable(decode(whole, dim))
        bad += ids[~good].tolist()
    return bad
