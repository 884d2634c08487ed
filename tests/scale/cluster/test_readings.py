"""Readings that come back from a cluster: each task has one, whatever became of the machines."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from searchengine import encoders
from searchengine.errors import ClusterError
from searchengine.scale.cluster.driver import ClusterWorkers
from searchengine.types import ImageFile, Reading, Task
from tests.scale.parts import require

TASKS = [Task(ImageFile("/photos", f"{number}.jpg", 1, 1), number) for number in range(6)]


def table(numbers: Sequence[int], fill: float = 0) -> Any:
    """What an actor gives of these tasks; `fill` is in all of the embeddings."""
    from searchengine.scale.cluster.worker import READINGS

    rows = [
        {
            "number": number,
            "digest": bytes([number]),
            "info": '{"width": 1, "height": 1, "format": "JPEG"}',
            "embedding": np.full(3, fill, np.float32).tobytes(),
            "reason": "",
            "node": "one",
        }
        for number in numbers
    ]
    return require("pyarrow", "ray").Table.from_pylist(rows, READINGS)


def readings(tables: Iterator[Any], stop: threading.Event | None = None) -> list[list[Reading]]:
    workers = ClusterWorkers(encoders.find("builtin"))
    return list(workers._readings(TASKS, tables, stop or threading.Event()))


def test_what_comes_twice_counts_once_and_the_first_time() -> None:
    tables = [table([4, 1]), table([1, 4, 0], 7), table([1], 7), table([5, 3, 2, 2]), table([0], 7)]
    batches = readings(iter(tables))
    assert [[each.task.id for each in batch] for batch in batches] == [[4, 1], [0], [5, 3, 2]]
    found = {each.task.id: each for batch in batches for each in batch}
    assert all(each.task.file.path == f"{n}.jpg" for n, each in found.items())
    assert all(each.digest == bytes([n]) for n, each in found.items())
    assert [float(found[n].embedding.sum()) for n in range(6)] == [21, 0, 0, 0, 0, 0]


def test_a_reading_that_never_came_ends_the_run() -> None:
    with pytest.raises(ClusterError, match="lost 2 of 6 files; run the same command again"):
        readings(iter([table([0, 1, 2]), table([2, 5])]))


def test_a_stopped_run_may_lack_some() -> None:
    stop = threading.Event()
    stop.set()
    assert len(readings(iter([table([0, 1, 2])]), stop)) == 1
