"""UTF-8 text with the numbers of its lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from searchengine.errors import CaptionError


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (number, line with its end) of a text file; the first is 1.

    Raises `CaptionError` at a line that is not UTF-8.
    """
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            yield number, decode(line, file.name, number)


def decode(content: bytes, name: str, first: int = 1) -> str:
    """The text of a file, or of its part from line `first`; without a byte-order mark.

    Raises `CaptionError` with the line that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig" if first == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = first + content.count(b"\n", 0, error.start)
        raise CaptionError(f"{name}:{line}: this is not UTF-8; save the file as UTF-8") from error
