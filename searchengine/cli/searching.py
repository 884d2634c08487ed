"""`searchengine search` and `searchengine similar`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from searchengine.cli.composing import in_words, read_example, read_part
from searchengine.cli.filtering import filter_options
from searchengine.cli.options import device_option, index_option
from searchengine.cli.output import echo_json, hits_as_json
from searchengine.cli.showing import Answer, Output, output_options, quoted, show
from searchengine.errors import QueryError

if TYPE_CHECKING:
    from searchengine.engine import SearchEngine
    from searchengine.filters import Filters
    from searchengine.query import Part, SearchOptions
    from searchengine.types import Hit, Relevance

_TOGETHER = 256  # queries of a file that share a batch

k_option = click.option(
    "-k", default=10, show_default=True, type=click.IntRange(min=1), help="How many hits at most."
)
offset_option = click.option(
    "--offset",
    default=0,
    metavar="N",
    type=click.IntRange(min=0),
    help="Leave out the N best: with -k 10, 10 is the second page.",
)
collapse_option = click.option(
    "--no-collapse", is_flag=True, help="Show every copy of a picture, not only the best."
)
diverse_option = click.option(
    "--diverse", is_flag=True, help="Prefer hits that do not look like each other."
)
minus_option = click.option(
    "--minus",
    multiple=True,
    type=read_part,
    metavar="[WEIGHT:]THING",
    help="Less like THING, which is written as for --plus of search.",
)


@click.command()
@click.argument("text", required=False)
@click.option(
    "--plus",
    multiple=True,
    type=read_part,
    metavar="[WEIGHT:]THING",
    help="Also like THING: id:N, a picture file, or a text. Example: --plus 0.5:boat.jpg",
)
@minus_option
@click.option("-x", "excluded", multiple=True, metavar="TERM", help="Less like this text.")
@k_option
@offset_option
@click.option(
    "--min-relevance",
    type=click.Choice(["strong", "likely"]),
    help="Leave out hits that are less relevant.",
)
@click.option("--semantic-only", is_flag=True, help="Do not look for the words in names, captions.")
@click.option("--raw", is_flag=True, help="Take TEXT as it is, and rank by the cosine alone.")
@collapse_option
@diverse_option
@filter_options
@click.option(
    "--from-file",
    metavar="FILE",
    type=click.File("r", encoding="utf-8", errors="replace"),
    help="One query a line (- is stdin); answers one JSON line each.",
)
@output_options
@index_option
@device_option("cpu")
def search(
    text: str | None,
    plus: tuple[Part, ...],
    minus: tuple[Part, ...],
    excluded: tuple[str, ...],
    k: int,
    filters: Filters,
    from_file: TextIO | None,
    output: Output,
    index_folder: Path,
    device: str,
    **choices: Any,
) -> None:
    """Find the pictures that TEXT describes.

    A line has the rank, the cosine, the relevance, the date where one is known, the path and, in
    brackets, copies and what matched besides the picture. The order follows more than the cosine;
    with --raw it does not.
    """
    from searchengine.engine import SearchEngine
    from searchengine.query import Part

    minus = (*minus, *(Part(term) for term in excluded))
    _check_what_is_asked(text, plus, minus, from_file, output)
    options = _search_options(**choices)
    with SearchEngine.open(index_folder, device=device, create=False) as engine:
        if from_file is not None:
            _answer_lines(engine, from_file, k, filters, options, output)
            return
        hits = engine.search(text, k, plus=plus, minus=minus, filters=filters, options=options)
        query = in_words(text, plus, minus)
        show(_answer(engine, query, hits, options, filters), output)


@click.command()
@click.argument("examples", metavar="IMAGE...", nargs=-1, required=True, type=read_example)
@minus_option
@k_option
@offset_option
@collapse_option
@diverse_option
@filter_options
@output_options
@index_option
@device_option("cpu")
def similar(
    examples: tuple[Path | int, ...],
    minus: tuple[Part, ...],
    k: int,
    filters: Filters,
    output: Output,
    index_folder: Path,
    device: str,
    **choices: Any,
) -> None:
    """Find the pictures that look like IMAGE: a file, or id:N for an indexed one.

    Of several, what they have in common counts.
    """
    from searchengine.engine import SearchEngine
    from searchengine.query import Part

    options = _search_options(**choices)
    with SearchEngine.open(index_folder, device=device, create=False) as engine:
        hits = engine.similar(examples, k, minus=minus, filters=filters, options=options)
        query = in_words(None, [Part(example) for example in examples], minus)
        show(_answer(engine, query, hits, options, filters), output)


def _check_what_is_asked(
    text: str | None,
    plus: Sequence[Part],
    minus: Sequence[Part],
    from_file: TextIO | None,
    output: Output,
) -> None:
    """Raise a usage error where the parts do not make one query, or many."""
    if from_file is None:
        if text is None and not plus and not minus:
            raise click.UsageError("give TEXT or --from-file FILE, or --plus THING")
        return
    if text is not None:
        raise click.UsageError("give either TEXT or --from-file FILE")
    given = {
        "--plus": plus,
        "--minus or -x": minus,
        "--html": output.html,
        "--open": output.open_best,
        output.form: output.form not in ("", "--json"),
    }
    for option, value in given.items():
        if value:
            raise click.UsageError(
                f"{option} is for one query; it does not go with --from-file, whose answers are "
                "JSON lines"
            )


def _search_options(
    *,
    offset: int,
    no_collapse: bool,
    diverse: bool,
    min_relevance: Relevance | None = None,
    semantic_only: bool = False,
    raw: bool = False,
) -> SearchOptions:
    from searchengine.query import SearchOptions

    return SearchOptions(
        raw=raw,
        semantic_only=semantic_only,
        min_relevance=min_relevance,
        collapse=not no_collapse,
        diverse=diverse,
        offset=offset,
    )


def _answer(
    engine: SearchEngine,
    query: str,
    hits: Sequence[Hit],
    options: SearchOptions,
    filters: Filters,
) -> Answer:
    empty = not hits and engine.catalog.count == 0
    cut = options.min_relevance is not None and not empty
    if empty:
        why = "the index is empty; add pictures with: searchengine index FOLDER"
    elif options.offset:
        why = f"no more than {options.offset} hits for {quoted(query)}"
    elif cut:
        why = f"no good match for {quoted(query)}"
    else:
        why = f"nothing found for {quoted(query)}"
    if filters and not empty:
        why += " with these filters"
    return Answer(query, hits, options.offset, why, cut)


def _answer_lines(
    engine: SearchEngine,
    lines: TextIO,
    k: int,
    filters: Filters,
    options: SearchOptions,
    output: Output,
) -> None:
    """One JSON line for every line; one without an answer gets an `error`, so none is lost."""
    for queries in _together(lines):
        found = _search_many(engine, queries, k, filters, options)
        for query, hits in zip(queries, found, strict=True):
            if isinstance(hits, str):
                echo_json({"query": query, "hits": [], "no_good_match": False, "error": hits})
                continue
            answer = _answer(engine, query, hits, options, filters)
            groups = output.arrange(hits, options.offset)
            echo_json(hits_as_json(query, groups, no_good_match=answer.no_good_match))


def _search_many(
    engine: SearchEngine,
    queries: Sequence[str],
    k: int,
    filters: Filters,
    options: SearchOptions,
) -> list[list[Hit] | str]:
    """The hits of every query, or why it has none."""
    wanted = [query for query in queries if query]
    try:
        hits = engine.search_many(wanted, k, filters=filters, options=options) if wanted else []
    except QueryError as error:
        if len(queries) == 1:
            return [str(error)]
        alone = (_search_many(engine, [query], k, filters, options) for query in queries)
        return [hits for (hits,) in alone]
    found = iter(hits)
    return [next(found) if query else "the query is empty" for query in queries]


def _together(lines: TextIO) -> Iterator[list[str]]:
    # Whoever writes to stdin may wait for an answer before the next query; a file does not wait.
    size = 1 if lines.name == "<stdin>" else _TOGETHER
    stripped = (line.strip() for line in iter(lines.readline, ""))
    while queries := list(islice(stripped, size)):
        yield queries
