"""What `searchengine index` does with a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.output import counted, echo_json, on_one_line
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.engine import SearchEngine
    from searchengine.ingest import Report, Selection, Workers

_BESIDE_PARQUET = {
    *("folders", "model", "device", "include_hidden", "exclude", "no_exclude"),
    *("ray", "parquet", "as_json", "quiet"),
}


def list_folders(folders: Sequence[str], ray: str | None) -> dict[str, bool]:
    """The folders that are to be indexed; see `searchengine.ingest.list_folders`."""
    if ray is None:
        from searchengine.ingest import list_folders as list_local

        return list_local(folders)
    from searchengine.scale.cluster.connection import knock
    from searchengine.scale.cluster.sources import list_folders as list_all

    knock(ray)  # nothing is made for a cluster that is not there
    return list_all(folders)


def on_this_machine(roots: Sequence[str]) -> list[str]:
    """The folders of an index that are none behind an address; says which are.

    Raises `ImageError` where all of them are.
    """
    from searchengine.catalog.paths import is_url
    from searchengine.errors import ImageError

    if not (elsewhere := [root for root in roots if is_url(root)]):
        return list(roots)
    message = (
        f"{on_one_line(', '.join(elsewhere))}: only `searchengine index --ray` reads what is there"
    )
    if len(elsewhere) == len(roots):
        raise ImageError(message)
    click.echo(message, err=True)
    return [root for root in roots if root not in elsewhere]


def re_embedding(model: str, device: str, ray: str | None) -> Workers | None:
    """Who embeds with another model: a cluster, or None for this machine."""
    if ray is None:
        return None
    from searchengine import encoders
    from searchengine.scale.cluster.driver import ClusterWorkers

    return ClusterWorkers(encoders.find(model), ray, device)


def updating(
    engine: SearchEngine, folders: Sequence[str], ray: str | None
) -> Callable[..., Report]:
    """What brings these folders, or all of the index, up to date."""
    if ray is None:
        return partial(engine.index, *(folders or on_this_machine(engine.catalog.roots())))
    from searchengine.ingest import ingest
    from searchengine.scale.cluster.driver import ClusterWorkers

    workers = ClusterWorkers(engine.model_folder(), ray, engine.device)
    return partial(ingest, engine.catalog, workers, folders or engine.catalog.roots())


def write_parquet(ctx: click.Context, selection: Selection) -> bool:
    """Embed the folders into Parquet files, without an index; False when it was interrupted."""
    options = ctx.params
    _refuse_what_is_for_an_index(ctx)
    from searchengine import encoders
    from searchengine.scale.cluster.driver import ClusterWorkers
    from searchengine.scale.cluster.parquet import write
    from searchengine.types import Scope

    workers = ClusterWorkers(encoders.find(options["model"]), options["ray"], options["device"])
    scope = selection.scope(Scope(), "")
    with progress("images", quiet=options["quiet"]) as tell, stop_on_interrupt() as stop:
        written = write(workers, options["folders"], options["parquet"], scope, tell, stop)
    if options["as_json"]:
        echo_json(written._asdict())
    else:
        click.echo(
            f"{counted(written.images, 'image')} in {counted(written.files, 'file')} below "
            f"{options['parquet']}, {written.failed} failed"
        )
    return written.complete


def _refuse_what_is_for_an_index(ctx: click.Context) -> None:
    if ctx.params["ray"] is None:
        raise click.UsageError("--parquet goes with --ray")
    if not ctx.params["folders"]:
        raise click.UsageError("--parquet has no index to take folders from; name them")
    for option in ctx.command.params:
        name = option.name or ""
        is_given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and name not in _BESIDE_PARQUET:
            raise click.UsageError(f"{option.opts[0]} is for an index; --parquet makes none")
