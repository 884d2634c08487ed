"""Options that say which images a command may answer with."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

import click

from searchengine.cli.options import Command
from searchengine.errors import QueryError
from searchengine.filters import (
    Filters,
    Orientation,
    format_of,
    parse_after,
    parse_before,
    parse_bytes,
    parse_near,
)


def filter_options(command: Command) -> Command:
    """Give a command the options of a filter; it takes them as one argument, `filters`."""

    @wraps(command)
    def with_filters(*arguments: Any, **options: Any) -> Any:
        parts = {name: options.pop(name) for name in Filters.__slots__}
        return command(*arguments, filters=Filters(**parts), **options)

    for option in reversed(_OPTIONS):
        with_filters = option(with_filters)
    return with_filters  # type: ignore[return-value]


def _read(parse: Callable[[str], Any]) -> Callable[..., Any]:
    """A callback of click that makes a usage error of what cannot be read."""

    def callback(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(parse(each) for each in value)
            return None if value is None else parse(value)
        except QueryError as error:
            raise click.BadParameter(str(error)) from error

    return callback


def _something(text: str) -> str:
    if not text.strip():
        raise QueryError("it is empty; leave the option out to take every image")
    return text


_OPTIONS = (
    click.option(
        "--after",
        metavar="DATE",
        callback=_read(parse_after),
        help="Taken then or later; --after 2024-07 is from July 2024 on.",
    ),
    click.option(
        "--before",
        metavar="DATE",
        callback=_read(parse_before),
        help="Taken before the start of then; --before 2024-07 is up to the end of June 2024.",
    ),
    click.option(
        "--camera",
        metavar="NAME",
        callback=_read(_something),
        help="Taken with this camera; a part of its name will do: --camera nikon.",
    ),
    click.option(
        "--lens",
        metavar="NAME",
        callback=_read(_something),
        help="Taken with this lens; a part of its name will do: --lens 50mm.",
    ),
    click.option(
        "--near",
        metavar="LAT,LON,KM",
        callback=_read(parse_near),
        help="Taken at most KM kilometres from a place: --near 48.2,16.4,5.",
    ),
    click.option(
        "--folder",
        metavar="FOLDER",
        callback=_read(_something),
        help="In this folder or below it, a path or just the name: --folder Holiday.",
    ),
    click.option(
        "--type",
        "types",
        metavar="TYPE",
        multiple=True,
        callback=_read(format_of),
        help="Of this format; may be given again: --type jpg --type heic.",
    ),
    click.option(
        "--min-size",
        "min_bytes",
        metavar="SIZE",
        callback=_read(parse_bytes),
        help="Files of at least this size: --min-size 2MB.",
    ),
    click.option(
        "--min-width",
        metavar="PIXELS",
        type=click.IntRange(min=1),
        help="At least this wide, as displayed: --min-width 1920.",
    ),
    click.option(
        "--orientation",
        type=click.Choice(get_args(Orientation)),
        help="Wider than high, or not: --orientation portrait.",
    ),
    click.option(
        "--captioned/--not-captioned",
        default=None,
        help="With captions, or without any.",
    ),
)
