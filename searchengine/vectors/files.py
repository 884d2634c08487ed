"""The file of a vector index: whole or not there, and never trusted blindly."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

# FAISS trusts the sizes in a file, and wrong ones could end the process. A file therefore ends with
# a seal: a mark, the CRC-32 of the sizes of the store, that of all of the partitions, the length of
# the store, the length of both, and the number of vectors.
_SEAL: Final = struct.Struct("<4sIIQQQ")
_MARK: Final = b"two1"
_SIZES: Final = 4096  # bytes at the start of a store, more than all its sizes and settings take


class Parts(NamedTuple):
    """What a sealed file holds: the length of the store, in bytes, and then the partitions."""

    store: int
    partitions: bytes


def seal(file: BinaryIO, count: int, partitions: bytes) -> None:
    """Append partitions to a store of `count` vectors, and what `open_sealed` looks for."""
    length = file.seek(0, os.SEEK_END)
    checksum = _checksum(file, length, count)
    file.seek(length)
    file.write(partitions)
    whole = length + len(partitions)
    file.write(_SEAL.pack(_MARK, checksum, zlib.crc32(partitions), length, whole, count))


def check_seal(file: BinaryIO) -> Parts:
    """Read all but the store, and go back to the start.

    Raises:
        RuntimeError: the file is not what was written.
        struct.error: it is too short to be.
    """
    whole = file.seek(0, os.SEEK_END) - _SEAL.size
    file.seek(max(0, whole))
    mark, checksum, partitions_checksum, length, written, count = _SEAL.unpack(file.read())
    if mark != _MARK or written != whole or length > whole:
        raise RuntimeError("it is cut short")
    file.seek(length)
    partitions = file.read(whole - length)
    if checksum != _checksum(file, length, count) or partitions_checksum != zlib.crc32(partitions):
        raise RuntimeError("its sizes are not those that were written")
    file.seek(0)
    return Parts(length, partitions)


def _checksum(file: BinaryIO, length: int, count: int) -> int:
    """CRC-32 of where a store has its sizes: the start, and just before the ids."""
    file.seek(0)
    start = file.read(min(_SIZES, length))
    file.seek(max(0, length - 8 * count - 8))
    return zlib.crc32(file.read(8), zlib.crc32(start))


@contextmanager
def appearing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that is whole or not there afterwards, even after a power cut.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut; Windows needs no such thing."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
