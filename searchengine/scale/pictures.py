"""Pictures that are no files of this machine's: behind an address, or inside of a shard."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO, Final, TypeAlias, cast

from searchengine.catalog.paths import is_url
from searchengine.errors import ImageError
from searchengine.scale.cluster import addresses, sources
from searchengine.types import ImageFile

OpenFile: TypeAlias = Callable[[ImageFile], BinaryIO]

_LARGEST: Final = 2**30  # bytes; whatever is larger is no picture
_SHARDS: Final = 8  # whose lists of members are kept
_CHUNK: Final = 2**20
_SECOND: Final = 1_000_000_000

_listing = threading.Lock()  # the pictures of a page are often of one shard: list it once


def is_elsewhere(file: ImageFile) -> bool:
    """Whether a picture is behind an address, or inside of a shard that is there."""
    above = sources.shards_above(file.path)
    return is_url(file.root) or any(_state(file.root, shard) for shard in above)


def open_copy(file: ImageFile, open_file: OpenFile) -> BinaryIO | None:
    """Copy a picture into a file without a name, which is gone when it is closed.

    Its size and its time of change are those of the picture. None where that is a file of this
    machine, or nothing. The first picture of a shard has all of the shard's headers read.

    Args:
        file: the picture; of its state nothing is believed.
        open_file: opens a shard of this machine.

    Raises:
        ImageError: it is not there, or too large to be a picture.
        SourceError: the store behind the address does not answer, or refuses.
    """
    for shard in sources.shards_above(file.path):
        if found := _state(file.root, shard):
            return _copied(found, *_span(found, file.path, open_file), file, open_file)
    if not is_url(file.root):
        return None
    there = _state(file.root, file.path)
    if there is None:
        raise ImageError("there is no such picture any more")
    return _copied(there, 0, there.size, file, open_file)


def _span(shard: ImageFile, path: str, open_file: OpenFile) -> tuple[int, int]:
    with _listing:
        spans = _spans(shard, open_file)
    if path not in spans:
        raise ImageError(f"{shard.path} holds no such picture any more")
    return spans[path]


@lru_cache(maxsize=_SHARDS)
def _spans(shard: ImageFile, open_file: OpenFile) -> dict[str, tuple[int, int]]:
    """The offsets and sizes of the pictures inside of a shard, by path."""
    return {each.path: (each.offset, each.size) for each in sources.members_of(shard, open_file)}


def _state(root: str, path: str) -> ImageFile | None:
    """What is there, as it is now; None for a folder, or nothing."""
    try:
        if is_url(root):
            _, is_folder, size, mtime_ns = addresses.look_at(root, path)
            return None if is_folder else ImageFile(root, path, size, mtime_ns)
        absolute = os.path.join(root, path)
        state = os.stat(absolute)
        if not os.path.isfile(absolute):
            return None
        return ImageFile(root, path, state.st_size, state.st_mtime_ns)
    except OSError:
        return None


def _copied(
    source: ImageFile, offset: int, size: int, indexed: ImageFile, open_file: OpenFile
) -> BinaryIO:
    """A part of a file, with the file's time of change."""
    if size > _LARGEST:
        raise ImageError(f"it has {size:,} bytes, too many for a picture")
    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it

    def fill(original: BinaryIO) -> None:
        original.seek(offset)
        left = size
        while left and (chunk := original.read(min(left, _CHUNK))):
            copy.write(chunk)
            left -= len(chunk)

    try:
        if is_url(source.root):
            addresses.read_with(source.root, source.path, fill)
        else:
            with open_file(source) as original:
                fill(original)
        copy.flush()
        if os.utime in os.supports_fd:
            mtime_ns = _time_of_change(source, size, indexed)
            os.utime(copy.fileno(), ns=(mtime_ns, mtime_ns))
        copy.seek(0)
    except BaseException as error:
        copy.close()
        if isinstance(error, OSError):
            raise ImageError((error.strerror or "it is gone").lower()) from error
        raise
    return copy


def _time_of_change(source: ImageFile, size: int, indexed: ImageFile) -> int:
    """That of the index where it may be the same: asked for one file, stores tell seconds only."""
    is_near = abs(source.mtime_ns - indexed.mtime_ns) < _SECOND and size == indexed.size
    return indexed.mtime_ns if is_url(source.root) and is_near else source.mtime_ns
