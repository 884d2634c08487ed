"""`searchengine index`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.options import device_option, index_option, json_option, quiet_option
from searchengine.cli.output import echo_json
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.captioning import Stored
    from searchengine.captions import Captions
    from searchengine.engine import SearchEngine
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
    "--include-hidden",
    is_flag=True,
    help="Take files and folders that start with a dot. Not remembered for the next run.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Skip what matches (gitignore syntax). Not remembered for the next run.",
)
@click.option("--retry-failed", is_flag=True, help="Read files again that could not be read.")
@click.option("--allow-empty", is_flag=True, help="Drop the images of a folder that is empty now.")
@click.option(
    "--re-embed", is_flag=True, help="Change the index to --model: embed every image anew."
)
@click.option(
    "--captions",
    "source",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Also store captions: CSV, TSV, JSONL, COCO or Flickr's; or a folder of .txt files.",
)
@click.option(
    "--images",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder of the pictures that FILE names; by default that of FILE, else FOLDER.",
)
@json_option
@quiet_option
@click.pass_context
def index(
    ctx: click.Context,
    /,
    folders: tuple[str, ...],
    index_folder: Path,
    model: str,
    device: str,
    re_embed: bool,
    source: Path | None,
    images: Path | None,
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
    captions = _read_captions(source, images, folders)
    if re_embed:
        _re_embed(ctx, index_folder, model, device, quiet)
    with SearchEngine.open(index_folder, model=wanted, device=device) as engine:
        bring_up_to_date = partial(engine.index, *folders) if folders else engine.refresh
        with progress("images", quiet=quiet) as report_progress, stop_on_interrupt() as stop:
            report = bring_up_to_date(
                selection=Selection(**selection),  # type: ignore[arg-type]
                progress=report_progress,
                stop=stop,
            )
        stored = None if report.interrupted else _store(engine, captions)
    _show(report, stored, as_json)
    if report.interrupted:
        _interrupted(ctx)


def _re_embed(ctx: click.Context, index_folder: Path, model: str, device: str, quiet: bool) -> None:
    from searchengine.engine import SearchEngine

    with progress("images", quiet=quiet) as report_progress, stop_on_interrupt() as stop:
        done = SearchEngine.re_embed(index_folder, model, device, report_progress, stop)
    if not done:
        _interrupted(ctx)


def _read_captions(
    source: Path | None, images: Path | None, folders: Sequence[str]
) -> Captions | None:
    """Read the captions, before hours of indexing; their pictures may be below the one folder."""
    if source is None:
        if images is not None:
            raise click.UsageError("--images tells where the pictures of --captions are")
        return None
    from searchengine.captions import read_captions
    from searchengine.errors import CaptionError

    try:
        return read_captions(source, images)
    except CaptionError:
        if images is not None or len(folders) != 1:
            raise
        return read_captions(source, Path(folders[0]).expanduser())


def _store(engine: SearchEngine, captions: Captions | None) -> Stored | None:
    if captions is None:
        return None
    from searchengine.captioning import store_captions

    stored = store_captions(engine.catalog, captions)
    message = f"stored {stored.captions} captions of {stored.images} images"
    if stored.unknown:
        message += f"; {stored.unknown} images of the file are not in the index"
    click.echo(message, err=True)
    if captions.skipped:
        reasons = ", ".join(f"{why} ({count})" for why, count in captions.skipped.items())
        click.echo(f"skipped rows: {reasons}; the first is {captions.examples[0]}", err=True)
    return stored


def _interrupted(ctx: click.Context) -> NoReturn:
    click.echo("interrupted; what is done is kept, the next run goes on from here", err=True)
    ctx.exit(130)


def _show(report: Report, stored: Stored | None, as_json: bool) -> None:
    counts = {name: getattr(report, name) for name in COUNTS}
    seconds, rate = round(report.seconds, 3), round(report.images_per_second, 1)
    if as_json:
        captioned = (
            {"captions": stored.captions, "captioned_images": stored.images} if stored else {}
        )
        echo_json({**counts, "seconds": seconds, "images_per_second": rate, **captioned})
        return
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()), nl=False)
    click.echo(f" in {seconds:.1f} s ({rate:.0f} images/s)")
    if report.failed:
        click.echo("`searchengine info` lists the files that could not be read, and why", err=True)
