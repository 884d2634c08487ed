"""Pictures that are no files of this machine's: behind an address, or inside of a shard."""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import BinaryIO, Final, NamedTuple, TypeAlias, cast

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


class _Part(NamedTuple):
    """Where the content of a picture is: in an object, or in a shard, as that is now."""

    source: ImageFile
    offset: int
    size: int


def is_elsewhere(file: ImageFile) -> bool:
    """Whether a picture is behind an address, or inside of a shard that is there."""
    above = sources.shards_above(file.path)
    return is_url(file.root) or any(_state(file.root, shard) for shard in above)


def open_copy(file: ImageFile, open_file: OpenFile = sources.open_local) -> BinaryIO | None:
    """Copy a picture into a file without a name, which is gone when it is closed.

    Its size and its time of change are those of the picture. None where that is a file of this
    machine, or nothing. The first picture of a shard has all of the shard's headers read.

    Args:
        file: the picture, as it was indexed.
        open_file: opens a shard of this machine.

    Raises:
        ImageError: it is not there, or too large to be a picture.
        SourceError: the store behind the address does not answer, or refuses.
    """
    part = _find(file, open_file)
    if part is None:
        return None
    if part.size > _LARGEST:
        raise ImageError(f"it has {part.size:,} bytes, too many for a picture")
    copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - the caller closes it
    try:
        _fill(copy, part, open_file)
        if os.utime in os.supports_fd:
            mtime_ns = _time_of_change(part, file)
            os.utime(copy.fileno(), ns=(mtime_ns, mtime_ns))
        copy.seek(0)
    except BaseException as error:
        copy.close()
        if isinstance(error, OSError):
            raise ImageError((error.strerror or "it is gone").lower()) from error
        raise
    return copy


def _find(file: ImageFile, open_file: OpenFile) -> _Part | None:
    for shard in sources.shards_above(file.path):
        if found := _state(file.root, shard):
            with _listing:
                spans = _spans(found, open_file)
            if file.path not in spans:
                raise ImageError(f"{shard} holds no such picture any more")
            return _Part(found, *spans[file.path])
    if not is_url(file.root):
        return None
    if found := _state(file.root, file.path):
        return _Part(found, 0, found.size)
    raise ImageError("there is no such picture any more")


@lru_cache(maxsize=_SHARDS)
def _spans(shard: ImageFile, open_file: OpenFile) -> dict[str, tuple[int, int]]:
    """The offsets and sizes of the pictures inside of a shard, by path."""
    return {each.path: (each.offset, each.size) for each in sources.members_of(shard, open_file)}


def _state(root: str, path: str) -> ImageFile | None:
    """The file that is there, as it is now."""
    try:
        if is_url(root):
            _, is_folder, size, mtime_ns = addresses.look_at(root, path)
            return None if is_folder else ImageFile(root, path, size, mtime_ns)
        state = os.stat(os.path.join(root, path))
        is_file = stat.S_ISREG(state.st_mode)
        return ImageFile(root, path, state.st_size, state.st_mtime_ns) if is_file else None
    except OSError:
        return None


def _fill(copy: BinaryIO, part: _Part, open_file: OpenFile) -> None:
    def read(original: BinaryIO) -> None:
        original.seek(part.offset)
        left = part.size
        while left and (chunk := original.read(min(left, _CHUNK))):
            copy.write(chunk)
            left -= len(chunk)

    if is_url(part.source.root):
        addresses.read_with(part.source.root, part.source.path, read)
    else:
        with open_file(part.source) as original:
            read(original)
    copy.flush()


def _time_of_change(part: _Part, indexed: ImageFile) -> int:
    """That of the index where it may be the same: asked for one file, stores tell seconds only."""
    now = part.source.mtime_ns
    is_near = abs(now - indexed.mtime_ns) < _SECOND and part.size == indexed.size
    return indexed.mtime_ns if is_url(indexed.root) and is_near else now
