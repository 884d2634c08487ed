"""Pictures are read in order, in a pool, and never far ahead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from searchengine.images import read_batches


def test_results_come_in_order_whatever_finishes_first() -> None:
    def read(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    batches = list(read_batches(read, range(10), 4, threading.Event()))
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_no_more_than_two_batches_ahead() -> None:
    asked: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    batches = read_batches(lambda number: number, tasks(), 5, threading.Event())
    next(batches)
    assert len(asked) <= 15


def test_stopping_ends_it_after_the_batch_in_hand() -> None:
    stop = threading.Event()
    seen = []
    for batch in read_batches(lambda number: number, range(100), 5, stop):
        seen += batch
        stop.set()
    assert seen == [0, 1, 2, 3, 4]
