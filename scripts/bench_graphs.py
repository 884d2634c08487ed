"""Other indexes of vectors among a million, for `bench_vectors.py`; and how to measure them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from searchengine.types import Embeddings

BLOCK = 16_384
K = 10

Ids = NDArray[np.int64]
Find = Callable[[Embeddings], Ids]


class Queries(NamedTuple):
    """Queries of one kind and their true nearest ids, best first."""

    kind: str
    rows: Embeddings
    truth: Ids


def row(name: str, measured: str, beside: str, ratio: str) -> None:
    print(f"| {name} | {measured} | {beside} | {ratio} |", flush=True)


def blocks(vectors: NDArray[np.float16]) -> Iterator[tuple[Ids, Embeddings]]:
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK].astype(np.float32)
        yield np.arange(start, start + len(part)), part


def brute_force(vectors: NDArray[np.float16], queries: Embeddings, k: int = K) -> Ids:
    best = (np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64))
    for ids, block in blocks(vectors):
        scores = np.concatenate([best[0], queries @ block.T], axis=1)
        places = np.concatenate([best[1], np.broadcast_to(ids, (len(queries), len(ids)))], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = (np.take_along_axis(scores, order, 1), np.take_along_axis(places, order, 1))
    return best[1]


def timed(find: Find, queries: Embeddings) -> tuple[float, list[Ids]]:
    """Median milliseconds of one query at a time, and what was found."""
    times, found = [], []
    for warm in queries[:5]:
        find(warm[np.newaxis])
    for query in queries:
        started = time.perf_counter()
        found.append(find(query[np.newaxis])[0])
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000, found


def recall(found: list[Ids], truth: Ids) -> float:
    return float(np.mean([np.isin(t, f).mean() for f, t in zip(found, truth, strict=True)]))


def compare(name: str, find: Find, queries: list[Queries], beside: str = "-") -> None:
    parts = []
    for each in queries:
        ms, found = timed(find, each.rows)
        parts.append(f"{each.kind} {ms:.2f} ms, {recall(found, each.truth):.4f}")
    row(name, "; ".join(parts), beside, "-")


# --- others ---


def beside_others(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    """FAISS's inverted file of whole float16 vectors, its graph, and those of others."""
    beside_inverted(vectors, queries)
    beside_hnsw(vectors, queries)
    if find_spec("hnswlib"):
        beside_hnswlib(vectors, queries)
    if find_spec("usearch"):
        beside_usearch(vectors, queries)


def beside_inverted(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    fp16, cosine = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    lists = round(len(vectors) ** 0.5)
    centroids = faiss.IndexFlatIP(vectors.shape[1])
    inverted = faiss.IndexIVFScalarQuantizer(
        centroids, vectors.shape[1], lists, fp16, cosine, False
    )
    inverted.cp.niter, inverted.parallel_mode = 10, 1  # as many threads for one query
    seconds = fill(inverted, vectors, 64 * lists)
    for probes in (lists // 64, lists // 16, lists // 8, lists // 4):
        inverted.nprobe = probes
        name = f"whole vectors in {lists} lists, {probes} probed"
        compare(name, lambda q: inverted.search(q, K)[1], queries, f"built in {seconds:.0f} s")


def fill(index: Any, vectors: NDArray[np.float16], sample: int) -> float:
    """Train with so many and add all; seconds."""
    started = time.perf_counter()
    if not index.is_trained:
        chosen = np.random.default_rng(0).choice(len(vectors), sample, replace=False)
        index.train(vectors[np.sort(chosen)].astype(np.float32))
    for _, block in blocks(vectors):
        index.add(block)
    return time.perf_counter() - started


def beside_hnsw(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    fp16, cosine = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexHNSWSQ(vectors.shape[1], fp16, 32, cosine)
    seconds = fill(index, vectors, 10_000)
    for effort in (50, 200, 400):
        index.hnsw.efSearch = effort
        name = f"{len(vectors):,}: faiss HNSW 32, float16, effort {effort}"
        compare(name, lambda q: index.search(q, K)[1], queries, f"built in {seconds:.0f} s")


def beside_hnswlib(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    import hnswlib

    index = hnswlib.Index("ip", vectors.shape[1])
    index.init_index(len(vectors), M=16, ef_construction=200)
    started = time.perf_counter()
    for ids, block in blocks(vectors):
        index.add_items(block, ids)
    built = f"built in {time.perf_counter() - started:.0f} s"
    for effort in (50, 200):
        index.set_ef(effort)
        name = f"{len(vectors):,}: hnswlib, float32, effort {effort}"
        compare(name, lambda q: index.knn_query(q, K)[0].astype(np.int64), queries, built)


def beside_usearch(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16")
    started = time.perf_counter()
    for ids, block in blocks(vectors):
        index.add(ids.astype(np.uint64), block)
    built = f"built in {time.perf_counter() - started:.0f} s"
    for effort in (64, 256):
        index.expansion_search = effort
        name = f"{len(vectors):,}: usearch, float16, effort {effort}"
        compare(name, lambda q: index.search(q[0], K).keys.astype(np.int64)[None], queries, built)
