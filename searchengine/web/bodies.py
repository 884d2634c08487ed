"""Bodies of requests, within a number of bytes and of seconds."""

from __future__ import annotations

import anyio
from starlette.types import Message, Receive, Scope

from searchengine.web.hosts import header
from searchengine.web.problems import Problem

STALL_SECONDS = 30.0
SLOWEST = 16 * 1024
"""Bytes of an upload a second, on average, that are fast enough."""

_JSON_BYTES = 1024 * 1024


class Body:
    """A `receive` that ends a body which grows too large or stands still.

    To the application the client has then left; `refusal` is the answer to give in its place. A
    JSON body has to be there within 30 s. Of an upload, the next part has, and all of it comes at
    16 KiB a second or faster: one that trickles in would hold its place for days.
    """

    def __init__(self, scope: Scope, receive: Receive, upload_bytes: int | None):
        """Take a request.

        Args:
            scope: The request.
            receive: Gives its body.
            upload_bytes: The bound where the body is an upload, None where it is JSON.

        Raises:
            Problem: 413, its Content-Length says already that it is too large; 400, it has two
                lengths: whoever stands before this server may have gone by the other one.
        """
        self.refusal: Problem | None = None
        self._receive = receive
        self._bound = _JSON_BYTES if upload_bytes is None else upload_bytes
        self._upload = upload_bytes is not None
        self._bytes = 0
        self.complete = False
        """Whether all of it was taken."""
        self._begun: float | None = None
        lengths = header(scope, b"content-length")
        if len(lengths) > 1 or not all(each.isascii() and each.isdigit() for each in lengths):
            raise Problem(400, "a request has one Content-Length at most, and it is a number")
        if lengths and header(scope, b"transfer-encoding"):
            raise Problem(400, "a request has a Content-Length or a Transfer-Encoding, not both")
        if lengths and (len(lengths[0]) > 18 or int(lengths[0]) > self._bound):
            raise self._too_large()

    async def __call__(self) -> Message:
        """The next message."""
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        if self.complete:
            return await self._receive()  # the next one is the client's leaving, whenever it is
        message = await self._next()
        self._bytes += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return self._refuse(self._too_large()) if self._bytes > self._bound else message

    async def _next(self) -> Message:
        now = anyio.current_time()
        if self._begun is None:
            self._begun = now
        deadline = self._begun + STALL_SECONDS
        if self._upload:
            deadline = min(now + STALL_SECONDS, deadline + self._bytes / SLOWEST)
        try:
            with anyio.fail_after(deadline - now):
                return await self._receive()
        except TimeoutError:
            return self._refuse(
                Problem(408, f"the body was not there within {STALL_SECONDS:.0f} s, or came slowly")
            )

    def _refuse(self, problem: Problem) -> Message:
        self.refusal = problem
        return {"type": "http.disconnect"}

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self._bound} bytes")
