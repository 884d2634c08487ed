"""`searchengine search` and `searchengine similar`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from searchengine.cli.options import device_option, index_option, json_option
from searchengine.cli.output import echo_hits, echo_json, hits_as_json

if TYPE_CHECKING:
    from searchengine.engine import SearchEngine
    from searchengine.types import Hit

_TOGETHER = 256  # queries of a file that share a batch

k_option = click.option(
    "-k", default=10, show_default=True, type=click.IntRange(min=1), help="How many hits at most."
)
html_option = click.option(
    "--html",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the hits as a page of thumbnails that opens in any browser.",
)


@click.command()
@click.argument("text", required=False)
@k_option
@click.option(
    "--from-file",
    metavar="FILE",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="One query a line (- is stdin); answers one JSON line each.",
)
@html_option
@index_option
@device_option("cpu")
@json_option
def search(
    text: str | None,
    k: int,
    from_file: TextIO | None,
    html: Path | None,
    index_folder: Path,
    device: str,
    as_json: bool,
) -> None:
    """Find the pictures that TEXT describes."""
    if (text is None) == (from_file is None):
        raise click.UsageError("give either TEXT or --from-file FILE")
    if from_file is not None and html is not None:
        raise click.UsageError(
            "--html shows the hits of one query; it does not go with --from-file"
        )
    from searchengine.engine import SearchEngine

    with SearchEngine.open(index_folder, device=device, create=False) as engine:
        if from_file is not None:
            _answer_lines(engine, from_file, k)
        elif text is not None:
            _show(text, engine.search(text, k), html, as_json)


@click.command()
@click.argument("image")
@k_option
@html_option
@index_option
@device_option("cpu")
@json_option
def similar(
    image: str, k: int, html: Path | None, index_folder: Path, device: str, as_json: bool
) -> None:
    """Find the pictures that look like IMAGE: a file, or id:N for an indexed one."""
    from searchengine.engine import SearchEngine

    example: str | int = image
    if image.startswith("id:"):
        if not image[3:].isdecimal():
            raise click.UsageError(f"{image} is not id:N with a number N")
        example = int(image[3:])
    with SearchEngine.open(index_folder, device=device, create=False) as engine:
        _show(image, engine.similar(example, k), html, as_json)


def _show(query: str, hits: Sequence[Hit], html: Path | None, as_json: bool) -> None:
    if html is not None:
        from searchengine.cli.contact_sheet import write_contact_sheet

        write_contact_sheet(html, query, hits)
    if as_json:
        echo_json(hits_as_json(query, hits))
        return
    if not hits:
        click.echo("the index is empty; add pictures with: searchengine index FOLDER", err=True)
    echo_hits(hits)
    if html is not None:
        click.echo(f"wrote {html}", err=True)


def _answer_lines(engine: SearchEngine, lines: TextIO, k: int) -> None:
    """One JSON line for every line; a blank one gets an `error` and no hits, so none is lost."""
    for queries in _together(lines):
        wanted = [query for query in queries if query]
        found = iter(engine.search_many(wanted, k) if wanted else [])
        for query in queries:
            if query:
                echo_json(hits_as_json(query, next(found)))
            else:
                echo_json({"query": query, "hits": [], "error": "the query is empty"})


def _together(lines: TextIO) -> Iterator[list[str]]:
    # Whoever writes to stdin may wait for an answer before the next query; a file does not wait.
    size = 1 if lines.name == "<stdin>" else _TOGETHER
    stripped = (line.strip() for line in iter(lines.readline, ""))
    while queries := list(islice(stripped, size)):
        yield queries
