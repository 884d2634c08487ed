"""The connections of the server: how many, and for how long they may say or take nothing.

uvicorn bounds neither: https://www.uvicorn.org/settings/ has a timeout between requests only.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from searchengine.web.problems import shown

HEAD_SECONDS = 10.0
"""In which the first lines of a request must be there."""

STUCK_SECONDS = 60.0
"""In which a client has to take something of its answer: 64 KiB, more or less."""

_MOST: Final = 512  # a browser opens six
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

_log = logging.getLogger("searchengine.web")


def most_connections() -> int:
    """How many connections there may be: half of the files that the process may have open."""
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, max(1, soft // 2))


class Connection(H11Protocol):
    """uvicorn's connection, which ends when the other side keeps it waiting."""

    def __init__(self, *given: Any, **named: Any):
        super().__init__(*given, **named)
        self._most = most_connections()
        self._head: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse where there are too many."""
        super().connection_made(transport)
        # asyncio does so where it knows that a socket speaks TCP, which one that was passed to it
        # does not say. Without it the second part of an answer waits 40 ms for word of the first.
        with suppress(OSError):
            given = transport.get_extra_info("socket")
            given.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self._most:
            self._log_end("there are too many connections")
            transport.write(_FULL)
            transport.close()
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; its first lines are waited for from their first byte on.

        So is the end of a body that nobody reads, as its request has been answered.
        """
        super().data_received(data)
        if self.conn.their_state is h11.IDLE or self.conn.our_state is h11.DONE:
            if self._head is None:
                self._await_head()
        else:
            self._head = _cancelled(self._head)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._head, self._stuck = _cancelled(self._head), _cancelled(self._stuck)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait until the client has taken some of its answer."""
        super().pause_writing()
        self._stuck = self.loop.call_later(STUCK_SECONDS, self._end, "it does not take its answer")

    def resume_writing(self) -> None:
        """Go on."""
        self._stuck = _cancelled(self._stuck)
        super().resume_writing()

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self._end, "its request does not come")

    def _end(self, reason: str) -> None:
        if not self.transport.is_closing():
            self._log_end(reason)
            self.transport.abort()

    def _log_end(self, reason: str) -> None:
        client = self.client[0] if self.client else "unknown"
        _log.warning("ended a connection from %s: %s", shown(client), reason)


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    if timer is not None:
        timer.cancel()
    return None
