"""Small pictures on disk, within a number of bytes: what is kept costs no decoding."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

_SUFFIX: Final = ".webp"
_UNFINISHED: Final = ".part"

_EVICTED: Final = 10
"""An eviction frees this part (one in ten) of the bound at once, so that it is rare."""

_DRIFT: Final = 16
"""The folder is listed anew after this part of the bound was written: others may write too."""

_TOUCHED: Final = 60.0  # seconds within which a second use is not noted
_ABANDONED: Final = 3600.0  # seconds after which nobody goes on with an unfinished file


class _Kept(NamedTuple):
    used_ns: int
    size: int
    path: str


class PictureCache:
    """WebP files by key, in a folder that may be shared; the least recently used go first.

    Only a cache: where the folder cannot be read or written, nothing is found and nothing is kept.
    With n processes that write, the folder exceeds `max_bytes` by n sixteenths of it at most.
    Safe between threads.
    """

    def __init__(self, folder: Path, max_bytes: int):
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = 0  # in the folder, as far as is known
        self._written: int | None = None  # since it was listed

    def get(self, key: str) -> bytes | None:
        """The picture that was put under a key, if it is still there and whole."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                content = file.read()
                used = os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        with suppress(OSError):
            if not _is_whole(content):  # the power failed after it was written
                os.unlink(path)
                return None
            if abs(time.time() - used) > _TOUCHED:
                os.utime(path)
        return content

    def put(self, key: str, content: bytes) -> bool:
        """Keep a WebP picture; tells whether it could be kept."""
        with self._lock:
            try:
                if not self._make_room(len(content)):
                    return False
                self._write(self._path(key), content)
            except OSError:
                return False
            self._count(len(content))
        return True

    def _path(self, key: str) -> str:
        if not key.isalnum():
            raise ValueError(f"{key!r} is not a key")
        return os.path.join(self._folder, key + _SUFFIX)

    def _count(self, size: int) -> None:
        self._bytes += size
        self._written = (self._written or 0) + size

    def _make_room(self, size: int) -> bool:
        """Evict until `size` more bytes fit; False where they never will."""
        if self._bytes + size <= self._max_bytes and self._is_up_to_date():
            return True
        kept = self._list()
        self._bytes, self._written = sum(each.size for each in kept), 0
        if self._bytes + size > self._max_bytes:
            goal = self._max_bytes - self._max_bytes // _EVICTED - size
            self._evict(sorted(kept), max(0, goal))
        return self._bytes + size <= self._max_bytes

    def _is_up_to_date(self) -> bool:
        return self._written is not None and self._written <= self._max_bytes // _DRIFT

    def _evict(self, kept: list[_Kept], goal: int) -> None:
        for each in kept:
            if self._bytes <= goal:
                return
            with suppress(OSError):
                with suppress(FileNotFoundError):  # another process was faster
                    os.unlink(each.path)
                self._bytes -= each.size

    def _list(self) -> list[_Kept]:
        """Every file of the cache; what a process left unfinished is deleted."""
        kept = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.endswith((_SUFFIX, _UNFINISHED)):
                    continue
                with suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    if (
                        entry.name.endswith(_UNFINISHED)
                        and time.time() - state.st_mtime > _ABANDONED
                    ):
                        os.unlink(entry.path)
                    else:
                        kept.append(_Kept(state.st_mtime_ns, state.st_size, entry.path))
        return kept

    def _write(self, path: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(_UNFINISHED, dir=self._folder)
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.replace(unfinished, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished)
            raise


def _is_whole(content: bytes) -> bool:
    """Whether a WebP file is as long as its header says."""
    return content[:4] == b"RIFF" and int.from_bytes(content[4:8], "little") + 8 == len(content)
