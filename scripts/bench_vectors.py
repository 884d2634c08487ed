"""Search among a million vectors, beside other indexes and beside brute force.

    python scripts/bench_vectors.py --photos DIR [--captions CSV] [--count 1000000]

Prints rows of the table that `bench.py` prints. hnswlib and usearch take part where they are
installed, with fewer vectors: their graphs take minutes to build.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
from bench_crops import Crops, embed_crops, grow, photographs_in, widening
from numpy.typing import NDArray

from searchengine import encoders
from searchengine.types import Embeddings
from searchengine.vectors import VectorIndex

CROPS = 7  # of each photograph
WIDE = 512  # dimensions of the vectors
BLOCK = 16_384
K = 10
SELECTIVITIES = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 0.9, 0.99, 1.0)

Ids = NDArray[np.int64]
Find = Callable[[Embeddings], Ids]


class Queries(NamedTuple):
    """Queries of one kind and their true nearest ids, best first."""

    kind: str
    rows: Embeddings
    truth: Ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--captions", type=Path, help="CSV with a column `caption`")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--graphs", type=int, default=100_000, help="vectors for the other graphs")
    parser.add_argument("--queries", type=int, default=300, help="of each kind")
    parser.add_argument("--hnsw", action="store_true", help="faiss HNSW among all, too: minutes")
    args = parser.parse_args()
    crops, texts = embedded(args.photos, args.captions, args.queries)
    wide = widening(crops.stored.shape[2], WIDE)
    vectors = np.concatenate(
        [(b @ wide).astype(np.float16) for b in grow(crops.stored, args.count)]
    )
    np.random.default_rng(0).shuffle(vectors)
    held_out = np.random.default_rng(1).permutation(crops.held_out)[: args.queries]
    rows = {"crops": held_out @ wide, "texts": texts @ wide}
    queries = [Queries(kind, each, brute_force(vectors, each)) for kind, each in rows.items()]
    index = the_index(vectors, queries)
    filters(index, vectors, queries)
    changes(index)
    del index
    others(vectors, queries, hnsw=args.hnsw)
    few = vectors[: args.graphs]
    graphs(few, [Queries(q.kind, q.rows, brute_force(few, q.rows)) for q in queries])


def embedded(photos: Path, captions: Path | None, count: int) -> tuple[Crops, Embeddings]:
    """Crops of the photographs, kept for the next run, and texts."""
    encoder = encoders.load(encoders.find("builtin"), "cpu")
    paths = photographs_in(photos, 7000)
    kept = Path(f".cache/bench-crops-{encoder.spec.fingerprint[:12]}-{len(paths)}.npz")
    if not kept.exists():
        made = embed_crops(encoder, paths, CROPS)
        kept.parent.mkdir(exist_ok=True)
        np.savez(kept, stored=made.stored, held_out=made.held_out)
    loaded = np.load(kept)
    texts = written(captions) if captions else words(encoders.find("builtin").path)
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    return Crops(loaded["stored"], loaded["held_out"]), encoder.encode_texts(
        [texts[i] for i in chosen]
    )


def written(captions: Path) -> list[str]:
    with captions.open(newline="", encoding="utf-8") as file:
        return [row["caption"] for row in csv.DictReader(file)]


def words(model: Path) -> list[str]:
    """What the model's reference pictures show, a few words each."""
    lines = (model / "reference.txt").read_text("utf-8").splitlines()
    return [" ".join(part.split(":")[0] for part in line.split()[:5]) for line in lines]


# --- measuring ---


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


# --- what is measured ---


def the_index(vectors: NDArray[np.float16], queries: list[Queries]) -> VectorIndex:
    """The engine's own, beside comparing all."""
    index, before = VectorIndex(WIDE), resident()
    index.reserve(len(vectors))
    started = time.perf_counter()
    for ids, block in blocks(vectors):
        index.add(ids, block)
    built = time.perf_counter() - started
    exact = [timed(lambda q: index.search(q, K)[1], q.rows[:30])[0] for q in queries]
    started = time.perf_counter()
    index.settle()
    built += time.perf_counter() - started
    for each, scan in zip(queries, exact, strict=True):
        ms, found = timed(lambda q: index.search(q, K)[1], each.rows)
        row(
            f"one query among {len(vectors):,} x {WIDE}, {each.kind}",
            f"{ms:.2f} ms, recall@10 {recall(found, each.truth):.4f}",
            f"comparing all {scan:.1f} ms",
            f"{ms / scan:.3f} x",
        )
    row("building it", f"{built:.0f} s", f"{resident() - before:,} MB", "-")
    return index


def resident() -> int:
    """Megabytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def filters(index: VectorIndex, vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    """A query among a part of the images beside one among all, in turns."""
    rng = np.random.default_rng(2)
    for share in SELECTIVITIES:
        allowed = np.sort(rng.choice(index.count, round(index.count * share), replace=False))
        for each in queries:
            rows = each.rows[:100]
            truth = allowed[brute_force(vectors[allowed], rows)]
            within, all_of_it, found = [], [], []
            for start in range(0, len(rows), 20):
                part = rows[start : start + 20]
                ms, ids = timed(lambda q, a=allowed: index.search(q, K, a)[1], part)  # type: ignore[misc]
                within.append(ms)
                found += ids
                all_of_it.append(timed(lambda q: index.search(q, K)[1], part)[0])
            ms, bare = float(np.median(within)), float(np.median(all_of_it))
            row(
                f"within {share:.2%} of them, {each.kind}",
                f"{ms:.2f} ms, recall@10 {recall(found, truth):.4f}",
                f"within all {bare:.2f} ms",
                f"{ms / bare:.2f} x",
            )


def changes(index: VectorIndex) -> None:
    """Adding and removing 1,000."""
    rows = np.random.default_rng(3).standard_normal((1000, WIDE)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ids = np.arange(index.count, index.count + 1000)
    before, started = index.kind, time.perf_counter()
    index.add(ids, rows)
    index.settle()
    added, started = time.perf_counter() - started, time.perf_counter()
    index.remove(ids)
    removed = time.perf_counter() - started
    kept = "partitions kept" if index.kind == before else "partitions learned anew"
    row("adding 1,000, removing them", f"{added:.2f} s, {removed:.2f} s", kept, "-")


def others(vectors: NDArray[np.float16], queries: list[Queries], *, hnsw: bool) -> None:
    """FAISS's inverted file of whole float16 vectors and, if asked for, its graph."""
    fp16, cosine = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    lists = round(len(vectors) ** 0.5)
    centroids = faiss.IndexFlatIP(WIDE)
    inverted = faiss.IndexIVFScalarQuantizer(centroids, WIDE, lists, fp16, cosine, False)
    inverted.cp.niter, inverted.parallel_mode = 10, 1  # as many threads for one query
    seconds = fill(inverted, vectors, 64 * lists)
    for probes in (lists // 64, lists // 16, lists // 8, lists // 4):
        inverted.nprobe = probes
        name = f"whole vectors in {lists} lists, {probes} probed"
        compare(name, lambda q: inverted.search(q, K)[1], queries, f"built in {seconds:.0f} s")
    if hnsw:
        graph(vectors, queries, (50, 100, 200, 400))


def fill(index: Any, vectors: NDArray[np.float16], sample: int) -> float:
    """Train with so many and add all; seconds."""
    started = time.perf_counter()
    if not index.is_trained:
        chosen = np.random.default_rng(0).choice(len(vectors), sample, replace=False)
        index.train(vectors[np.sort(chosen)].astype(np.float32))
    for _, block in blocks(vectors):
        index.add(block)
    return time.perf_counter() - started


def graph(vectors: NDArray[np.float16], queries: list[Queries], efforts: tuple[int, ...]) -> None:
    """FAISS's HNSW over float16."""
    fp16, cosine = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexHNSWSQ(WIDE, fp16, 32, cosine)
    seconds = fill(index, vectors, 10_000)
    for effort in efforts:
        index.hnsw.efSearch = effort
        name = f"{len(vectors):,}: faiss HNSW 32, float16, effort {effort}"
        compare(name, lambda q: index.search(q, K)[1], queries, f"built in {seconds:.0f} s")


def graphs(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    """Graphs beside the engine's index, among fewer."""
    from searchengine.vectors import index as settings

    for limit in (settings.EXACT_LIMIT, 0):
        settings.EXACT_LIMIT, ours = limit, VectorIndex(WIDE)
        ours.reserve(len(vectors))
        started = time.perf_counter()
        for ids, block in blocks(vectors):
            ours.add(ids, block)
        ours.settle()
        built = f"built in {time.perf_counter() - started:.0f} s"
        name = f"{len(vectors):,}: this index, {ours.kind}"
        compare(name, lambda q, i=ours: i.search(q, K)[1], queries, built)  # type: ignore[misc]
    graph(vectors, queries, (50, 200))
    if find_spec("hnswlib"):
        beside_hnswlib(vectors, queries)
    if find_spec("usearch"):
        beside_usearch(vectors, queries)


def beside_hnswlib(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    import hnswlib

    index = hnswlib.Index("ip", WIDE)
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

    index = Index(ndim=WIDE, metric="ip", dtype="f16")
    started = time.perf_counter()
    for ids, block in blocks(vectors):
        index.add(ids.astype(np.uint64), block)
    built = f"built in {time.perf_counter() - started:.0f} s"
    for effort in (64, 256):
        index.expansion_search = effort
        name = f"{len(vectors):,}: usearch, float16, effort {effort}"
        compare(name, lambda q: index.search(q[0], K).keys.astype(np.int64)[None], queries, built)


if __name__ == "__main__":
    main()
