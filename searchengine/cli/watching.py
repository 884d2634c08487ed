"""`searchengine watch`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from searchengine.cli.clustering import on_this_machine
from searchengine.cli.indexing import COUNTS
from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.options import device_option, index_option, json_option, model_option
from searchengine.cli.output import counted, echo_json, on_one_line
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.engine import SearchEngine
    from searchengine.ingest import Report

_GRACE = 0.8  # seconds that a run may take to end after Ctrl-C


@click.command()
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path())
@index_option
@model_option
@device_option("auto")
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress of the first run.")
def watch(
    folders: tuple[str, ...],
    index_folder: Path,
    model: str,
    device: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Keep the index up to date while pictures come, change and go; Ctrl-C ends it.

    Without FOLDER every folder of the index is watched. --model counts for a new index only. What
    happens is read once nothing has happened for two seconds, or after half a minute at most. A
    folder that is not there, such as an unmounted drive, loses nothing and is taken up again when
    it comes back.
    """
    from searchengine.engine import SearchEngine
    from searchengine.errors import IndexFolderError
    from searchengine.ingest import list_folders

    listed = list(list_folders(folders))  # a mistyped name makes no index
    is_new = not SearchEngine.exists(index_folder)
    engine = SearchEngine.open(
        index_folder, model=model if is_new else None, device=device, create=bool(folders)
    )
    watched = listed or on_this_machine(engine.catalog.roots())
    if not watched:
        raise IndexFolderError(
            f"{index_folder} has no folders yet; name some: searchengine watch FOLDER"
        )
    with stop_on_interrupt() as stop:
        before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
        try:
            session = _Session(engine, stop, as_json, quiet)
            ended = session.run(watched)
        finally:
            signal.signal(signal.SIGTERM, before)
    if not ended:
        # It waits for a large batch or a lock. What is committed is on disk, the rest is undone
        # when the index is opened next; to wait for it is all that an orderly end would do.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    engine.close()


class _Session:
    """One run of the command: it refreshes in a thread, so that Ctrl-C is heard at any time."""

    def __init__(self, engine: SearchEngine, stop: threading.Event, as_json: bool, quiet: bool):
        self.engine = engine
        self.stop = stop
        self.as_json = as_json
        self.quiet = quiet
        self.runs = 0
        self.counts: Counter[str] = Counter()
        self.failed = 0
        self.error: BaseException | None = None

    def run(self, folders: list[str]) -> bool:
        """Watch until `stop`, and say what was done; False where a run has not ended yet."""
        started = time.monotonic()
        click.echo(f"watching {', '.join(map(on_one_line, folders))}; Ctrl-C ends it", err=True)
        thread = threading.Thread(target=self._watch, args=(folders,), daemon=True)
        thread.start()
        while thread.is_alive() and not self.stop.is_set():
            self.stop.wait(0.2)
        thread.join(_GRACE)
        if self.error is not None:
            raise self.error
        did = ", ".join(f"{self.counts[name]} {name}" for name in COUNTS[:4])
        click.echo(
            f"watched for {time.monotonic() - started:.0f} s, {counted(self.runs, 'run')}: {did}",
            err=True,
        )
        return not thread.is_alive()

    def _watch(self, folders: list[str]) -> None:
        from searchengine.watching import watch

        try:
            watch(folders, self.refresh, self.stop)
        except BaseException as error:  # noqa: BLE001 - the main thread raises it again
            self.error = error

    def refresh(self, folders: list[str]) -> None:
        """Bring folders up to date, and say what changed."""
        with progress("images", quiet=self.quiet or self.runs > 0) as report_progress:
            report = self.engine.index(*folders, progress=report_progress, stop=self.stop)
        self.runs += 1
        counts = {name: getattr(report, name) for name in COUNTS}
        self.counts.update(counts)
        self._show(folders, report, counts)
        self.failed = report.failed

    def _show(self, folders: list[str], report: Report, counts: dict[str, int]) -> None:
        if self.as_json:
            rate = round(report.images_per_second, 1)
            seconds = round(report.seconds, 3)
            echo_json({"folders": folders, **counts, "seconds": seconds, "images_per_second": rate})
        elif self.runs == 1 or any(counts[name] for name in COUNTS[:4]):
            did = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            click.echo(f"{time.strftime('%H:%M:%S')}  {did or 'nothing changed'}")
