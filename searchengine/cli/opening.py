"""Open a file with the program that the desktop has for it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

from searchengine.errors import SearchEngineError

_PATIENCE: Final = 1.0  # seconds in which an opener that cannot do it has said so


def open_file(path: str) -> None:
    """Open `path` in the system's viewer, which goes on when this process ends.

    Raises `SearchEngineError` when there is no viewer, or it gives up at once.
    """
    if sys.platform == "win32":
        try:
            os.startfile(path)
        except OSError as error:
            raise SearchEngineError(f"cannot open {path}: {error.strerror}") from error
    else:
        _start("open" if sys.platform == "darwin" else "xdg-open", os.path.abspath(path))


def _start(opener: str, path: str) -> None:
    try:
        process = subprocess.Popen(
            [opener, path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C and a closed terminal are not for the viewer
        )
    except OSError as error:
        raise SearchEngineError(
            f"cannot open {path}: {opener} is not there ({error.strerror}); open it by hand"
        ) from error
    try:
        failed = process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.returncode = failed = 0  # it is the viewer itself: leave it, without a warning
    if failed:
        raise SearchEngineError(
            f"cannot open {path}: {opener} ended with {failed}; open it by hand"
        )
