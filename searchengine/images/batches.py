"""Read many pictures at once: a pool of threads that never runs far ahead."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def read_batches(
    read: Callable[[_T], _R], tasks: Iterable[_T], size: int, stop: threading.Event
) -> Generator[list[_R], None, None]:
    """Read tasks in a pool of threads and give the results in order, `size` at a time.

    Never more than two batches are read ahead; setting `stop` ends it after the batch in hand.
    """
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode") as pool:
        results = _look_ahead(pool, read, tasks, 2 * size)
        try:
            while not stop.is_set() and (batch := list(islice(results, size))):
                yield batch
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _look_ahead(
    pool: ThreadPoolExecutor, read: Callable[[_T], _R], tasks: Iterable[_T], ahead: int
) -> Iterator[_R]:
    """Read in the pool, in order, never more than `ahead` tasks before the one asked for."""
    waiting: deque[Future[_R]] = deque()
    for task in tasks:
        waiting.append(pool.submit(read, task))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
