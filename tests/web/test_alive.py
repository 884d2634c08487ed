"""The server goes on: while others write, when files are broken or gone, and when it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from searchengine import SearchEngine
from tests.cli.conftest import ENGINE, ENVIRONMENT
from tests.pictures import fill
from tests.web.process import Server, serving, until

pytestmark = pytest.mark.slow

UNFINISHED = ("*.tmp", "*.partial", "*.part", "*-journal")
MANY = 400


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`photos/` with 20 pictures, and their `index/`."""
    fill(tmp_path / "photos", 20)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(tmp_path / "photos")
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[Server]:
    with serving(home / "index", home / "errors.log") as server:
        yield server
    assert "Traceback" not in server.log()


def search(server: Server, **asked: Any) -> dict[str, Any]:
    answer = server.ask("/api/search", "POST", {"limit": 200, **asked})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def names(answer: dict[str, Any]) -> list[str]:
    return [hit["name"] for hit in answer["hits"]]


def children(server: Server) -> list[int]:
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [int(each) for task in tasks for each in task.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def assert_sound(home: Path) -> None:
    """Nothing is half written, and the index is whole."""
    for folder in (home / "index", home / "photos", Path(ENVIRONMENT["XDG_CACHE_HOME"])):
        assert [each for kind in UNFINISHED for each in folder.rglob(kind)] == []
    command = [*ENGINE, "check", "--index", str(home / "index")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def with_a_job(server: Server, home: Path) -> str:
    """Start a job that takes seconds; gives its id once it has begun to index."""
    fill(home / "photos" / "new", MANY, first=1000)
    job = server.ask("/api/jobs", "POST", {}).json["id"]
    until(lambda: server.ask(f"/api/jobs/{job}").json["done"] > 0)
    return str(job)


def test_it_answers_while_another_process_writes_and_shows_what_is_new(
    server: Server, home: Path
) -> None:
    before = search(server, text="a boat")
    fill(home / "photos" / "new", 150, first=1000)
    command = [*ENGINE, "index", str(home / "photos"), "--index", str(home / "index"), "--quiet"]
    with subprocess.Popen(command, env=ENVIRONMENT) as writer:
        number = 0
        while writer.poll() is None:
            number += 1
            assert 20 <= search(server, text=f"a boat {number}")["total"] <= 170
            assert server.ask("/api/indexes/index").status == 200
    assert (writer.returncode, number > 2) == (0, True)
    after = search(server, text="a boat")
    assert (before["total"], after["total"]) == (20, 170)
    assert before["version"] != after["version"]
    assert len(search(server)["hits"]) == 170


@pytest.mark.parametrize("harm", ["deleted", "emptied", "cut", "filled with junk"])
def test_it_answers_whatever_takes_the_place_of_the_snapshot(
    server: Server, home: Path, harm: str
) -> None:
    before = names(search(server, text="a red boat"))
    for file in (home / "index").glob("*.faiss"):
        content = file.read_bytes()
        file.unlink()  # as a program that copies or restores files does
        if harm != "deleted":
            junk = {"emptied": b"", "cut": content[: len(content) // 2]}
            file.write_bytes(junk.get(harm, b"\xa5" * len(content)))
    assert search(server, text="a red boat again")["total"] == 20
    (home / "photos" / "0000.jpg").unlink()
    job = server.ask("/api/jobs", "POST", {}).json["id"]
    until(lambda: server.ask(f"/api/jobs/{job}").json["state"] == "done")
    expected = [name for name in before if name != "0000.jpg"]
    assert names(search(server, text="a red boat")) == expected
    server.end()
    with serving(home / "index", home / "again.log") as again:
        assert names(search(again, text="a red boat")) == expected
    assert "Traceback" not in again.log()


def test_a_drive_that_is_not_mounted_takes_away_originals_only(server: Server, home: Path) -> None:
    before = search(server, text="a red boat")
    shown, other = before["hits"][0]["id"], before["hits"][1]["id"]
    assert server.ask(f"/api/images/{shown}/thumbnail").status == 200
    (home / "photos").rename(home / "away")
    assert names(search(server, text="a red boat, or another")) != []
    assert names(search(server, text="a red boat")) == names(before)
    assert server.ask(f"/api/images/{shown}/thumbnail").status == 200  # it is kept
    for path in (f"/api/images/{shown}/original", f"/api/images/{other}/thumbnail"):
        answer = server.ask(path)
        assert answer.status == 404
        assert answer.json["detail"].endswith("is not there; is its drive mounted?")
    assert server.ask("/api/indexes/index").json["roots"][0]["reachable"] is False
    job = server.ask("/api/jobs", "POST", {}).json["id"]
    until(lambda: server.ask(f"/api/jobs/{job}").json["state"] != "running")
    assert search(server)["total"] == 20  # nothing is forgotten
    (home / "away").rename(home / "photos")
    assert server.ask(f"/api/images/{shown}/original").status == 200


def test_it_ends_within_two_seconds_while_a_job_runs(server: Server, home: Path) -> None:
    with_a_job(server, home)
    behind = children(server)
    code, seconds = server.end()
    assert (code, seconds < 2.2) == (0, True)
    until(lambda: not any(map(is_alive, behind)), 3)
    assert_sound(home)


def test_its_job_ends_with_it_when_it_is_killed(server: Server, home: Path) -> None:
    with_a_job(server, home)
    behind = children(server)
    assert behind
    server.end(signal.SIGKILL)
    until(lambda: not any(map(is_alive, behind)), 8)
    assert_sound(home)


def test_the_end_of_a_jobs_process_is_an_error_and_nothing_more(server: Server, home: Path) -> None:
    job = with_a_job(server, home)
    for pid in children(server):  # the other one is Python's own, and stays
        if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)
    until(lambda: server.ask(f"/api/jobs/{job}").json["state"] == "failed")
    assert "was ended by SIGKILL" in server.ask(f"/api/jobs/{job}").json["error"]
    again = server.ask("/api/jobs", "POST", {})
    assert again.status == 202
    until(lambda: server.ask(f"/api/jobs/{again.json['id']}").json["state"] == "done", 60)
    assert search(server)["total"] == 20 + MANY
    assert_sound(home)
