"""The parts of a query as they are typed: texts, pictures, ids, each perhaps with a weight."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from searchengine.query import Part

_WEIGHTED: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+):(.*)", re.ASCII | re.DOTALL)


def read_part(value: str) -> Part:
    """The part of a query that `[WEIGHT:]THING` names: id:N, a picture's path, or else a text.

    Raises `click.BadParameter` when there is no such thing, `QueryError` for a weight of 0.
    """
    from searchengine.query import Part

    found = None if os.path.isfile(value) else _WEIGHTED.fullmatch(value)
    weight, thing = (float(found[1]), found[2]) if found else (1.0, value)
    if not thing.strip():
        raise click.BadParameter(f"{value!r} names nothing; give a text, a picture or id:N")
    return Part(_content(thing), weight)


def read_example(value: str) -> Path | int:
    """The picture that `IMAGE` names: id:N or a path.

    Raises `click.BadParameter` for an id that is no number.
    """
    return _image_id(value) if value.startswith("id:") else Path(os.path.expanduser(value))


def _content(thing: str) -> str | Path | int:
    if thing.startswith("id:"):
        return _image_id(thing)
    path = Path(os.path.expanduser(thing))
    picture = _has_picture_extension(path)
    if os.path.isfile(path) and (picture or os.path.dirname(thing)):
        return path
    if picture:  # to take a mistyped path for a text would find something, and never say why
        raise click.BadParameter(f"there is no file {thing}")
    return thing


def _image_id(value: str) -> int:
    number = value.removeprefix("id:")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):  # SQLite's integers
        raise click.BadParameter(f"{value} is not id:N with a number N")
    return int(number)


def _has_picture_extension(path: Path) -> bool:
    if not path.suffix:
        return False
    from searchengine.images import EXTENSIONS  # not for a plain text query

    return path.suffix.lower() in EXTENSIONS


def in_words(text: str | None, plus: Sequence[Part], minus: Sequence[Part]) -> str:
    """A query on one line, as people write it: `a beach + 0.5:boat.jpg - people`."""
    first = " + ".join([*([text] if text else []), *map(_part_in_words, plus)])
    return " ".join(filter(None, [first, *(f"- {_part_in_words(part)}" for part in minus)]))


def _part_in_words(part: Part) -> str:
    weight = "" if part.weight == 1 else f"{part.weight:g}:"
    return weight + (f"id:{part.content}" if isinstance(part.content, int) else str(part.content))
