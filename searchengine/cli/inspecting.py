"""`searchengine info` and `searchengine check`."""

from __future__ import annotations

from pathlib import Path

import click

from searchengine.cli.options import index_option, json_option
from searchengine.cli.output import counted, echo_json, on_one_line


@click.command()
@index_option
@json_option
def info(index_folder: Path, as_json: bool) -> None:
    """Say what is in the index, and which files could not be read."""
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        failures, roots = index.failures(), index.roots()
        facts = {
            "images": index.count,
            "failed": len(failures),
            "model": index.spec.name,
            "dim": index.spec.dim,
            "fingerprint": index.spec.fingerprint,
            "search": index.kind,
            "catalog": index.place,
            "index": str(index.folder),
            "roots": roots,
        }
    if as_json:
        listed = [{"path": each.file.absolute, "reason": each.reason} for each in failures]
        echo_json({**facts, "failures": listed})
        return
    click.echo(f"{counted(index.count, 'image')} in {index_folder}")
    click.echo(f"model {facts['model']}, {facts['dim']} dimensions, search: {facts['search']}")
    if facts["catalog"] != facts["index"]:
        click.echo(f"catalog {facts['catalog']}")
    for root in roots:
        click.echo(f"folder {on_one_line(root)}")
    if failures:
        click.echo(f"{counted(len(failures), 'file')} could not be read:")
    for each in failures:
        click.echo(f"  {on_one_line(each.file.absolute)}: {each.reason}")


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Mend what is unsound; images that lost their vector "
    "are dropped, and the next `index` reads them again.",
)
@index_option
@json_option
@click.pass_context
def check(ctx: click.Context, repair: bool, index_folder: Path, as_json: bool) -> None:
    """Prove that the index is sound; exits 1 when it is not."""
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        done = index.repair() if repair else []
        problems = index.check()
        count = index.count
    if as_json:
        echo_json({"sound": not problems, "images": count, "problems": problems, "repaired": done})
    else:
        for line in done:
            click.echo(f"repaired: {line}")
        for line in problems:
            click.echo(f"problem: {line}")
        verdict = (
            "sound" if not problems else "not sound; mend it with: searchengine check --repair"
        )
        click.echo(f"{index_folder}: {counted(count, 'image')}, {verdict}")
    if problems:
        ctx.exit(1)
