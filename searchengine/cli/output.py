"""Results as lines for people, and as JSON, CSV and bare paths for programs."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from searchengine.query.arranging import Group, Ranked
    from searchengine.types import Hit

_COLOURS: Final = {"strong": "green", "likely": "yellow", "weak": "bright_black"}
_THOUSAND: Final = 1000
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
_COLUMNS: Final = (
    *("rank", "id", "path", "score", "relevance"),
    *("width", "height", "taken_at", "matched", "copies"),
)


def counted(count: int, thing: str) -> str:
    """A number of things: `1 image`, `2 images`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def in_units(size: int) -> str:
    """A number of bytes as people say it: `3.1 MB`."""
    value, unit = float(size), 0
    while value >= _THOUSAND and unit + 1 < len(_UNITS):
        value, unit = value / _THOUSAND, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{size} bytes"


def echo_json(value: Any) -> None:
    """Print one JSON object on one line; undecodable bytes of a path stay lone surrogates."""
    click.echo(json.dumps(value))


def hits_as_json(
    query: str, groups: Iterable[Group], *, no_good_match: bool = False
) -> dict[str, Any]:
    """The fixed JSON of `search` and `similar`; a hit of a named group says which one it is in."""
    return {
        "query": query,
        "hits": [
            {**_facts(ranked), **({"group": group.name} if group.name else {})}
            for group in groups
            for ranked in group.members
        ],
        "no_good_match": no_good_match,
    }


def _facts(ranked: Ranked) -> dict[str, Any]:
    hit = ranked.hit
    return {
        "rank": ranked.rank,
        "id": hit.id,
        "path": hit.path,
        "score": round(hit.score, 6),
        "width": hit.image.info.width,
        "height": hit.image.info.height,
        "taken_at": hit.image.info.taken_at,
        "relevance": hit.relevance,
        "matched": list(hit.matched),
        "copies": [{"id": copy.id, "path": copy.path} for copy in hit.copies],
    }


def echo_csv(groups: Sequence[Group]) -> None:
    """Print a line of column names and one a hit; `copies` is how many the hit stands for."""
    content = io.StringIO()
    grouped = any(group.name for group in groups)
    columns = (*_COLUMNS, "group") if grouped else _COLUMNS
    table = csv.DictWriter(content, columns, lineterminator="\n")
    table.writeheader()
    for group in groups:
        for ranked in group.members:
            row = _facts(ranked)
            row["matched"] = "; ".join(row["matched"])
            row["copies"] = len(row["copies"])
            table.writerow({**row, "group": group.name} if grouped else row)
    click.echo(content.getvalue(), nl=False)


def echo_paths(hits: Iterable[Hit], end: str) -> None:
    """Print the absolute path of every hit as it is, each ended by `end`.

    Only on a terminal are control characters escaped, which might be commands to it.
    """
    shown = on_one_line if sys.stdout.isatty() else str
    click.echo("".join(shown(hit.path) + end for hit in hits), nl=False)


def echo_table(groups: Sequence[Group]) -> None:
    """Print one hit a line: rank, cosine, relevance, date, path, and what else is known.

    Relevance and date are left out where no hit has any. The hits of a named group follow its
    name.
    """
    for heading, lines in table(groups):
        if heading:
            echo_line(heading)
        for _, line in lines:
            echo_line(line)


def table(groups: Sequence[Group]) -> Iterator[tuple[str, list[tuple[Hit, str]]]]:
    """The heading of every group and, for each of its hits, the line that shows it."""
    hits = [ranked.hit for group in groups for ranked in group.members]
    related = any(hit.relevance for hit in hits)
    dated = any(hit.image.info.taken_at for hit in hits)
    for number, group in enumerate(groups):
        heading = click.style(shown_path(group.name), bold=True) if group.name else ""
        lines = [(each.hit, _line(each, related, dated)) for each in group.members]
        yield "\n" * bool(number and heading) + heading, lines


def _line(ranked: Ranked, related: bool, dated: bool) -> str:
    hit = ranked.hit
    cells = [f"{ranked.rank:>4}", f"{hit.score:6.3f}"]
    if related:
        word = hit.relevance or ""
        cells.append(click.style(f"{word:6}", fg=_COLOURS.get(word)))
    if dated:
        cells.append(on_one_line(f"{(hit.image.info.taken_at or '')[:10]:10}"))
    cells.append(shown_path(hit.path))
    if known := remarks(hit):
        cells.append(click.style(f"({known})", dim=True))
    return "  ".join(cells)


def remarks(hit: Hit) -> str:
    """How many copies a hit stands for, and what matched when not only the picture."""
    count = len(hit.copies)
    copies = f"+{count} {'copy' if count == 1 else 'copies'}" if count else ""
    words = ", ".join(field for field in hit.matched if field != "picture")
    return "; ".join(filter(None, (copies, words)))


def shown_path(path: str) -> str:
    """A path for people: on one line, and relative to the current folder when below it."""
    try:
        here = os.getcwd()
    except OSError:  # it was deleted
        return on_one_line(path)
    below = path.startswith(os.path.join(here, "")) and os.path.dirname(here) != here
    return on_one_line(path[len(here) + 1 :] if below else path)


def on_one_line(path: str) -> str:
    """A path with its control characters escaped, so that a newline in a name stays visible."""
    return "".join(c if c.isprintable() or _is_byte(c) else repr(c)[1:-1] for c in path)


def _is_byte(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def echo_line(line: str) -> None:
    """Print a line; a terminal gets its colours, unless its user wants none (no-color.org)."""
    click.echo(line, color=False if os.environ.get("NO_COLOR") else None)
