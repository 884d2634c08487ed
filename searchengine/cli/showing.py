"""How the hits of a query are shown: the options of `search` and `similar`, and what they do."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from searchengine.cli.options import Command, json_option
from searchengine.cli.output import (
    echo_csv,
    echo_json,
    echo_line,
    echo_paths,
    echo_table,
    hits_as_json,
    on_one_line,
    table,
)
from searchengine.cli.progress import progress

if TYPE_CHECKING:
    from searchengine.query.arranging import Group, Grouping, Order
    from searchengine.types import Hit

_MANY: Final = 100  # thumbnails that take long enough to say how far it is
_LONG: Final = 80  # characters of a query that a message repeats

_OPTIONS: Final = (
    click.option(
        "--sort",
        "order",
        type=click.Choice(["relevance", "date"]),
        default="relevance",
        show_default=True,
        help="Order of the -k best; date is newest first. The rank stays that of relevance.",
    ),
    click.option(
        "--group", "by", type=click.Choice(["day", "folder"]), help="Show the hits in groups."
    ),
    json_option,
    click.option("--csv", "as_csv", is_flag=True, help="Print CSV with a line of column names."),
    click.option("--paths", is_flag=True, help="Print absolute paths only, one a line."),
    click.option("-0", "nul", is_flag=True, help="Print absolute paths, each ended by NUL."),
    click.option("--preview", is_flag=True, help="Show the pictures in the terminal."),
    click.option(
        "--html",
        metavar="FILE.html",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Also write the hits as a page of thumbnails that opens in any browser.",
    ),
    click.option(
        "--open", "open_best", is_flag=True, help="Open the best hit; with --html, the page."
    ),
)
_FORMATS: Final = {
    "as_json": "--json",
    "as_csv": "--csv",
    "paths": "--paths",
    "nul": "-0",
    "preview": "--preview",
}


@dataclass(frozen=True, slots=True)
class Output:
    """What `output_options` were given; `form` is `--json`, ... or "" for the table."""

    form: str
    order: Order
    by: Grouping | None
    html: Path | None
    open_best: bool

    def arrange(self, hits: Sequence[Hit], offset: int) -> list[Group]:
        """The hits in the order and the groups asked for."""
        from searchengine.query.arranging import arrange

        return arrange(hits, self.order, self.by, offset)


@dataclass(frozen=True, slots=True)
class Answer:
    """The hits of a query, which is given in words; `offset` better ones are not among them."""

    query: str
    hits: Sequence[Hit]
    offset: int = 0
    why_none: str = ""
    """What to say when there are no hits."""
    cut: bool = False
    """Whether hits may be missing because they were not relevant enough."""

    @property
    def no_good_match(self) -> bool:
        """Whether every hit, from the best on, is known to be weak."""
        if self.offset:
            return False  # better ones came before
        return all(hit.relevance == "weak" for hit in self.hits) if self.hits else self.cut


def output_options(command: Command) -> Command:
    """All that says how hits are shown, as one `output: Output` argument."""

    @functools.wraps(command)
    def with_output(*args: Any, **values: Any) -> Any:
        chosen = [option for name, option in _FORMATS.items() if values.pop(name)]
        if len(chosen) > 1:
            raise click.UsageError(f"{' and '.join(chosen)} exclude each other; give one of them")
        html = values["html"]
        if html is not None and html.suffix.lower() not in (".html", ".htm"):
            raise click.BadParameter(f"{html} must end in .html", param_hint="--html")
        names = ("order", "by", "html", "open_best")
        output = Output("".join(chosen), *(values.pop(name) for name in names))
        return command(*args, output=output, **values)

    for option in reversed(_OPTIONS):
        with_output = option(with_output)
    return cast(Command, with_output)


def show(answer: Answer, output: Output) -> None:
    """Print the hits of a query and write and open what was asked for."""
    groups = output.arrange(answer.hits, answer.offset)
    if output.html is not None:
        _write_page(output.html, answer, groups)
    if output.form == "--json":
        echo_json(hits_as_json(answer.query, groups, no_good_match=answer.no_good_match))
    else:
        _say_what_is_missing(answer)
        _print(groups, output.form)
        if output.html is not None:
            click.echo(f"wrote {on_one_line(str(output.html))}", err=True)
    if output.open_best:
        _open(answer, output.html)


def _say_what_is_missing(answer: Answer) -> None:
    if not answer.hits:
        click.echo(answer.why_none, err=True)
    elif answer.no_good_match:
        click.echo(f"no good match for {quoted(answer.query)}; the nearest are:", err=True)


def quoted(query: str) -> str:
    """A query inside a message: in quotes, on one line, and not too long."""
    line = on_one_line(query)
    return f"'{line if len(line) <= _LONG else line[: _LONG - 3] + '...'}'"


def _print(groups: Sequence[Group], form: str) -> None:
    if form == "--csv":
        echo_csv(groups)
    elif form in ("--paths", "-0"):
        hits = [ranked.hit for group in groups for ranked in group.members]
        echo_paths(hits, "\0" if form == "-0" else "\n")
    elif form == "--preview":
        _preview(groups)
    else:
        echo_table(groups)


def _preview(groups: Sequence[Group]) -> None:
    """The table, with each picture above its line where the terminal can."""
    from searchengine.cli.terminal_pictures import BOX, drawn, find_protocol
    from searchengine.cli.thumbnails import thumbnail
    from searchengine.errors import ImageError

    protocol = find_protocol(os.environ)
    if protocol is None:
        click.echo(
            "this terminal shows no pictures (kitty, Ghostty, iTerm2, WezTerm and those with "
            "sixel do); --html FILE.html makes a page of them",
            err=True,
        )
        echo_table(groups)
        return
    for heading, lines in table(groups):
        if heading:
            echo_line(heading)
        for hit, line in lines:
            try:
                click.echo(drawn(thumbnail(hit.image.file, BOX), protocol))
            except ImageError as error:
                click.echo(f"{on_one_line(hit.path)}: {error}", err=True)
            echo_line(line)


def _write_page(path: Path, answer: Answer, groups: Sequence[Group]) -> None:
    from searchengine.cli.contact_sheet import write_contact_sheet

    with progress("thumbnails", quiet=len(answer.hits) < _MANY) as report:
        write_contact_sheet(
            path, answer.query, groups, no_good_match=answer.no_good_match, progress=report
        )


def _open(answer: Answer, html: Path | None) -> None:
    from searchengine.cli.opening import open_file
    from searchengine.errors import SearchEngineError
    from searchengine.scale.pictures import is_elsewhere

    if html is not None:
        open_file(str(html))
    elif answer.hits:
        best = answer.hits[0].image.file
        if is_elsewhere(best):
            raise SearchEngineError(
                f"{on_one_line(best.absolute)} is no file of its own on this machine; see it with "
                "--html"
            )
        open_file(best.absolute)
