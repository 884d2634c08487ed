"""Pictures inside of WebDataset shards: plain tar archives, which can be read in part.

The format is that of https://github.com/webdataset/webdataset. What lies beside the pictures,
such as their captions, is left alone.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from searchengine.errors import ImageError
from searchengine.images import EXTENSIONS
from searchengine.types import ImageFile

SHARD: Final = ".tar"

# Besides its own errors, tarfile lets through what a size or a number in a header brings about.
_DAMAGE: Final = (tarfile.TarError, ValueError, OverflowError, MemoryError, RecursionError)


@dataclass(frozen=True, slots=True)
class ShardMember(ImageFile):
    """A picture inside of a shard: `shard` is the archive's path relative to the root.

    Its path is that of the archive and its own name; its time of change is the archive's.
    """

    shard: str
    offset: int


def members(shard: ImageFile, archive: BinaryIO) -> Iterator[ShardMember]:
    """Yield the pictures of an archive that is open for reading, by reading its headers only.

    Members of the same name count once, the last one as tar has it. Raises `ImageError` where
    the archive is damaged or cut off: what is in it is not known then.
    """
    found: dict[str, ShardMember] = {}
    for member in _headers(archive, shard.size):
        name = posixpath.normpath(member.name)
        is_picture = member.isreg() and not member.issparse() and _extension(name) in EXTENSIONS
        if is_picture and not name.startswith(("../", "/")):
            path = f"{shard.path}/{name}"
            found[path] = ShardMember(
                shard.root,
                path,
                member.size,
                shard.mtime_ns,
                shard=shard.path,
                offset=member.offset_data,
            )
    yield from found.values()


def _headers(archive: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    try:
        reader = tarfile.open(fileobj=archive, mode="r:")  # noqa: SIM115 - closes with the file
        while (member := reader.next()) is not None:
            if member.size < 0 or member.offset_data + member.size > size:
                raise ImageError("the archive is cut off")
            yield member
            reader.members.clear()  # type: ignore[attr-defined] # it would keep them all
    except _DAMAGE as error:
        raise ImageError(f"not a plain tar archive: {error}") from error


def _extension(name: str) -> str:
    return name[name.rfind(".") :].lower()
