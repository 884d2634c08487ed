"""Real servers for tests."""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from tests.scale.parts import missing

ROOT = Path(__file__).parent.parent.parent
START_S = 90


class MilvusServer:
    """A Milvus in a folder of its own, on loopback; the only one of all test processes.

    Two at once on a small machine take each other's time until their clients give up.
    """

    def __init__(self, *settings: str, disk: str | Path = "/tmp") -> None:
        self._settings = settings
        self.folder = Path(tempfile.mkdtemp(prefix="milvus-", dir=disk))
        self._process: subprocess.Popen[str] | None = None
        self.pid = 0
        self.port = _free_port()
        atexit.register(self.end)
        self.start()

    @property
    def address(self) -> str:
        return f"milvus:http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._turn = (Path(tempfile.gettempdir()) / "searchengine-tests-milvus.lock").open("w")
        fcntl.flock(self._turn, fcntl.LOCK_EX)
        program = [_python(), str(ROOT / "scripts" / "milvus_server.py")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*program, str(self.folder / "data"), str(self.port), *self._settings],
                stdin=subprocess.PIPE,  # it ends when this does
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout
        select.select([self._process.stdout], [], [], START_S)
        word, *rest = self._process.stdout.readline().split() or ["nothing"]
        if word != "ready":
            raise RuntimeError((self.folder / "log").read_text())
        self.pid = int(rest[1])

    def kill(self) -> None:
        """End it as the power would."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with self._process:  # closes its pipes, waits
                pass
            self._process = None
            self._turn.close()

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def milvus() -> MilvusServer:
    """The server of this test process; it ends with it."""
    return MilvusServer()


def end_milvus() -> None:
    """End it before, for others that wait; the next `milvus` starts another."""
    if milvus.cache_info().currsize:
        milvus().end()
        milvus.cache_clear()


def _python() -> str:
    """The interpreter that has the `milvus` package, which wants an environment of its own."""
    path = os.environ.get("SEARCHENGINE_MILVUS_PYTHON") or str(ROOT / ".milvus/bin/python")
    if not os.access(path, os.X_OK):
        missing(
            f"a Milvus server ({path})",
            "run `make test-all`, or: python3 -m venv .milvus && .milvus/bin/pip install "
            "milvus==2.3.5",
        )
    return path


def _free_port() -> int:
    """A port from which on there is room for the ports of one server."""
    for port in range(20000 + os.getpid() * 200 % 20000, 60000, 200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError("no port is free")
