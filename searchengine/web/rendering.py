"""Work on pictures, in a few threads of its own, that requests wait for: never twice at a time."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from fastapi import Request

from searchengine.web.problems import Problem

_T = TypeVar("_T")

PATIENCE: Final = 10.0
"""Seconds that a request waits for its turn."""

_MOST: Final = 512  # different pieces of work that wait or are under way


@dataclass
class _Work:
    future: Future[Any]
    wanted: int = 0
    """Requests that wait for it; when the last one is gone before its turn, it is not done."""


class Renderer:
    """Runs as many pieces of work at once as there are processors; others wait for their turn."""

    def __init__(self, threads: int | None = None):
        self._pool = ThreadPoolExecutor(threads or os.cpu_count(), "rendering")
        self._work: dict[str, _Work] = {}
        self._lock = threading.RLock()  # a future that is done at once calls back at once

    async def do(self, request: Request, key: str, make: Callable[[], _T]) -> _T:
        """What `make` gives. Requests with the same key at the same time share one call of it.

        Raises:
            Problem: 503, its turn did not come within `PATIENCE` seconds, or too many wait.
        """
        work = self._join(key, make)
        left = asyncio.create_task(_departure(request))
        done = asyncio.wrap_future(work.future)
        for each in (left, done):
            each.add_done_callback(_look_at_it)
        try:
            await asyncio.wait({done, left}, timeout=PATIENCE, return_when="FIRST_COMPLETED")
            if work.future.running():  # its turn has come: now only the work itself takes time
                await asyncio.wait({done, left}, return_when="FIRST_COMPLETED")
            # The result may be there before this event loop has heard of it.
            if work.future.done() and not work.future.cancelled():
                result: _T = work.future.result()
                return result
            raise _busy()
        finally:
            left.cancel()
            self._leave(key, work)

    def close(self) -> None:
        """Take no more work; what waits is not done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _join(self, key: str, make: Callable[[], Any]) -> _Work:
        with self._lock:
            work = self._work.get(key)
            if work is None or work.future.done():
                if len(self._work) >= _MOST:
                    raise _busy()
                work = self._work[key] = _Work(self._pool.submit(make))
                work.future.add_done_callback(partial(self._forget, key))
            work.wanted += 1
        return work

    def _leave(self, key: str, work: _Work) -> None:
        with self._lock:
            work.wanted -= 1
            unwanted = work.wanted == 0
            if unwanted and self._work.get(key) is work and not work.future.running():
                del self._work[key]
        if unwanted:
            work.future.cancel()  # does nothing once its turn has come

    def _forget(self, key: str, future: Future[Any]) -> None:
        with self._lock:
            if key in self._work and self._work[key].future is future:
                del self._work[key]


def _busy() -> Problem:
    return Problem(
        503, "too many pictures are asked for at once; try again", headers={"Retry-After": "1"}
    )


def _look_at_it(future: asyncio.Future[Any]) -> None:
    """Take note of an exception that nobody may be there to hear of."""
    if not future.cancelled():
        future.exception()


async def _departure(request: Request) -> None:
    """Return when the client has gone; its request has been read by then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
