"""Small collections for the tests of the stores, and how to write to one while it is killed."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import StoreError
from searchengine.types import Embeddings, EncoderSpec, Facts
from searchengine.vectors.vector_store import VectorStore

DIM = 32
SPEC = EncoderSpec("toy", "0123456789abcdef", DIM)
BLOCK = 200


def vectors_of(count: int, seed: int = 0, dim: int = DIM) -> Embeddings:
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def facts_of(count: int) -> list[Facts]:
    return [Facts(i, 640, 480, "JPEG", "2020-01-01T00:00:00", "camera") for i in range(count)]


def fill(store: VectorStore, count: int) -> None:
    """Put the first `count` of the toy collection, and let everybody search them."""
    store.ready()
    store.upsert(np.arange(count), vectors_of(count), facts_of(count))
    store.settle()


def write_until_killed(store: VectorStore, kill: Callable[[], None], seconds: float) -> int:
    """Put block after block until the server is killed; how many embeddings were acknowledged.

    The one with id i is the ith of `vectors_of(10**5)`.
    """
    rows = vectors_of(100_000)
    timer = threading.Timer(seconds, kill)
    timer.start()
    done = 0
    with pytest.raises(StoreError, match=r"^[^\n]+$"):  # noqa: PT012
        for start in range(0, len(rows), BLOCK):
            ids = np.arange(start, start + BLOCK, dtype=np.int64)
            store.upsert(ids, rows[ids], facts_of(BLOCK))
            done = start + BLOCK
    timer.join()
    assert BLOCK <= done < len(rows)
    return done


def assert_holds(store: VectorStore, count: int) -> None:
    """The first `count` of `vectors_of(10**5)` are there, and perhaps the block after them."""
    assert count <= store.count() <= count + BLOCK
    rows = vectors_of(100_000)
    for start in range(0, count, 20 * BLOCK):
        ids = np.arange(start, min(count, start + BLOCK), dtype=np.int64)
        scores, found = store.search(rows[ids[:50]], 1, ids)
        assert found[:, 0].tolist() == ids[:50].tolist()
        np.testing.assert_allclose(scores, 1, atol=2e-3)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system that is soon full; skips where this process may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
