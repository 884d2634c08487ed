"""`watch`, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from searchengine.index import Index
from tests.cli.conftest import ENGINE, ENVIRONMENT, Run
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg


class Process:
    """`searchengine watch --json`, whose lines are read as they come."""

    def __init__(self, home: Path, folders: list[str]):
        command = [*ENGINE, "watch", *folders, "--index", str(home / "index"), "--json"]
        self.errors = (home / "errors").open("w+")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, env=ENVIRONMENT, text=True
        )
        self.lines: Queue[str] = Queue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.put(line)

    def next(self) -> dict[str, Any]:
        return json.loads(self.lines.get(timeout=30))

    def end(self, how: signal.Signals) -> tuple[int, float, str]:
        """Exit code, the seconds it took, and what was on stderr."""
        started = time.monotonic()
        self.process.send_signal(how)
        code = self.process.wait(10)
        self.errors.seek(0)
        return code, time.monotonic() - started, self.errors.read()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.errors.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    fill(tmp_path / "photos", 2)
    with closing(Process(tmp_path, [str(tmp_path / "photos")])) as started:
        yield started


@pytest.mark.slow
def test_without_a_folder_those_of_this_machine_are_watched(run: Run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 2)
    run("index", tmp_path / "photos", "--index", tmp_path / "index", "--quiet")
    with Index.open(tmp_path / "index") as index:
        write_as_cluster(index, "s3://bucket/photos", "1.jpg", jpeg(9))
    with closing(Process(tmp_path, [])) as process:
        first = process.next()
        assert (first["folders"], first["unchanged"]) == ([str(tmp_path / "photos")], 2)
        code, _, errors = process.end(signal.SIGINT)
    assert code == 0
    assert errors.startswith("s3://bucket/photos: only `searchengine index --ray` reads")
    assert "1 run: 0 added, 0 changed, 0 moved, 0 removed" in errors


@pytest.mark.slow
def test_it_indexes_then_follows_what_happens_and_ends_with_a_summary(
    process: Process, tmp_path: Path
) -> None:
    first = process.next()
    assert first["folders"] == [str(tmp_path / "photos")]
    assert (first["added"], first["removed"]) == (2, 0)
    fill(tmp_path / "photos" / "new", 2, first=10)
    (tmp_path / "photos" / "0000.jpg").unlink()
    second = process.next()
    assert (second["added"], second["removed"], second["unchanged"]) == (2, 1, 1)
    code, seconds, errors = process.end(signal.SIGINT)
    assert (code, seconds < 2) == (0, True)
    assert "2 runs: 4 added, 0 changed, 0 moved, 1 removed" in errors
    assert "Traceback" not in errors
    with Index.open(tmp_path / "index") as index:
        assert index.check() == []


@pytest.mark.slow
def test_it_waits_for_the_lock_of_another_and_still_ends_at_once(
    process: Process, tmp_path: Path
) -> None:
    process.next()
    with Index.open(tmp_path / "index") as index, index._catalog.writing():
        fill(tmp_path / "photos", 1, first=20)
        time.sleep(3)  # by now it waits for the lock, in SQLite
        code, seconds, errors = process.end(signal.SIGTERM)
    assert (code, seconds < 2) == (0, True)
    assert "1 run: 2 added" in errors
    with Index.open(tmp_path / "index") as index:
        assert index.check() == []


def test_folders_must_be_there_at_the_start(run: Run, tmp_path: Path) -> None:
    missing = run("watch", tmp_path / "nowhere", "--index", tmp_path / "index")
    assert missing.exit_code == 1
    assert "cannot list the folder" in missing.stderr
    assert not os.path.exists(tmp_path / "index")
    assert run("watch", "--index", tmp_path / "index").exit_code == 1
