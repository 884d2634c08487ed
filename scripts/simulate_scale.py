"""What a million images cost: an index of vectors that nobody's camera made, by the real code.

    python scripts/simulate_scale.py --photos DIR --images 1000000 --work FOLDER
    python scripts/simulate_scale.py ... --store milvus:http://127.0.0.1:19530 --watch milvus
    python scripts/simulate_scale.py ... --catalog postgresql+psycopg://... --store pgvector

The vectors are grown from crops of the photographs in DIR (`bench_crops.py`), at 512 dimensions;
the files, dates and cameras are made up. Everything else is what an index does: batches are
written to the catalog, the vectors brought to the store, searches answered, some images added and
removed. No picture is read and nothing is encoded: that costs what `bench.py` says. Prints a line
of JSON for each step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from bench_crops import grow, widening
from bench_vectors import embedded

from searchengine.filters import Filters
from searchengine.index import Changes, Index, NewImage
from searchengine.scale.opening import create_index, open_index, place
from searchengine.types import Embeddings, EncoderSpec, ImageFile, ImageInfo

DIM, BATCH, K, QUERIES, FEW = 512, 2_000, 10, 200, 1_000
SPEC = EncoderSpec("simulated", "5" * 64, DIM)
ROOT = "/simulated"
CAMERAS = [f"Camera {number}" for number in range(100)]
FILTERS = {
    "1 %": Filters(camera="Camera 42"),
    "10 %": Filters(after="2020", before="2021"),
    "50 %": Filters(after="2016", before="2021"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, required=True, help="folder of the new index")
    parser.add_argument("--catalog", help="URL of an empty database")
    parser.add_argument("--store", help="address of a vector store")
    parser.add_argument("--watch", help="also count the memory of processes of this name")
    parser.add_argument("--disk", type=Path, action="append", default=[], help="a server's folder")
    args = parser.parse_args()
    index_folder = args.work / "index"
    place(index_folder, args.catalog, args.store)
    run = Run(index_folder, args.watch, [index_folder, *args.disk])
    with create_index(index_folder, SPEC) as index:
        run.step("write to the catalog", args.images, lambda: fill(index, args))
        run.step("bring to the store", args.images, index.save_snapshot)
        queries = index.sample(QUERIES)
    started = time.perf_counter()
    with open_index(index_folder) as index:
        index.nearest(queries[:1], K)
        run.say("open and search once", seconds=time.perf_counter() - started)
        run.latency(index, "search", queries, None)
        for share, filters in FILTERS.items():
            started = time.perf_counter()
            found = len(index.matching(filters)) / args.images
            told = {"share": found, "listed_once_ms": 1000 * (time.perf_counter() - started)}
            run.latency(index, f"search among {share}", queries, filters, **told)
        index.add_root(ROOT)
        rows = images(index.sample(FEW), args.images)
        run.step("add", FEW, lambda: change(index, Changes(added=list(rows))))
        gone = index.ids()[:: max(1, args.images // FEW)][:FEW].tolist()
        run.step("remove", FEW, lambda: change(index, Changes(removed=gone)))
        assert not index.check(), index.check()


class Run:
    """Measures steps, and says what they took."""

    def __init__(self, folder: Path, watched: str | None, disk: list[Path]):
        self._folder, self._watched, self._disk = folder, watched, disk

    def step(self, name: str, images: int, action: Callable[[], object]) -> None:
        """Do something to so many images."""
        started = time.perf_counter()
        action()
        seconds = time.perf_counter() - started
        self.say(name, seconds=seconds, images_per_second=images / seconds)

    def latency(
        self, index: Index, name: str, queries: Embeddings, filters: Filters | None, **also: Any
    ) -> None:
        """Search with each query by itself."""
        taken = []
        for query in queries:
            started = time.perf_counter()
            among = filters and index.narrowed(filters)
            index.nearest(query[np.newaxis], K, among)
            taken.append(1000 * (time.perf_counter() - started))
        p95 = float(np.percentile(taken, 95))
        self.say(name, p50_ms=statistics.median(taken), p95_ms=p95, **also)

    def say(self, step: str, **figures: float) -> None:
        """Print figures, and the memory and the disk space that are used."""
        told = {name: round(value, 3) for name, value in figures.items()}
        told |= {"peak_mib": _peak(), "disk_mib": sum(map(_size, self._disk))}
        if self._watched:
            told["server_mib"] = _resident(self._watched)
        print(json.dumps({"step": step, **told}), flush=True)


def fill(index: Index, args: argparse.Namespace) -> None:
    """Write all images, in batches as `ingest` commits them."""
    crops, _ = embedded(args.photos, None, 1)
    wide = widening(crops.stored.shape[2], DIM)
    index.add_root(ROOT)
    done = 0
    for block in grow(crops.stored, args.images):
        rows = np.ascontiguousarray(block @ wide)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            index.write(Changes(added=list(images(batch, done))))
            done += len(batch)
            if sys.stderr.isatty():
                print(f"\r{done}", end="", file=sys.stderr)


def images(embeddings: Embeddings, first: int) -> Iterator[NewImage]:
    """Made-up images with these embeddings: a thousand in a folder, a hundred cameras."""
    for number, embedding in enumerate(embeddings, first):
        path = f"{number // 1000:06}/IMG_{number:09}.jpg"
        taken = f"{2015 + number * 7 % 10}-{1 + number % 12:02}-{1 + number % 28:02}T12:00:00"
        info = ImageInfo(4000, 3000, "JPEG", taken, CAMERAS[number * 13 % 100], phash=number)
        digest = number.to_bytes(32, "big")
        yield NewImage(ImageFile(ROOT, path, 3_000_000 + number, number), digest, info, embedding)


def change(index: Index, changes: Changes) -> None:
    index.write(changes)
    index.save_snapshot()


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _size(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(os.stat(path).st_blocks * 512 for path in files) // 2**20


def _resident(name: str) -> int:
    """MiB of all processes whose command line holds a name, without this one."""
    total = 0
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and int(process.name) != os.getpid():
                command = (process / "cmdline").read_bytes().decode(errors="replace")
                if name in command.split("\0")[0]:
                    status = (process / "status").read_text()
                    total += int(status.partition("RssAnon:")[2].split()[0])
        except (OSError, ValueError, IndexError):
            continue  # it has ended
    return total // 1024


if __name__ == "__main__":
    main()
