"""`searchengine duplicates`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from searchengine.cli.interrupting import stop_on_interrupt
from searchengine.cli.options import index_option, json_option
from searchengine.cli.output import counted, echo_json, in_units, on_one_line
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.duplicates import Group, Kind

_KINDS: tuple[Kind, ...] = ("exact", "near", "burst")  # the package itself is slow to import


@click.command()
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    help="Only these groups; more than once for several kinds.",
)
@click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the groups as a page of thumbnails that opens in any browser.",
)
@index_option
@json_option
@click.pass_context
def duplicates(
    ctx: click.Context,
    kinds: tuple[Kind, ...],
    html: Path | None,
    index_folder: Path,
    as_json: bool,
) -> None:
    """List groups of pictures that are copies of one another, or shots of a burst.

    Exact copies have the same bytes. Near copies show the same picture in another size, encoding
    or brightness, or cut by a little. The shots of a burst were taken by one camera within
    seconds. The largest picture of a group comes first, else the oldest. Nothing is ever deleted.
    """
    from searchengine.duplicates import find_duplicates
    from searchengine.scale.opening import open_index

    with open_index(index_folder) as index:
        count = index.count
        with progress("images", quiet=False) as report_progress, stop_on_interrupt() as stop:
            groups = find_duplicates(index, kinds or _KINDS, report_progress, stop)
    if stop.is_set():
        click.echo("interrupted; the next run goes on from here", err=True)
        ctx.exit(130)
    if html is not None:
        from searchengine.cli.group_sheet import write_group_sheet

        write_group_sheet(html, groups)
    for group in groups:
        if as_json:
            echo_json(_as_json(group))
        else:
            _echo(group)
    click.echo(_summary(groups, count), err=True)
    if html is not None:
        click.echo(f"wrote {html}", err=True)


def size_of_copies(group: Group) -> int:
    """The bytes that all but the first image of a group take."""
    return sum(image.file.size for image in group.images[1:])


def _as_json(group: Group) -> dict[str, Any]:
    return {
        "kind": group.kind,
        "images": [
            {
                "id": image.id,
                "path": image.path,
                "size": image.file.size,
                "width": image.info.width,
                "height": image.info.height,
                "taken_at": image.info.taken_at,
            }
            for image in group.images
        ],
        "similarity": round(group.similarity, 6),
    }


def _echo(group: Group) -> None:
    copies = in_units(size_of_copies(group))
    click.echo(f"{group.kind}: {len(group.images)} pictures, copies take {copies}")
    for image in group.images:
        click.echo(f"  {on_one_line(image.path)}")


def _summary(groups: Sequence[Group], count: int) -> str:
    if not count:
        return "the index is empty; add pictures with: searchengine index FOLDER"
    if not groups:
        return f"no duplicates among {count} images"
    # A picture may be in groups of several kinds: its bytes count once.
    copies = {image.id: image.file.size for group in groups for image in group.images[1:]}
    kinds = [group.kind for group in groups]
    each_kind = ", ".join(f"{kinds.count(kind)} {kind}" for kind in _KINDS if kind in kinds)
    things = "group" if len(groups) == 1 else "groups"
    taken, take = in_units(sum(copies.values())), "takes" if len(copies) == 1 else "take"
    rest = counted(len(copies), "picture")
    return f"{each_kind} {things}; besides the first of each, {rest} {take} {taken}"
