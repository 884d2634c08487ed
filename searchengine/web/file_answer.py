"""Send an open file: all of it, or the part that is asked for (RFC 9110, sections 13 and 14)."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import BinaryIO, Final
from urllib.parse import quote

import anyio
from anyio import to_thread
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from searchengine.web.problems import Problem

_log = logging.getLogger("searchengine.web")

_CHUNK: Final = 256 * 1024
_RANGE: Final = re.compile(r"bytes\s*=\s*([0-9]{0,18})\s*-\s*([0-9]{0,18})", re.IGNORECASE)


def answer(
    file: BinaryIO, asked: Mapping[str, str], media_type: str, name: str, headers: Mapping[str, str]
) -> Response:
    """The answer to a request for an open file, which is closed when it has been sent.

    Args:
        file: A regular file; what is sent is this one, whatever happens to its name.
        asked: The headers of the request.
        media_type: What the file is.
        name: What it is called; bytes that are not UTF-8 as surrogate escapes.
        headers: More headers of the answer.
    """
    state = os.fstat(file.fileno())
    told = {
        "Accept-Ranges": "bytes",
        "ETag": f'"{state.st_size:x}-{state.st_mtime_ns:x}"',
        "Last-Modified": formatdate(int(state.st_mtime), usegmt=True),
        "Content-Disposition": f"inline; filename*=UTF-8''{_quoted(name)}",
        "X-Content-Type-Options": "nosniff",
        **headers,
    }
    if _is_known(asked, told["ETag"], int(state.st_mtime)):
        file.close()
        return Response(status_code=304, headers=told)
    if asked.get("if-range", told["ETag"]) not in (told["ETag"], told["Last-Modified"]):
        asked = {}
    try:
        part = requested(asked.get("range"), state.st_size)
    except Problem:
        file.close()
        raise
    return FilePart(file, part, state.st_size, told, media_type)


def requested(header: str | None, size: int) -> range | None:
    """Which bytes of a file a Range header asks for; None for all of them.

    What is not a single range of bytes is as if it were not there, as the standard has it.

    Raises:
        Problem: 416, there is no such byte.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    first, last = found.groups() if found else ("", "")
    if not first and not last:
        return None
    if not first:
        part = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return None
    else:
        part = range(int(first), min(int(last) + 1, size) if last else size)
    if not part:
        raise Problem(
            416, f"the file has {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    return part


def matches(header: str | None, etag: str) -> bool:
    """Whether an If-None-Match header names an entity tag."""
    tags = [each.strip().removeprefix("W/") for each in (header or "").split(",")]
    return etag in tags or tags == ["*"]


class FilePart(Response):
    """Bytes of an open file. One that shrinks meanwhile ends the connection, not the server."""

    def __init__(
        self,
        file: BinaryIO,
        part: range | None,
        size: int,
        headers: Mapping[str, str],
        media_type: str,
    ):
        self._file = file
        self._part = range(size) if part is None else part
        headers = {**headers, "Content-Length": str(len(self._part))}
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        status = 200 if part is None else 206
        super().__init__(None, status, headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until the end or until the client leaves."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        with self._file:
            await send(start)
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            async with anyio.create_task_group() as group:
                group.start_soon(_leave_with_the_client, receive, group.cancel_scope)
                await self._send_body(send)
                group.cancel_scope.cancel()

    async def _send_body(self, send: Send) -> None:
        try:
            await to_thread.run_sync(self._file.seek, self._part.start)
            left = len(self._part)
            while left:
                chunk = await to_thread.run_sync(self._file.read, min(_CHUNK, left))
                if not chunk:
                    raise OSError(None, "it has shrunk")
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except OSError as error:
            # More was promised: the server closes the connection, and the client knows.
            _log.warning("a file could not be sent to its end: %s", error.strerror)
            return
        await send({"type": "http.response.body", "body": b""})


async def _leave_with_the_client(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _is_known(asked: Mapping[str, str], etag: str, modified: int) -> bool:
    """Whether the client has this very content already."""
    if "if-none-match" in asked:
        return matches(asked["if-none-match"], etag)
    try:
        since = parsedate_to_datetime(asked.get("if-modified-since", "")).timestamp()
    except (ValueError, OverflowError):
        return False
    return modified <= since


def _quoted(name: str) -> str:
    """A file name for a header; control characters, and those that turn its direction, are not."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return quote("".join(each if each.isprintable() else "_" for each in text), safe="")
