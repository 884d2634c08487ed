"""Milvus Lite: the same protocol, answered by threads of this process, over a folder of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from searchengine.errors import StoreError

_LOCK = threading.Lock()


class _Running(NamedTuple):
    port: int
    users: list[object]
    stop: Callable[[], None]


_RUNNING: dict[str, _Running] = {}


def start(path: str, user: object) -> str:
    """Serve the folder on a port of loopback until its last user has stopped; its address.

    Raises:
        StoreError: Milvus Lite is not installed, the folder cannot be used, or another process
            uses it.
    """
    with _LOCK:
        if path not in _RUNNING:
            _RUNNING[path] = _serve(path)
        _RUNNING[path].users.append(user)
        return f"http://127.0.0.1:{_RUNNING[path].port}"


def stop(path: str, user: object) -> None:
    """This user needs it no more."""
    with _LOCK:
        running = _RUNNING[path]
        running.users.remove(user)
        if not running.users:
            del _RUNNING[path]
            running.stop()


def _serve(path: str) -> _Running:
    try:
        from milvus_lite.adapter.grpc.server import start_server_in_thread
        from milvus_lite.exceptions import DataDirLockedError, MilvusLiteError
    except ImportError as error:
        raise StoreError(
            f"milvus:{path} needs Milvus Lite; run: pip install 'searchengine[milvus]'"
        ) from error
    server: Any
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        server, database, port = start_server_in_thread(path, host="127.0.0.1", port=0)
    except DataDirLockedError as error:
        raise StoreError(
            f"milvus:{path} is in use by another process, and Milvus Lite serves one at a time; "
            "end that one, or run a Milvus server (milvus:http://HOST:19530)"
        ) from error
    except (MilvusLiteError, OSError, RuntimeError) as error:
        raise StoreError(f"milvus:{path} cannot be opened: {error}") from error

    def end() -> None:
        server.stop(grace=2).wait(5)
        database.close()

    return _Running(port, [], end)
