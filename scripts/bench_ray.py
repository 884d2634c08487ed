"""Indexing with Ray on this machine beside indexing without: what the machinery itself costs.

    python scripts/bench_ray.py PHOTOGRAPHS [--images 1000]

Photographs a second, of the whole run and once the first are done, and the bytes that went
through Ray's object store for each: with actors that read what they embed, as on machines without
a GPU, and with readers of their own, as on machines with one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from searchengine import encoders, images
from searchengine.index import Index
from searchengine.ingest import LocalWorkers, Workers, ingest
from searchengine.scale.cluster import driver
from searchengine.scale.cluster.plan import Plan


class Figures(NamedTuple):
    """What one run took."""

    seconds: float
    first: float
    """Seconds until the first batch was done."""
    first_images: int
    last: float
    """Seconds until the last batch was done."""
    stored: int
    """Bytes that were put into the object store."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    args = parser.parse_args()
    model = encoders.find("builtin")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "photographs"
        count = link(args.photographs, folder, args.images)
        print(f"{count} photographs")
        print(
            "| | images/s, whole run | images/s, first batch to last | seconds to it | "
            "bytes an image through the object store |"
        )
        print("|---|---|---|---|---|")
        report("without Ray", count, run(home, "plain", plain(model), folder))
        report("Ray, actors read", count, run(home, "fused", driver.ClusterWorkers(model), folder))
        chosen, driver.plan = driver.plan, with_readers
        report(
            "Ray, readers apart", count, run(home, "split", driver.ClusterWorkers(model), folder)
        )
        driver.plan = chosen


def link(source: Path, folder: Path, count: int) -> int:
    folder.mkdir()
    found = [f for f in images.walk(str(source)) if not isinstance(f, images.UnreadableFolder)]
    for file in found[:count]:
        (folder / Path(file.path).name).symlink_to(file.absolute)
    return min(count, len(found))


def plain(model: encoders.ModelFolder) -> Workers:
    return LocalWorkers(lambda: encoders.load(model))


def with_readers(machines: Any, free_cpus: float, device: str) -> Plan:
    return Plan(actors=1, cpus=0.5, gpus=0, readers=True)


def run(home: str, name: str, workers: Workers, folder: Path) -> Figures:
    started = time.perf_counter()
    first: list[float] = []
    last, stored = [0.0], [0]

    def progress(done: int, total: int) -> None:
        if done and not first:
            first.extend((time.perf_counter() - started, done))
        last[0] = time.perf_counter() - started
        if done == total and not isinstance(workers, LocalWorkers):
            stored[0] = object_store_bytes()

    with Index.create(Path(home) / name, encoders.find("builtin").spec) as index:
        ingest(index, workers, [folder], progress=progress)
        if problems := index.check():
            raise SystemExit(problems)
    return Figures(time.perf_counter() - started, first[0], int(first[1]), last[0], stored[0])


def object_store_bytes() -> int:
    """What was put into the store of the one machine since Ray started there."""
    import ray
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    state = get_state_from_address(ray.get_runtime_context().gcs_address)
    return int(get_memory_info_reply(state).store_stats.cumulative_created_bytes)


def report(name: str, count: int, figures: Figures) -> None:
    rest = (count - figures.first_images) / (figures.last - figures.first)
    print(
        f"| {name} | {count / figures.seconds:.0f} | {rest:.0f} | {figures.first:.1f} | "
        f"{figures.stored / count:,.0f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
