"""Search among a million vectors, beside other indexes and beside brute force.

    python scripts/bench_vectors.py --photos DIR [--captions CSV] [--count 1000000]

Prints rows of the table that `bench.py` prints. hnswlib and usearch take part where they are
installed (`bench_graphs.py`); building their graphs takes minutes.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from pathlib import Path

import numpy as np
from bench_crops import Crops, embed_crops, grow, photographs_in, widening
from bench_graphs import (
    K,
    Queries,
    beside_others,
    blocks,
    brute_force,
    compare,
    recall,
    row,
    timed,
)
from numpy.typing import NDArray

from searchengine import encoders
from searchengine.types import Embeddings
from searchengine.vectors import VectorIndex
from searchengine.vectors import index as settings

CROPS = 7  # of each photograph
WIDE = 512  # dimensions of the vectors
SELECTIVITIES = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 0.9, 0.99, 1.0)
SIZES = (20_000, 50_000, 100_000, 200_000, 400_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--captions", type=Path, help="CSV with a column `caption`")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=300, help="of each kind")
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
    crossover(vectors, queries)
    beside_others(vectors, queries)


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
    """A query among a part of the images, new and known to the index, beside one among all."""
    rng = np.random.default_rng(2)
    for share in SELECTIVITIES:
        allowed = np.sort(rng.choice(index.count, round(index.count * share), replace=False))
        for each in queries:
            rows = each.rows[:100]
            truth = allowed[brute_force(vectors[allowed], rows)]
            known = allowed.view()
            known.setflags(write=False)  # as the engine remembers what passes a filter
            new, within, all_of_it, found = [], [], [], []
            for start in range(0, len(rows), 20):
                part = rows[start : start + 20]
                new.append(timed(lambda q, a=allowed: index.search(q, K, a)[1], part)[0])  # type: ignore[misc]
                ms, ids = timed(lambda q, a=known: index.search(q, K, a)[1], part)  # type: ignore[misc]
                within.append(ms)
                found += ids
                all_of_it.append(timed(lambda q: index.search(q, K)[1], part)[0])
            first, ms, bare = (float(np.median(taken)) for taken in (new, within, all_of_it))
            row(
                f"within {share:.2%} of them, {each.kind}",
                f"{ms:.2f} ms, new {first:.2f} ms, recall@10 {recall(found, truth):.4f}",
                f"within all {bare:.2f} ms",
                f"{ms / bare:.2f} x, new {first / bare:.2f} x",
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


def crossover(vectors: NDArray[np.float16], queries: list[Queries]) -> None:
    """The index made to compare all, and made to use partitions, at growing sizes."""
    for count in SIZES:
        part = vectors[:count]
        asked = [Queries(q.kind, q.rows, brute_force(part, q.rows)) for q in queries]
        for limit in (count, 0):
            settings.EXACT_LIMIT, index = limit, VectorIndex(WIDE)
            for ids, block in blocks(part):
                index.add(ids, block)
            started = time.perf_counter()
            index.settle()
            learned = f"learned in {time.perf_counter() - started:.1f} s"
            find = lambda q, i=index: i.search(q, K)[1]  # noqa: E731
            compare(f"{count:,}: {index.kind}", find, asked, learned)


if __name__ == "__main__":
    main()
