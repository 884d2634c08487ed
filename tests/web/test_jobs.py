"""Jobs with real processes; those that take seconds are marked slow."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from searchengine import SearchEngine
from searchengine.web import job_board
from searchengine.web.job_board import JobBoard
from searchengine.web.jobs import _stream
from searchengine.web.problems import Problem
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg
from tests.web.shelf import ask_for, listening, serve, until


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """`index` of the built-in model over `photos`, where two pictures came since."""
    fill(tmp_path / "photos", 1)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(tmp_path / "photos")
    fill(tmp_path / "photos", 2, first=5)
    (tmp_path / "photos" / "broken.jpg").write_text("not a picture")
    return tmp_path


class FakeProcess:
    """A run that a test plays: `say` is what it says, `end` its end."""

    def __init__(self, *_: object):
        import queue

        self.pid = 4711
        self.said: queue.Queue[dict[str, object] | None] = queue.Queue()
        self.code = 0
        self.stopped = self.killed = 0
        RUNS.append(self)

    def say(self, **message: object) -> None:
        self.said.put(message)

    def report(self, *, interrupted: bool = False) -> None:
        counts = dict.fromkeys(job_board.Counts.__dataclass_fields__, 1)
        self.say(report={**counts, "interrupted": interrupted}, absent=[], elsewhere=[])

    def end(self, code: int = 0) -> None:
        self.code = code
        self.said.put(None)

    def messages(self) -> Iterator[dict[str, object]]:
        while (message := self.said.get()) is not None:
            yield message

    def stop(self) -> None:
        self.stopped += 1

    def kill(self) -> None:
        self.killed += 1
        self.end(-9)

    def wait(self) -> int:
        return self.code


RUNS: list[FakeProcess] = []


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> JobBoard:
    RUNS.clear()
    monkeypatch.setattr(job_board, "IndexingProcess", FakeProcess)
    return JobBoard()


def start(board: JobBoard, index: str = "a") -> str:
    return board.start(index, Path("index"), "cpu", retry_failed=False).id


def ended(board: JobBoard, job_id: str) -> job_board.Job:
    until(lambda: board.get(job_id).state != "running")
    return board.get(job_id)


# --- The board ---


def test_a_job_goes_from_running_to_done(board: JobBoard) -> None:
    job_id = start(board)
    assert board.running("a") == board.get(job_id)
    RUNS[0].say(done=3, total=9)
    until(lambda: board.get(job_id).done == 3)
    RUNS[0].report()
    job = ended(board, job_id)
    assert (job.state, job.done, job.total, job.report.added) == ("done", 3, 9, 1)
    assert board.running("a") is None


def test_one_job_at_a_time_for_an_index(board: JobBoard) -> None:
    first = start(board)
    with pytest.raises(Problem, match=first) as refused:
        start(board)
    assert refused.value.status == 409
    start(board, "b")
    RUNS[0].report()
    ended(board, first)
    assert start(board) != first


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "SIGKILL"), (-15, "SIGTERM"), (1, "exit code 1"), (0, "exit code 0")]
)
def test_a_process_that_dies_is_a_failed_job(board: JobBoard, code: int, words: str) -> None:
    job_id = start(board)
    RUNS[0].end(code)
    job = ended(board, job_id)
    assert job.state == "failed"
    assert words in job.error
    assert "start it again" in job.error


def test_an_error_of_the_engine_is_passed_on(board: JobBoard) -> None:
    job_id = start(board)
    RUNS[0].say(error="cannot list the folder")
    assert (ended(board, job_id).state, board.get(job_id).error) == (
        "failed",
        "cannot list the folder",
    )


def test_a_cancelled_job_keeps_its_report(board: JobBoard) -> None:
    job_id = start(board)
    assert board.cancel(job_id).state == "running"
    board.cancel(job_id)
    assert RUNS[0].stopped == 1
    RUNS[0].report(interrupted=True)
    job = ended(board, job_id)
    assert (job.state, job.report.added) == ("cancelled", 1)
    assert board.cancel(job_id) == job


def test_a_job_that_does_not_stop_is_killed(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_board, "GRACE", 0.05)
    job_id = start(board)
    board.cancel(job_id)
    job = ended(board, job_id)
    assert (job.state, job.error, RUNS[0].killed) == ("cancelled", None, 1)


def test_old_jobs_are_forgotten(board: JobBoard) -> None:
    finished = []
    for _ in range(job_board.KEPT + 3):
        finished.append(start(board))
        RUNS[-1].report()
        ended(board, finished[-1])
    start(board)
    for job_id in finished[:3]:
        with pytest.raises(Problem, match="no job"):
            board.get(job_id)
    assert all(board.get(job_id).state == "done" for job_id in finished[3:])


def test_closing_ends_every_job_in_time_and_takes_no_more(board: JobBoard) -> None:
    jobs = [start(board, name) for name in "abc"]
    RUNS[0].report(interrupted=True)
    started = time.monotonic()
    board.stop()
    time.sleep(0.5)  # as the server gives its connections
    board.close()
    assert time.monotonic() - started < 1.7
    assert {board.get(job_id).state for job_id in jobs} == {"cancelled"}
    assert [run.stopped for run in RUNS[1:]] == [1, 1]
    with pytest.raises(Problem, match="ending"):
        start(board)


# --- Events ---


def test_events_tell_the_state_then_every_change_then_the_end(board: JobBoard) -> None:
    async def follow(job_id: str) -> list[str]:
        return [event async for event in _stream(board, job_id)]

    async def main() -> list[list[str]]:
        job_id = start(board)
        RUNS[0].say(done=1, total=2)
        await asyncio.to_thread(until, lambda: board.get(job_id).done == 1)
        tasks = [asyncio.create_task(follow(job_id)) for _ in range(20)]
        await asyncio.sleep(0.05)
        RUNS[0].report()
        return await asyncio.gather(*tasks)

    for told in asyncio.run(main()):
        kinds = [event.split("\n")[0] for event in told]
        assert kinds == ["event: progress", "event: progress", "event: end"]
        states = [json.loads(event.split("\n")[1].removeprefix("data: ")) for event in told]
        assert [state["state"] for state in states] == ["running", "done", "done"]
        assert states[0]["done"] == 1
        assert all(event.endswith("\n\n") for event in told)
    assert board._runs.popitem()[1].listeners == []


def test_a_silent_job_shows_that_it_lives_and_a_leaving_listener_is_forgotten(
    board: JobBoard,
) -> None:
    async def main() -> None:
        job_id = start(board)
        changes = board.changes(job_id, 0.01)
        assert (await anext(changes)).state == "running"
        assert await anext(changes) is None
        assert await anext(changes) is None
        (run,) = board._runs.values()
        assert len(run.listeners) == 1
        await changes.aclose()
        assert run.listeners == []

    asyncio.run(main())


def test_a_browser_that_leaves_frees_its_stream(board: JobBoard, home: Path) -> None:
    client = serve(home)
    client.app.state.jobs = board
    job_id = start(board)
    (run,) = board._runs.values()
    with listening(client.app) as port:
        calls = [ask_for(port, f"/api/jobs/{job_id}/events") for _ in range(5)]
        for call in calls:
            while b"event: progress" not in call.recv(4096):
                pass
        assert len(run.listeners) == 5
        for call in calls:
            call.close()
        until(lambda: run.listeners == [])
        board.stop()
        run.process.report(interrupted=True)


# --- Routes, with real processes ---


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with serve(home) as opened:
        yield opened


def events(client: TestClient, job_id: str) -> list[tuple[str, dict[str, object]]]:
    answer = client.get(f"/api/jobs/{job_id}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    return [
        (block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: ")))
        for block in blocks
        if not block[0].startswith(":")
    ]


@pytest.mark.slow
def test_a_job_refreshes_the_index_while_the_server_answers(client: TestClient) -> None:
    answer = client.post("/api/jobs", json={})
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/api/jobs/{job['id']}"
    assert (job["index"], job["state"], job["report"], job["error"]) == (
        "photos",
        "running",
        None,
        None,
    )
    assert client.post("/api/jobs", json={"index": "photos"}).status_code == 409
    assert client.get("/api/indexes/photos").json()["job"]["id"] == job["id"]
    told = events(client, job["id"])
    assert told[-1][0] == "end"
    assert {kind for kind, _ in told[:-1]} == {"progress"}
    last = told[-1][1]
    assert (last["state"], last["done"], last["total"]) == ("done", 3, 3)
    assert {name: last["report"][name] for name in ("added", "unchanged", "failed")} == {
        "added": 2,
        "unchanged": 1,
        "failed": 1,
    }
    assert client.get(f"/api/jobs/{job['id']}").json() == last
    assert client.get("/api/indexes/photos").json()["images"] == 3
    again = client.post("/api/jobs", json={"retry_failed": True}).json()
    assert events(client, again["id"])[-1][1]["total"] == 1
    assert client.delete(f"/api/jobs/{again['id']}").json()["state"] == "done"


def test_what_is_not_a_job(client: TestClient) -> None:
    for ask in (client.get, client.delete):
        assert ask("/api/jobs/nonsense").status_code == 404
    assert client.get("/api/jobs/nonsense/events").status_code == 404
    assert client.post("/api/jobs", json={"index": "other"}).status_code == 404
    assert client.post("/api/jobs", json={"folder": "/"}).status_code == 422
    assert client.post("/api/jobs", json={"retry_failed": "yes"}).status_code == 422


@pytest.mark.slow
def test_a_folder_that_is_not_there_fails_the_job_and_loses_nothing(
    home: Path, client: TestClient
) -> None:
    (home / "photos").rename(home / "away")
    job = client.post("/api/jobs", json={}).json()
    last = events(client, job["id"])[-1][1]
    assert last["state"] == "failed"
    assert "cannot list the folder" in last["error"]
    assert client.get("/api/indexes/photos").json()["images"] == 1


@pytest.mark.slow
def test_a_job_goes_on_without_a_folder_that_is_not_there(home: Path, client: TestClient) -> None:
    fill(home / "drive", 1, first=7)
    with SearchEngine.open(home / "index") as engine:
        engine.index(home / "drive")
        write_as_cluster(engine.catalog, "s3://bucket/photos", "1.jpg", jpeg(9))
    (home / "drive").rename(home / "elsewhere")
    job = client.post("/api/jobs", json={}).json()
    until(lambda: client.get(f"/api/jobs/{job['id']}").json()["state"] != "running", 60)
    job = client.get(f"/api/jobs/{job['id']}").json()
    assert (job["state"], job["report"]["added"], job["report"]["removed"]) == ("done", 2, 0)
    assert f"{home / 'drive'} is empty or not there" in job["error"]
    assert "s3://bucket/photos is read by `searchengine index --ray` only" in job["error"]


@pytest.mark.slow
def test_a_killed_process_fails_its_job_and_the_index_stays_sound(
    home: Path, client: TestClient
) -> None:
    fill(home / "photos", 300, first=100)
    job = client.post("/api/jobs", json={}).json()
    board = client.app.state.jobs
    until(lambda: board.get(job["id"]).total, 30)
    os.kill(board.process_id(job["id"]), signal.SIGKILL)
    last = events(client, job["id"])[-1][1]
    assert last["state"] == "failed"
    assert "SIGKILL" in last["error"]
    with SearchEngine.open(home / "index") as engine:
        assert engine.catalog.check() == []
    again = client.post("/api/jobs", json={}).json()
    assert events(client, again["id"])[-1][1]["state"] == "done"
    assert client.get("/api/indexes/photos").json()["images"] == 303


@pytest.mark.slow
def test_a_cancelled_job_keeps_what_is_done(home: Path, client: TestClient) -> None:
    fill(home / "photos", 300, first=100)
    job = client.post("/api/jobs", json={}).json()
    until(lambda: client.get(f"/api/jobs/{job['id']}").json()["done"] > 0, 30)
    assert client.delete(f"/api/jobs/{job['id']}").status_code == 200
    last = events(client, job["id"])[-1][1]
    assert last["state"] == "cancelled"
    kept = client.get("/api/indexes/photos").json()["images"]
    assert kept == 1 + last["report"]["added"]


@pytest.mark.slow
def test_closing_the_server_ends_its_processes(home: Path) -> None:
    fill(home / "photos", 300, first=100)
    with serve(home) as client:
        job = client.post("/api/jobs", json={}).json()
        board = client.app.state.jobs
        pid = board.process_id(job["id"])
        started = time.monotonic()
    assert time.monotonic() - started < 2
    assert board.get(job["id"]).state == "cancelled"
    assert not is_running(pid)


SERVER = """
import sys, time
from pathlib import Path
from searchengine.web.job_board import JobBoard

if __name__ == "__main__":
    board = JobBoard()
    job = board.start("a", Path(sys.argv[1]), "cpu", False)
    while not board.get(job.id).total:
        time.sleep(0.01)
    print(board.process_id(job.id), flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_a_killed_server_takes_its_processes_with_it(home: Path) -> None:
    fill(home / "photos", 300, first=100)
    (home / "server.py").write_text(SERVER)
    command = [sys.executable, str(home / "server.py"), str(home / "index")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        pid = int(server.stdout.readline())
        assert is_running(pid)
        server.kill()
    until(lambda: not is_running(pid), 7)
    with SearchEngine.open(home / "index") as engine:
        assert engine.catalog.check() == []


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")  # one that has ended may wait to be noticed
    return not status.exists() or "State:\tZ" not in status.read_text()
