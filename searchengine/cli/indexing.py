"""`searchengine index`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from click.core import ParameterSource

from searchengine.cli.clustering import list_folders, re_embedding, updating, write_parquet
from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.options import device_option, index_option, json_option, quiet_option
from searchengine.cli.output import counted, echo_json, on_one_line
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.captioning import Stored
    from searchengine.captions import Captions
    from searchengine.engine import SearchEngine
    from searchengine.ingest import Report, Selection
    from searchengine.types import Scope

COUNTS = ("added", "changed", "moved", "removed", "unchanged", "failed")
_NAMED: Final = 5  # patterns on a line


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
@click.option(
    "--catalog",
    metavar="URL",
    help="Catalog of a new index: a PostgreSQL database, postgresql+psycopg://USER@HOST/DATABASE. "
    "If that holds an index already, FOLDER of --index becomes another door to it.",
)
@click.option(
    "--store",
    metavar="ADDRESS",
    help="Where the vectors are searched from now on: milvus:http://HOST:19530, milvus:FILE.db, "
    "pgvector, or faiss, the file in the index folder.",
)
@device_option("auto")
@click.option(
    "--include-hidden/--no-include-hidden",
    default=None,
    help="Take files and folders that start with a dot.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="PATTERN",
    help="Leave out what matches (gitignore syntax, relative to FOLDER).",
)
@click.option("--no-exclude", is_flag=True, help="Take what was left out by --exclude before.")
@click.option("--retry-failed", is_flag=True, help="Read files again that could not be read.")
@click.option("--allow-empty", is_flag=True, help="Drop the images of a folder that is empty now.")
@click.option(
    "--re-embed", is_flag=True, help="Change the index to --model: embed every image anew."
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Read and embed with Ray Data: on a cluster (auto, HOST:PORT, ray://HOST:PORT), or on "
    "this machine alone. FOLDER may then be an address such as s3://bucket/photos, and tar "
    "archives below it are read as folders.",
)
@click.option(
    "--parquet",
    metavar="OUT",
    help="With --ray: write the embeddings as Parquet files to the new folder or address OUT; no "
    "index is read or written.",
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
    catalog: str | None,
    store: str | None,
    device: str,
    re_embed: bool,
    ray: str | None,
    parquet: str | None,
    source: Path | None,
    images: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Add picture folders to the index, or bring them up to date.

    Without FOLDER every folder of the index is brought up to date; with --catalog or --store none
    is, and the vectors are only brought to where they are searched. The pictures are only read.

    The index remembers --exclude and --include-hidden of each folder, for `watch` and the page as
    well; given again, they replace what it remembers. For a FOLDER inside one of the index they
    count for this run only. It remembers --catalog and --store as well.
    """
    from searchengine.engine import SearchEngine
    from searchengine.errors import IndexFolderError
    from searchengine.scale.opening import place

    selection = _selection(**options)
    if parquet is not None:
        if not write_parquet(ctx, selection):
            _interrupted(ctx)
        return
    listed = list_folders(folders, ray)  # a mistyped name makes no index
    if catalog is not None or store is not None:
        place(index_folder, catalog, store)
    is_new = not SearchEngine.exists(index_folder)
    is_explicit = ctx.get_parameter_source("model") is ParameterSource.COMMANDLINE
    # An index remembers its model; the environment's counts for a new one only.
    wanted = model if is_new or is_explicit or re_embed else None
    if is_new and not folders:
        raise IndexFolderError(
            f"there is no index in {index_folder} yet; name the folders: searchengine index FOLDER"
        )
    if not folders and (catalog is not None or store is not None):
        _move_in(index_folder, as_json)
        return
    captions = _read_captions(source, images, folders)
    if re_embed:
        _re_embed(ctx)
    with SearchEngine.open(index_folder, model=wanted, device=device) as engine:
        if store is not None:
            engine.catalog.preload()  # one that cannot be used is told of before hours of work
        if selection.exclude is None and not quiet:
            _say_what_is_left_out(engine.catalog.scopes(), listed)
        bring_up_to_date = updating(engine, folders, ray)
        with progress("images", quiet=quiet) as report_progress, stop_on_interrupt() as stop:
            report = bring_up_to_date(
                selection=selection,
                progress=report_progress,
                stop=stop,
            )
        stored = None if report.interrupted else _store(engine, captions)
    _show(report, stored, as_json)
    if report.interrupted:
        _interrupted(ctx)


def _move_in(index_folder: Path, as_json: bool) -> None:
    """Use a catalog or a store from now on, without a look at the folders."""
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        index.save_snapshot()
        images, kind = index.count, index.kind
    if as_json:
        echo_json({"images": images, "search": kind})
    else:
        click.echo(f"{counted(images, 'image')} in {index_folder}, search: {kind}")


def _selection(exclude: tuple[str, ...], no_exclude: bool, **others: Any) -> Selection:
    if exclude and no_exclude:
        raise click.UsageError("--exclude and --no-exclude exclude each other; give one of them")
    from searchengine.ingest import Selection

    return Selection(exclude=exclude or (() if no_exclude else None), **others)


def _say_what_is_left_out(scopes: Mapping[str, Scope], folders: Iterable[str]) -> None:
    """Name the patterns that the index remembers of these folders, or of all where none is named.

    A folder also has those of the root folder around it, and of those inside it.
    """
    from searchengine.catalog import below

    of_folders = [
        scope
        for root, scope in scopes.items()
        if not folders
        or any(below(root, each) is not None or below(each, root) is not None for each in folders)
    ]
    patterns = list(dict.fromkeys(each for scope in of_folders for each in scope.exclude))
    if patterns:
        named = on_one_line(", ".join(patterns[:_NAMED]) + ", ..." * (len(patterns) > _NAMED))
        click.echo(f"leaving out {named} as before; --no-exclude takes everything", err=True)


def _re_embed(ctx: click.Context) -> None:
    from searchengine.engine import SearchEngine

    options = ctx.params
    folder, model, device = options["index_folder"], options["model"], options["device"]
    workers = re_embedding(model, device, options["ray"])
    with progress("images", quiet=options["quiet"]) as tell, stop_on_interrupt() as stop:
        done = SearchEngine.re_embed(folder, model, device, tell, stop, workers)
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
