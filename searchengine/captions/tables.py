"""Captions in lines: CSV and TSV with a header, and Flickr's `name.jpg#0<TAB>caption`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from searchengine.captions.lines import lines
from searchengine.captions.rows import CAPTION_NAMES, IMAGE_NAMES, Row, expected
from searchengine.errors import CaptionError

_FLICKR = re.compile(r"([^\t]+)#\d+\t(.*)", re.DOTALL)


def is_flickr(line: str) -> bool:
    """Tell whether a line has the form `name.jpg#0<TAB>caption`."""
    return _FLICKR.fullmatch(line) is not None


def read_flickr(source: Path) -> Iterator[Row]:
    """Read Flickr8k's and Flickr30k's token files.

    Raises `CaptionError` at a line of another form.
    """
    for number, line in lines(source):
        where = f"{source.name}:{number}"
        if found := _FLICKR.fullmatch(line):
            name = found[1].strip()
            yield Row(where, name, name, found[2])
        elif line.strip():
            raise CaptionError(
                f"{where}: not of the form `name.jpg#0<TAB>caption`, as the lines before; "
                "mend or remove it"
            )


def read_table(source: Path) -> Iterator[Row]:
    """Read a table (RFC 4180) whose header names a column of pictures and one of captions.

    Raises `CaptionError` for a header without them, and at a row that has not as many fields.
    """
    records = _records(source)
    start, header = next(records)
    names = [name.strip().casefold() for name in header]
    image, caption = _column(names, IMAGE_NAMES), _column(names, CAPTION_NAMES)
    if image is None or caption is None:
        raise CaptionError(f"{source.name}:{start}: the header lacks a column: {expected(names)}")
    for line, fields in records:
        if len(fields) != len(names):
            raise CaptionError(
                f"{source.name}:{line}: {len(fields)} fields under a header of {len(names)}; "
                'put a field that holds the delimiter between double quotes (")'
            )
        name = fields[image].strip()
        yield Row(f"{source.name}:{line}", name, name, fields[caption])


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _records(source: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, fields) of each record that is not blank."""
    header = next(line for _, line in lines(source) if line.strip())
    delimiter = "\t" if "\t" in header else ","
    reader = csv.reader((line for _, line in lines(source)), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise CaptionError(
                f"{source.name}:{first}: {error}; a quoted field ends with a double quote, and "
                "one inside it is written twice"
            ) from error
        if fields is None:
            return
        if len(fields) > 1 or any(map(str.strip, fields)):
            yield first, fields
