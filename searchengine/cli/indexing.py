"""`searchengine index`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from searchengine.cli.options import device_option, index_option, json_option
from searchengine.cli.output import echo_json
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.ingest import Report

COUNTS = ("added", "changed", "moved", "removed", "unchanged", "failed")


@click.command()
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=click.Path())
@index_option
@click.option(
    "--model",
    envvar="SEARCHENGINE_MODEL",
    default="builtin",
    show_default=True,
    show_envvar=True,
    metavar="NAME",
    help="Model of a new index: builtin, ARCH/PRETRAINED, or a model folder.",
)
@device_option("auto")
@click.option(
    "--include-hidden", is_flag=True, help="Take files and folders that start with a dot."
)
@click.option(
    "--exclude", multiple=True, metavar="PATTERN", help="Skip what matches (gitignore syntax)."
)
@click.option("--retry-failed", is_flag=True, help="Read files again that could not be read.")
@click.option("--allow-empty", is_flag=True, help="Drop the images of a folder that is empty now.")
@click.option(
    "--re-embed", is_flag=True, help="Change the index to --model: embed every image anew."
)
@json_option
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def index(
    ctx: click.Context,
    /,
    folders: tuple[str, ...],
    index_folder: Path,
    model: str,
    device: str,
    re_embed: bool,
    as_json: bool,
    quiet: bool,
    **selection: bool | tuple[str, ...],
) -> None:
    """Add picture folders to the index, or bring them up to date.

    Without FOLDER every folder of the index is brought up to date. The pictures are only read.
    """
    from searchengine.engine import SearchEngine
    from searchengine.errors import IndexFolderError
    from searchengine.ingest import Selection, list_folders

    list_folders(folders)  # a mistyped name makes no index
    is_new = not SearchEngine.exists(index_folder)
    is_explicit = ctx.get_parameter_source("model") is ParameterSource.COMMANDLINE
    # An index remembers its model; the environment's counts for a new one only.
    wanted = model if is_new or is_explicit or re_embed else None
    if is_new and not folders:
        raise IndexFolderError(
            f"there is no index in {index_folder} yet; name the folders: searchengine index FOLDER"
        )
    if re_embed:
        with progress("images", quiet=quiet) as report_progress, _stop_on_interrupt() as stop:
            done = SearchEngine.re_embed(index_folder, model, device, report_progress, stop)
        if not done:
            _interrupted(ctx)
    with SearchEngine.open(index_folder, model=wanted, device=device) as engine:
        bring_up_to_date = partial(engine.index, *folders) if folders else engine.refresh
        with progress("images", quiet=quiet) as report_progress, _stop_on_interrupt() as stop:
            report = bring_up_to_date(
                selection=Selection(**selection),  # type: ignore[arg-type]
                progress=report_progress,
                stop=stop,
            )
    _show(report, as_json)
    if report.interrupted:
        _interrupted(ctx)


def _interrupted(ctx: click.Context) -> NoReturn:
    click.echo("interrupted; what is done is kept, the next run goes on from here", err=True)
    ctx.exit(130)


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C asks the run to stop after the batch in hand; a second one ends it at once."""
    stop = threading.Event()

    def ask(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _show(report: Report, as_json: bool) -> None:
    counts = {name: getattr(report, name) for name in COUNTS}
    seconds, rate = round(report.seconds, 3), round(report.images_per_second, 1)
    if as_json:
        echo_json({**counts, "seconds": seconds, "images_per_second": rate})
        return
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()), nl=False)
    click.echo(f" in {seconds:.1f} s ({rate:.0f} images/s)")
    if report.failed:
        click.echo("`searchengine info` lists the files that could not be read, and why", err=True)
