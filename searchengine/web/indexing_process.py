"""An indexing run in a process of its own, and both ends of the pipe to it.

The process is a new interpreter that imports this module: nothing of the server is imported here.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, TypeAlias

from searchengine.errors import SearchEngineError
from searchengine.web.folders import has_entries

Message: TypeAlias = dict[str, Any]
"""One of {"done", "total"}, {"report", "absent", "elsewhere"}, {"error"}."""

GRACE: Final = 5.0
"""Seconds in which a run that is told to stop has to end."""

_INTERVAL: Final = 0.25  # seconds between two messages about the progress
_NICENESS: Final = 5


class IndexingProcess:
    """The server's end: starts a run over all folders of an index, and listens to it."""

    def __init__(self, folder: Path, device: str, retry_failed: bool):
        """Start it.

        Raises:
            OSError: the system has no room for another process.
        """
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run,
            args=(theirs, str(folder), device, retry_failed),
            name="searchengine indexing",
            daemon=True,
        )
        try:
            self._process.start()
        except OSError:
            self._pipe.close()
            raise
        finally:
            theirs.close()  # else its end would never show here

    @property
    def pid(self) -> int | None:
        """The number of the process."""
        return self._process.pid

    def messages(self) -> Iterator[Message]:
        """What it says, as it says it, until it ends or is killed."""
        while True:
            try:
                yield json.loads(self._pipe.recv_bytes())
            except (EOFError, OSError):
                return

    def stop(self) -> None:
        """Ask it to end after the batch in hand."""
        with suppress(OSError):
            self._pipe.send_bytes(b"stop")

    def kill(self) -> None:
        """End it now; what it has committed is on disk."""
        self._process.kill()

    def wait(self) -> int:
        """Wait until it has ended, `GRACE` seconds at most; its exit code, -n for a signal n."""
        self._process.join(GRACE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self._pipe.close()
        return self._process.exitcode or 0


def _run(pipe: Connection, folder: str, device: str, retry_failed: bool) -> None:
    """The other end: index, and say how it goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which then says `stop`
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    stop = threading.Event()
    threading.Thread(target=_obey, args=(pipe, stop), daemon=True).start()
    from searchengine.catalog.paths import is_url
    from searchengine.engine import SearchEngine
    from searchengine.ingest import Selection

    try:
        with SearchEngine.open(folder, device=device, create=False) as engine:
            roots = engine.catalog.roots()
            there = [root for root in roots if not is_url(root) and has_entries(root)]
            report = engine.index(
                *(there or roots),  # where none is there, the error says what to do
                selection=Selection(retry_failed=retry_failed),
                progress=_Teller(pipe),
                stop=stop,
            )
    except SearchEngineError as error:
        _tell(pipe, {"error": str(error)})
    else:
        left = [root for root in roots if root not in there]
        elsewhere = [root for root in left if is_url(root)]
        absent = [root for root in left if root not in elsewhere]
        _tell(pipe, {"report": asdict(report), "absent": absent, "elsewhere": elsewhere})


def _obey(pipe: Connection, stop: threading.Event) -> None:
    """Wait for `stop`, or for the end of the server, which closes the pipe however it ends."""
    with suppress(EOFError, OSError):
        pipe.recv_bytes()
    stop.set()
    time.sleep(GRACE)  # a run that has ended by then takes this thread with it
    os._exit(1)


class _Teller:
    """Says how far the run has come, but not too often."""

    def __init__(self, pipe: Connection):
        self._pipe = pipe
        self._told = -_INTERVAL

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._told >= _INTERVAL:
            self._told = now
            _tell(self._pipe, {"done": done, "total": total})


def _tell(pipe: Connection, message: Message) -> None:
    with suppress(OSError):  # the server is gone, and `_obey` has seen it
        pipe.send_bytes(json.dumps(message).encode())
