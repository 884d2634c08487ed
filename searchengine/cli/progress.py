"""How far a run has come: a bar on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

import click

_LOG_SECONDS = 10.0


@contextlib.contextmanager
def progress(unit: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with (done, total)."""
    if quiet:
        yield lambda done, total: None
    elif sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(unit=f" {unit}", dynamic_ncols=True, smoothing=0.1, delay=0.2) as bar:

            def draw(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            yield draw
    else:
        yield _log_lines(unit)


def _log_lines(unit: str) -> Callable[[int, int], None]:
    started = reported = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal reported
        now = time.monotonic()
        if done == 0 or (done < total and now - reported < _LOG_SECONDS):
            return
        reported = now
        rate = done / max(now - started, 1e-9)
        left = (total - done) / rate
        click.echo(f"{done}/{total} {unit}, {rate:.0f}/s, {left:.0f} s left", err=True)

    return line
