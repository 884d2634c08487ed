"""Vector stores beside each other: FAISS, Milvus Lite, a Milvus server, pgvector.

    PYTHONPATH=. python scripts/bench_stores.py EMBEDDINGS.npy [EMBEDDINGS.npy ...]
        [--stores faiss milvus-lite milvus pgvector] [--caption TEXT]

Each file holds (n, dim) rows of unit norm; what a file holds is shuffled, 200 of it (and a little
noise) are searched with, 20 in Milvus Lite. Starts the servers itself, as the tests do, one at a
time, on loopback.
Prints one Markdown table: memory is what all processes of the store hold at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from searchengine.filters import Filters
from searchengine.scale.stores import open_store
from searchengine.types import Embeddings, EncoderSpec, Facts
from searchengine.vectors.embedded import EmbeddedStore
from searchengine.vectors.vector_store import VectorStore

K = 10
QUERIES = 200
FEWER = 20  # of the one that takes a tenth of a second each
BLOCK = 5000  # embeddings sent at a time
SHARES = (1.0, 0.5, 0.1, 0.01)
STORES = ("faiss", "milvus-lite", "milvus", "pgvector")
HEAD = (
    "| store | vectors | upserts/s | build s | memory MB | disk MB | "
    + " | ".join(
        f"{'all' if share == 1 else f'{share:.0%}{of}'}: p50 / p95 ms, recall"
        for share in SHARES
        for of in (("",) if share == 1 else (" by filter", " by ids"))
    )
    + " |"
)


class Place(NamedTuple):
    """A store, where its files are, and whose memory counts."""

    store: VectorStore
    folder: Path
    process: int


@contextmanager
def placed(kind: str, spec: EncoderSpec) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    end: Callable[[], None] = lambda: None  # noqa: E731
    process = os.getpid()
    if kind == "faiss":
        store: VectorStore = EmbeddedStore(spec)
    elif kind == "milvus-lite":
        store = open_store(f"milvus:{folder}/vectors.db", "bench", spec)
    elif kind == "milvus":
        from tests.scale.servers import MilvusServer

        server = MilvusServer()
        store, process = open_store(server.address, "bench", spec), server.pid
        folder, end = server.folder / "data" / "data", server.stop
    else:
        from tests.postgres import Postgres

        postgres = Postgres()
        store = open_store(f"pgvector:{postgres.database()}", "bench", spec)
        process = int((postgres.folder / "data" / "postmaster.pid").read_text().split()[0])
        folder, end = postgres.folder / "data" / "base", postgres.stop
    try:
        yield Place(store, folder, process)
    finally:
        store.close()
        end()
        shutil.rmtree(folder, ignore_errors=True)


def memory(process: int) -> float:
    """What a process and its children hold, shared pages once, in MB."""
    top = psutil.Process(process)
    both = [top, *top.children(recursive=True)] if process != os.getpid() else [top]
    return sum(each.memory_full_info().pss for each in both) / 1e6


def disk(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def measure(kind: str, vectors: Embeddings, queries: Embeddings) -> str:
    count, dim = vectors.shape
    before = memory(os.getpid())
    with placed(kind, EncoderSpec("bench", "bench", dim)) as (store, folder, process):
        start = time.perf_counter()
        store.ready()
        ids = np.arange(count, dtype=np.int64)
        for at in range(0, count, BLOCK):
            block = slice(at, at + BLOCK)
            facts = [Facts(i, 640, 480, "JPEG") for i in range(at, min(count, at + BLOCK))]
            store.upsert(ids[block], vectors[block], facts)
        sent = time.perf_counter()
        store.settle()
        built = time.perf_counter() - sent
        assert store.count() == count
        cells = [kind, f"{count:,}", f"{count / (sent - start):,.0f}", f"{built:.1f}"]
        searched = list(search(store, vectors, queries))
        used = memory(process) - (before if process == os.getpid() else 0)
        kept = f"{disk(folder):,.0f}" if kind != "faiss" else f"{2 * count * dim / 1e6:,.0f}"
    return "| " + " | ".join([*cells, f"{used:,.0f}", kept, *searched]) + " |"


def search(store: VectorStore, vectors: Embeddings, queries: Embeddings) -> Iterator[str]:
    """Latency and recall for every share of pictures that pass, by filter and by ids."""
    count = len(vectors)
    rng = np.random.default_rng(3)
    for share in SHARES:
        least = round(count * (1 - share))
        if share == 1:
            yield timed(store, vectors, queries, np.arange(count), None)
            continue
        if store.can_apply(filters := Filters(min_bytes=least)):
            yield timed(store, vectors, queries, np.arange(least, count), filters)
        else:
            yield "-"
        allowed = np.sort(rng.permutation(count)[: count - least])
        yield timed(store, vectors, queries, allowed, allowed)


def timed(
    store: VectorStore,
    vectors: Embeddings,
    queries: Embeddings,
    passing: NDArray[np.int64],
    among: Any,
) -> str:
    seconds, right = [], 0
    for query in queries:
        start = time.perf_counter()
        _, ids = store.search(query[None], K, among)
        seconds.append(time.perf_counter() - start)
        scores = vectors[passing] @ query
        exact = passing[np.argpartition(-scores, K)[:K]]
        right += len(np.intersect1d(exact, ids[0]))
    p50, p95 = np.quantile(seconds, (0.5, 0.95)) * 1000
    return f"{p50:.1f} / {p95:.1f}, {right / (K * len(queries)):.3f}"


def unit(rows: NDArray[Any]) -> Embeddings:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("embeddings", nargs="+", type=Path)
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--caption", default="")
    arguments = parser.parse_args()
    print(arguments.caption, "\n", HEAD, "\n|", " --- |" * HEAD.count(" | "), " --- |", sep="")
    for path in arguments.embeddings:
        rng = np.random.default_rng(1)
        rows = np.load(path).astype(np.float32)
        # As the catalog keeps them: 16 bits a number.
        vectors = unit(unit(rows[rng.permutation(len(rows))]).astype(np.float16))
        noise = rng.standard_normal((QUERIES, rows.shape[1])) * 0.3 / np.sqrt(rows.shape[1])
        queries = unit(vectors[rng.choice(len(vectors), QUERIES, replace=False)] + noise)
        for kind in arguments.stores:
            some = queries[:FEWER] if kind == "milvus-lite" else queries
            print(measure(kind, vectors, some), flush=True)


if __name__ == "__main__":
    main()
