"""WebDataset shards: tar archives whose members are samples, a picture and its text each.

The format is that of https://github.com/webdataset/webdataset: files that share a name up to the
first dot make a sample.
"""

from __future__ import annotations

import os
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from searchengine.captions.documents import captions_of, parse
from searchengine.captions.lines import decode
from searchengine.captions.rows import (
    CAPTION_NAMES,
    IMAGE_IS_MISSING,
    SHARD_IS_CUT_OFF,
    Row,
    Rows,
    Skip,
)
from searchengine.errors import CaptionError

PICTURES: Final = frozenset(
    "jpg jpeg jpe jfif png webp gif bmp tif tiff heic heif hif avif".split()  # noqa: SIM905
)
"""Extensions of the members that are pictures."""

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_COMPRESSED = re.compile(r"\.(tar\.\w+|tgz|tbz2?|txz|tzst)$", re.IGNORECASE)
_BLOCK = tarfile.BLOCKSIZE
# Besides its own errors, tarfile lets through what a size or a number in a header brings about.
_DAMAGE = (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError)


def is_pattern(source: Path) -> bool:
    """Tell whether a path stands for many shards, as `shard-{000..012}.tar` does."""
    return source.suffix == ".tar" and _BRACES.search(str(source)) is not None


def expand(pattern: Path) -> Iterator[Path]:
    """Yield the shards of a pattern; the numbers have as many digits as its first.

    Raises `CaptionError` at the first that does not exist.
    """
    found = _BRACES.search(str(pattern))
    first, last = found.groups() if found else ("1", "0")
    for number in range(int(first), int(last) + 1):
        shard = Path(_BRACES.sub(f"{number:0{len(first)}}", str(pattern), count=1))
        if not shard.is_file():
            raise CaptionError(f"{pattern}: the shard {shard.name} does not exist")
        yield shard


def refuse_compressed(source: Path) -> None:
    """Raise `CaptionError` for the name of a compressed archive."""
    if _COMPRESSED.search(source.name):
        raise CaptionError(
            f"{source.name} is compressed, so that no picture in it can be read by itself; "
            "unpack it to a plain .tar"
        )


def read_shards(shards: Iterable[Path]) -> Rows:
    """Read the samples of every shard; pictures stay where they are, `span` tells where.

    The caption is the whole of `.txt`, otherwise what `.json` has as `caption`. Of a shard that
    is cut off, what is whole counts.
    """
    for shard in shards:
        with shard.open("rb") as file:
            yield from _read_shard(shard, file)


@dataclass(slots=True)
class _Sample:
    pictures: list[tuple[str, tuple[int, int]]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """Extension, txt or json -> what the member holds."""

    def captions(self, where: str) -> list[str]:
        if "txt" in self.texts or "json" not in self.texts:
            return [self.texts.get("txt", "")]
        entry = parse(self.texts["json"], where)
        if not isinstance(entry, dict) or not any(name in entry for name in CAPTION_NAMES):
            return [""]
        return list(captions_of(entry, where))


class _CutOffError(Exception):
    """The archive ends before its end."""


def _read_shard(shard: Path, file: BinaryIO) -> Iterator[Row | Skip]:
    samples: dict[str, _Sample] = {}
    cut_off = False
    try:
        for member in _members(shard, file):
            _take(member, file, samples, shard.name)
    except _CutOffError:
        cut_off = True
        yield Skip(shard.name, SHARD_IS_CUT_OFF, f"{os.fstat(file.fileno()).st_size} bytes")
    for number, (key, sample) in enumerate(samples.items(), 1):
        where = f"{shard.name}:{key}"
        if cut_off and number == len(samples) and not (sample.pictures and sample.texts):
            continue  # the rest of it was beyond the cut
        if not sample.pictures:
            yield Skip(where, IMAGE_IS_MISSING, f"{key}.*")
        for name, span in sample.pictures:
            for caption in sample.captions(where):
                yield Row(where, name, os.path.abspath(shard), caption, span)


def _take(member: tarfile.TarInfo, file: BinaryIO, samples: dict[str, _Sample], shard: str) -> None:
    """Add a member to its sample, if it is a picture or a text."""
    folder, base = posixpath.split(member.name)
    stem, _, extension = base.partition(".")
    extension = extension.lower()
    if not stem or not (extension in PICTURES or extension in ("txt", "json")):
        return
    sample = samples.setdefault(posixpath.join(folder, stem), _Sample())
    if extension in PICTURES:
        sample.pictures.append((member.name, (member.offset_data, member.size)))
    else:
        file.seek(member.offset_data)
        sample.texts[extension] = decode(file.read(member.size), f"{shard}:{member.name}")


def _members(shard: Path, file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the whole files of an archive in order.

    Raises `_CutOffError` where it ends early, `CaptionError` where it is no plain archive.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if size < _BLOCK:
        raise _CutOffError
    try:
        archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115 - closes with the file
    except _DAMAGE as error:
        raise CaptionError(
            f"{shard.name} is not a plain tar archive ({error}); unpack a compressed one first"
        ) from error
    end = 0
    while (member := _next(archive)) is not None:
        is_whole = member.isreg() and not member.issparse()
        held = member.size if is_whole else 0
        if held < 0 or not end <= member.offset_data <= size - held:
            raise _CutOffError
        end = member.offset_data + held
        if is_whole:
            yield member
    file.seek(archive.offset)
    if file.read(_BLOCK) != bytes(_BLOCK):  # where an archive ends, POSIX wants a block of zeros
        raise _CutOffError


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return archive.next()
    except _DAMAGE as error:
        raise _CutOffError from error
