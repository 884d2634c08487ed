"""`searchengine roots`, `merge`, `export` and `import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.options import device_option, index_option, json_option, quiet_option
from searchengine.cli.output import counted, echo_json, in_units, on_one_line
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.portable import Format, Imported, Merged
    from searchengine.types import Scope


@click.group()
def roots() -> None:
    """The folders of the index: list them, follow one that moved, forget one."""


@roots.command("list")
@index_option
@json_option
def list_roots(index_folder: Path, as_json: bool) -> None:
    """Say which folders are in the index, how many images each holds, what is left out of it."""
    from dataclasses import asdict

    from searchengine.catalog.paths import is_url
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        for root, scope in index.scopes().items():
            count = len(index.files(root))
            is_there = None if is_url(root) else Path(root).is_dir()
            if as_json:
                echo_json({"folder": root, "images": count, "there": is_there, **asdict(scope)})
            else:
                click.echo(f"{count:>8} images  {on_one_line(root)}{_notes(scope, is_there)}")


def _notes(scope: Scope, is_there: bool | None) -> str:
    notes = [] if is_there else ["elsewhere" if is_there is None else "not there"]
    if scope.exclude:
        notes.append(f"without {on_one_line(', '.join(scope.exclude))}")
    if scope.include_hidden:
        notes.append("with hidden files")
    return f"  ({'; '.join(notes)})" if notes else ""


@roots.command()
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@index_option
@json_option
def move(old: str, new: str, index_folder: Path, as_json: bool) -> None:
    """Say that the folder OLD of the index is now NEW, such as a drive mounted elsewhere.

    Only the index is changed: nothing is read, moved or encoded.
    """
    from searchengine.index.roots import absolute
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        index.move_root(old, new)
        index.save_snapshot()
        count = len(index.files(absolute(new)))
    if as_json:
        echo_json({"old": old, "new": new, "images": count})
    else:
        click.echo(f"{counted(count, 'image')} of {on_one_line(old)} now below {on_one_line(new)}")


@roots.command()
@click.argument("folder", type=click.Path())
@index_option
@json_option
def remove(folder: str, index_folder: Path, as_json: bool) -> None:
    """Take FOLDER and all its images out of the index; the pictures stay where they are."""
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        count = index.remove_root(folder)
        index.save_snapshot()
    if as_json:
        echo_json({"folder": folder, "removed": count})
    else:
        click.echo(f"{counted(count, 'image')} of {on_one_line(folder)} left the index")


@click.command()
@click.argument("other", type=click.Path(path_type=Path))
@index_option
@json_option
@quiet_option
def merge(other: Path, index_folder: Path, as_json: bool, quiet: bool) -> None:
    """Add all that the index OTHER holds, made with the same model; OTHER is only read.

    Nothing is encoded. A file that both hold is one image, in its later state, with the captions
    of both. What is left out of a folder that is new here is left out from now on.
    """
    from dataclasses import asdict

    from searchengine.portable import merge
    from searchengine.scale.opening import open_index

    with open_index(other.expanduser()) as source, open_index(index_folder) as index:
        with progress("images", quiet=quiet) as report_progress:
            merged = merge(source, index, report_progress)
        count = index.count
    if as_json:
        echo_json({**asdict(merged), "images": count})
    else:
        click.echo(f"{_in_words(merged)}; {counted(count, 'image')} in {index_folder}")


def _in_words(merged: Merged) -> str:
    return (
        f"{merged.added} added, {merged.same} in both, {merged.replaced} replaced by a later "
        f"state, {merged.kept} kept in a later state, {merged.captioned} got captions"
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "npy"]),
    default="parquet",
    show_default=True,
    help="parquet: part-00000.parquet and on; npy: img_emb/img_emb_0.npy and metadata.jsonl.",
)
@index_option
@json_option
@quiet_option
def export(folder: Path, format_: str, index_folder: Path, as_json: bool, quiet: bool) -> None:
    """Write every image's facts, captions and embedding to FOLDER, which must be new or empty."""
    from dataclasses import asdict

    from searchengine.portable import export
    from searchengine.scale.opening import open_index

    folder = folder.expanduser()
    with open_index(index_folder) as index, progress("images", quiet=quiet) as report_progress:
        exported = export(index, folder, cast("Format", format_), report_progress)
    if as_json:
        echo_json({"folder": str(folder), **asdict(exported)})
    else:
        click.echo(
            f"wrote {counted(exported.images, 'image')}, {in_units(exported.bytes)}, to {folder}"
        )


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--images",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the pictures.",
)
@click.option(
    "--model",
    metavar="NAME",
    help="The model that made the vectors; an export of this program names it itself.",
)
@index_option
@device_option("auto")
@json_option
@quiet_option
@click.pass_context
def import_(
    ctx: click.Context,
    /,
    folder: Path,
    images: Path,
    model: str | None,
    index_folder: Path,
    device: str,
    **output: bool,
) -> None:
    """Make an index of embeddings in FOLDER: clip-retrieval's, or an export of this program.

    Nothing in the vectors says which model made them. So a few pictures are encoded anew, and the
    import is refused where the vectors do not agree.
    """
    from searchengine import encoders
    from searchengine.engine import SearchEngine
    from searchengine.errors import ExchangeError
    from searchengine.portable import bring_in, check_origin, open_source

    source = open_source(folder.expanduser())
    if (name := model or source.model) is None:
        raise ExchangeError(f"{folder} does not say which model made it; name it with --model")
    encoder = encoders.load(encoders.find(name), device)
    for line in source.refused:
        click.echo(f"refused: {line}", err=True)
    cosine = check_origin(source, encoder, images)
    click.echo(f"the vectors agree with {name}: mean cosine {cosine:.3f}", err=True)
    with (
        SearchEngine.open(index_folder, model=name, device=device) as engine,
        progress("rows", quiet=output["quiet"]) as report_progress,
        stop_on_interrupt() as stop,
    ):
        imported = bring_in(engine.catalog, encoder, source, images, report_progress, stop)
    _show_imported(imported, len(source.refused), cosine, output["as_json"])
    if imported.interrupted:
        click.echo("interrupted; run the same command again to go on", err=True)
        ctx.exit(130)


_LEFT_OUT = {
    "missing": "have no picture there",
    "changed": "have another picture by now",
    "unusable": "have a vector that is zero or not finite",
    "failed": "have a picture that cannot be read",
}


def _show_imported(imported: Imported, refused: int, cosine: float, as_json: bool) -> None:
    counts: dict[str, Any] = {name: getattr(imported, name) for name in _LEFT_OUT}
    counts = {"added": imported.added, "known": imported.known, **counts}
    if as_json:
        echo_json({**counts, "refused_files": refused, "cosine": round(cosine, 4)})
        return
    click.echo(f"{counted(imported.added, 'image')} added, {imported.known} known already")
    for name, words in _LEFT_OUT.items():
        if counts[name]:
            first = on_one_line(imported.examples[name])
            click.echo(f"{counts[name]} rows {words}; the first is {first}", err=True)
