"""The indexing jobs of the server: one at a time for each index, followed by any number."""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from searchengine.web.indexing_process import GRACE, IndexingProcess, Message
from searchengine.web.problems import Problem

State: TypeAlias = Literal["running", "done", "failed", "cancelled"]

KEPT: Final = 50
"""Finished jobs that can still be asked for."""

_CLOSING: Final = 1.5  # seconds for all processes together, when the server ends
_KILLING: Final = 0.3  # of these, for the ends of those that had to be killed


@dataclass(frozen=True)
class Counts:
    """What a run found; see `searchengine.ingest.Report`."""

    added: int
    changed: int
    moved: int
    removed: int
    unchanged: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Job:
    """How a job stands at one moment."""

    id: str
    index: str
    state: State = "running"
    done: int = 0
    """Images, of the `total` that are new or have changed; 0 of 0 while folders are compared."""
    total: int = 0
    report: Counts | None = None
    error: str | None = None
    """Why it failed, or which folders it left out."""


@dataclass(frozen=True)
class _Listener:
    """One that waits in an event loop for something to change."""

    loop: asyncio.AbstractEventLoop
    changed: asyncio.Event

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self.changed.set)


@dataclass
class _Run:
    """A job with what is behind it; all of it guarded by the board's lock."""

    job: Job
    process: IndexingProcess
    asked_to_stop: bool = False
    listeners: list[_Listener] = field(default_factory=list)
    thread: threading.Thread | None = None


class JobBoard:
    """Starts jobs, knows how they stand, ends them. Safe between threads."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()
        self._stopped_at: float | None = None

    def start(self, index: str, folder: Path, device: str, retry_failed: bool) -> Job:
        """Refresh the folders of an index in a process of its own.

        Raises:
            Problem: 409, one is running already; 503, the system has no room for a process.
        """
        with self._lock:
            if self._stopped_at is not None:
                raise Problem(503, "the server is ending; ask again when it is back")
            if running := self._running(index):
                raise Problem(
                    409,
                    f"the index {index!r} is being refreshed already, by job {running.id}; "
                    "follow that one, or cancel it",
                    more={"job": running.id},
                )
            try:
                process = IndexingProcess(folder, device, retry_failed)
            except OSError as error:
                raise Problem(503, f"cannot start a process: {error.strerror}") from error
            run = _Run(Job(secrets.token_hex(8), index), process)
            self._runs[run.job.id] = run
            self._forget()
            run.thread = threading.Thread(target=self._follow, args=(run,), daemon=True)
            run.thread.start()
            return run.job

    def get(self, job_id: str) -> Job:
        """How a job stands.

        Raises:
            Problem: 404, there is none, or it ended long ago.
        """
        with self._lock:
            return self._run(job_id).job

    def running(self, index: str) -> Job | None:
        """The job that refreshes an index now."""
        with self._lock:
            return self._running(index)

    def process_id(self, job_id: str) -> int | None:
        """The number of the process behind a job."""
        with self._lock:
            return self._run(job_id).process.pid

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop: what is committed stays. It is killed if it takes too long.

        A job that has ended stays as it is.

        Raises:
            Problem: 404, there is none.
        """
        with self._lock:
            run = self._run(job_id)
            if run.job.state == "running" and not run.asked_to_stop:
                run.asked_to_stop = True
                run.process.stop()
                killer = threading.Timer(GRACE, self._kill, (run,))
                killer.daemon = True
                killer.start()
            return run.job

    async def changes(self, job_id: str, silence: float) -> AsyncGenerator[Job | None, None]:
        """How a job stands now, then whenever that changes, until it has ended.

        States that follow each other too fast for the listener are left out. None stands for
        `silence` seconds in which nothing changed.

        Raises:
            Problem: 404, there is none.
        """
        with self._listening(job_id) as (run, changed):
            job: Job | None = None
            while job is None or job.state == "running":
                changed.clear()
                if run.job is not job:
                    yield (job := run.job)
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), silence)
                except TimeoutError:
                    yield None

    def close(self) -> None:
        """Take no more jobs, and end those there are, within 1.5 seconds of the first `stop`."""
        deadline = self.stop() + _CLOSING
        with self._lock:
            runs = list(self._runs.values())
        for limit in (deadline - _KILLING, deadline):
            for run in runs:
                if run.thread:
                    run.thread.join(max(0.0, limit - time.monotonic()))
                self._kill(run)

    def stop(self) -> float:
        """Take no more jobs, and ask those there are to stop; does not wait for them.

        Returns when this was first done, by the monotonic clock.
        """
        with self._lock:
            if self._stopped_at is None:
                self._stopped_at = time.monotonic()
            for run in self._runs.values():
                if run.job.state == "running" and not run.asked_to_stop:
                    run.asked_to_stop = True
                    run.process.stop()
            return self._stopped_at

    # --- Behind a job ---

    def _follow(self, run: _Run) -> None:
        """Take down what the process says, until it has ended."""
        for message in run.process.messages():
            self._set(run, _told(run, message))
            if run.job.state != "running":
                break
        code = run.process.wait()
        if run.job.state == "running":
            self._set(run, _died(run, code))

    def _set(self, run: _Run, job: Job) -> None:
        with self._lock:
            run.job = job
            for listener in run.listeners:
                listener.wake()

    def _kill(self, run: _Run) -> None:
        if run.thread and run.thread.is_alive():
            run.process.kill()

    @contextmanager
    def _listening(self, job_id: str) -> Iterator[tuple[_Run, asyncio.Event]]:
        listener = _Listener(asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            run = self._run(job_id)
            run.listeners.append(listener)
        try:
            yield run, listener.changed
        finally:
            with self._lock:
                run.listeners.remove(listener)

    # --- With the lock held ---

    def _run(self, job_id: str) -> _Run:
        if job_id not in self._runs:
            raise Problem(404, f"there is no job {job_id!r}; finished ones are forgotten in time")
        return self._runs[job_id]

    def _running(self, index: str) -> Job | None:
        jobs = (run.job for run in self._runs.values() if run.job.index == index)
        return next((job for job in jobs if job.state == "running"), None)

    def _forget(self) -> None:
        """Drop the oldest finished jobs beyond `KEPT`."""
        finished = [each for each, run in self._runs.items() if run.job.state != "running"]
        for job_id in finished[: max(0, len(finished) - KEPT)]:
            del self._runs[job_id]


def _told(run: _Run, message: Message) -> Job:
    """The job after a message of its process."""
    if "error" in message:
        return replace(run.job, state="failed", error=message["error"])
    if "report" not in message:
        return replace(run.job, done=message["done"], total=message["total"])
    report = message["report"]
    counts = Counts(**{name: report[name] for name in Counts.__dataclass_fields__})
    state: State = "cancelled" if report["interrupted"] else "done"
    reasons = {
        "absent": "is empty or not there, and was left as it is",
        "elsewhere": "is read by `searchengine index --ray` only",
    }
    left = [f"{', '.join(message[key])} {why}" for key, why in reasons.items() if message[key]]
    return replace(run.job, state=state, report=counts, error="; ".join(left) or None)


def _died(run: _Run, code: int) -> Job:
    """The job after its process ended without a report."""
    if run.asked_to_stop:
        return replace(run.job, state="cancelled")
    if code < 0:
        name = signal.Signals(-code).name
        how = f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    else:
        how = f"ended with exit code {code}; the server's own output says why"
    error = f"the indexing process {how}. What it had written is kept: start it again to go on"
    return replace(run.job, state="failed", error=error)
