"""A bound on expensive requests at once, so that many of them make each other wait, not fail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, Request
from starlette.requests import ClientDisconnect

from searchengine.web.problems import Problem

PATIENCE_SECONDS = 10.0

Leaving = Callable[[], Awaitable[None]]


class Limiter:
    """Slots for expensive work, given in the order of asking; for one event loop.

    What waits costs a coroutine each, and of them there are `waiting` at most.
    """

    def __init__(self, concurrency: int, waiting: int, patience: float = PATIENCE_SECONDS):
        """Take the number of slots, the number that may wait, and for how many seconds."""
        self.running = 0
        self.waiting = 0
        self.refused = 0
        self._slots = anyio.Semaphore(max(1, concurrency))
        self._most_waiting = waiting
        self._patience = patience

    @asynccontextmanager
    async def slot(self, leaving: Leaving | None = None) -> AsyncIterator[None]:
        """Hold a slot.

        Args:
            leaving: Returns once the client has left, which ends the wait.

        Raises:
            Problem: 503, too many wait, or this one waited too long.
            ClientDisconnect: the client left while it waited.
        """
        await self._enter(leaving)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()

    async def _enter(self, leaving: Leaving | None) -> None:
        try:
            self._slots.acquire_nowait()
            return
        except anyio.WouldBlock:
            if self.waiting >= self._most_waiting:
                raise self._busy() from None
        self.waiting += 1
        try:
            await self._wait(leaving)
        finally:
            self.waiting -= 1

    async def _wait(self, leaving: Leaving | None) -> None:
        """Take a slot once there is one; whatever else ends the wait takes none."""
        taken = left = False

        async def watch(until: Leaving) -> None:
            nonlocal left
            await until()
            left = True
            tasks.cancel_scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                if leaving is not None:
                    tasks.start_soon(watch, leaving)
                with anyio.move_on_after(self._patience):
                    await self._slots.acquire()
                    taken = True
                tasks.cancel_scope.cancel()
            if left:
                raise ClientDisconnect
            if not taken:
                raise self._busy()
        except BaseException:
            if taken:
                self._slots.release()
            raise

    def _busy(self) -> Problem:
        self.refused += 1
        return Problem(503, "too many requests at once; try again", headers={"Retry-After": "1"})


def limiter(app: FastAPI) -> Limiter:
    """The application's own limiter; the first one who asks makes it."""
    if not hasattr(app.state, "limiter"):
        settings = app.state.settings
        app.state.limiter = Limiter(settings.concurrency, settings.waiting)
    found: Limiter = app.state.limiter
    return found


async def bounded(request: Request) -> AsyncIterator[None]:
    """Hold a slot while a route works; see `Bounded`."""
    async with limiter(request.app).slot(_leaving(request)):
        yield


Bounded = Annotated[None, Depends(bounded, scope="function")]
"""A parameter that makes a route, `def` or `async def`, wait for its slot:

    @router.post("/search")
    def search(body: Query, library: Served, slot: Bounded) -> Page: ...

The wait is on the event loop; a `def` route gets its thread after it. The slot is given back when
the function returns, before the answer is sent: a slow client holds none. A route that reads its
own body does that in a dependency that stands before this one, for the same reason.
"""


Enter = Callable[[], AbstractAsyncContextManager[None]]
"""Waits for a slot and holds it, in an `async with`."""


async def _slots(request: Request) -> Enter:
    return lambda: limiter(request.app).slot(_leaving(request))


Slots = Annotated[Enter, Depends(_slots)]
"""The same for a route, `async def`, that finds out by itself whether it needs a slot."""


def _leaving(request: Request) -> Leaving | None:
    """What tells that the client left, or None where its body is yet to be read.

    Both come by the same channel: to watch the one would be to swallow the other.
    """
    body = getattr(request.state, "body", None)
    if request.method not in ("GET", "HEAD") and not (body and body.complete):
        return None

    async def leaving() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    return leaving
