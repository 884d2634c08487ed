"""Open an indexed file, and no other: whatever its name has come to mean since it was indexed."""

from __future__ import annotations

import os
import stat
from typing import BinaryIO, Final

from searchengine.errors import ImageError
from searchengine.scale.cluster.addresses import SourceError
from searchengine.scale.pictures import open_copy
from searchengine.types import ImageFile
from searchengine.web.folders import has_entries
from searchengine.web.problems import Problem

# Of a pipe that took the place of a picture, O_NONBLOCK opens without waiting for a writer.
_FILE: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
)
_FOLDER: Final = sum(
    getattr(os, name, 0) for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_PATH")
)  # O_PATH: a folder need not be listable to lead on
_FROM_FOLDER: Final = os.open in os.supports_dir_fd


class _Swapped(Problem):
    """The name is no longer that of a picture."""

    is_refusal = True


class _Elsewhere(_Swapped):
    """It leads out of its folder."""


class _NotRegularError(OSError):
    """It is a pipe, a device, a folder."""


def open_inside(file: ImageFile) -> BinaryIO:
    """Open a picture: a regular file whose real path lies below the real path of its root.

    The path is resolved first, and then opened name by name without following any link: what is
    swapped in between leads nowhere. Of a picture behind an address or inside of a shard, a copy
    is opened.

    Raises:
        Problem: 404, with the reason; 503, the store behind an address fails.
    """
    try:
        return open_copy(file, _open_below) or _open_below(file)
    except ImageError as error:
        raise Problem(404, f"{_shown(file)} cannot be opened: {error}") from error
    except SourceError as error:
        raise Problem(503, _text(str(error))) from error


def _open_below(file: ImageFile) -> BinaryIO:
    try:
        root, path = os.path.realpath(file.root), os.path.realpath(file.absolute)
        inside = os.path.join(root, "")
        if not path.startswith(inside):
            raise _Elsewhere(404, f"{_shown(file)} is a link that leads out of {_text(file.root)}")
        return _opened(_descend(root, path[len(inside) :]))
    except (OSError, ValueError) as error:
        raise _gone(file, error) from error


def open_indexed(file: ImageFile) -> BinaryIO:
    """Open a file as `open_inside` does, or where a link leads elsewhere, to what was indexed.

    A picture that is the same to the nanosecond is known to whoever may ask, so that folders which
    are linked into others show theirs.

    Raises:
        Problem: 404, with the reason.
    """
    try:
        return open_inside(file)
    except _Elsewhere as elsewhere:
        try:
            path = os.path.realpath(file.absolute)
            _require_regular(os.stat(path))
            opened = _opened(os.open(path, _FILE))
        except (OSError, ValueError) as error:
            raise _gone(file, error) from error
        if state_of(opened) != (file.size, file.mtime_ns):
            opened.close()
            raise elsewhere
        return opened


def state_of(opened: BinaryIO) -> tuple[int, int]:
    """The size in bytes of an open file, and its time of modification in nanoseconds."""
    state = os.fstat(opened.fileno())
    return state.st_size, state.st_mtime_ns


def _descend(root: str, path: str) -> int:
    """Open `path`, relative to `root`, both without links in them."""
    if not _FROM_FOLDER:
        return os.open(os.path.join(root, path), _FILE)
    *folders, name = path.split(os.sep)
    above = os.open(root, _FOLDER)
    try:
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=above)
            os.close(above)
            above = below
        # To open a device may do something; the file itself is looked at again when it is open.
        _require_regular(os.stat(name, dir_fd=above, follow_symlinks=False))
        return os.open(name, _FILE, dir_fd=above)
    finally:
        os.close(above)


def _opened(descriptor: int) -> BinaryIO:
    try:
        _require_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _require_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise _NotRegularError(None, "not a regular file any more")


def _gone(file: ImageFile, error: Exception) -> Problem:
    """Why a file cannot be opened; most often, its drive is not there."""
    root = _text(file.root)
    if not os.path.isdir(file.root):
        return Problem(404, f"the folder {root} is not there; is its drive mounted?")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if has_entries(file.root) is False:
            return Problem(404, f"the folder {root} is empty; is its drive mounted?")
        return Problem(404, f"{_shown(file)} is not there any more; refresh the index")
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    kind = _Swapped if isinstance(error, _NotRegularError) else Problem
    return kind(404, f"{_shown(file)} cannot be opened: {reason.lower()}")


def _shown(file: ImageFile) -> str:
    return _text(file.absolute)


def _text(path: str) -> str:
    """A path in which bytes that are not UTF-8, and control characters, do no harm."""
    return "".join(
        each if each.isprintable() else "\ufffd"
        for each in path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    )
