"""A folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from searchengine.errors import ExchangeError
from searchengine.vectors import sync_folder


@contextlib.contextmanager
def appearing(destination: Path) -> Iterator[Path]:
    """A temporary sibling that becomes `destination` when the block succeeds, else vanishes.

    Raises:
        ExchangeError: the destination holds something, or cannot be written.
    """
    destination = Path(os.path.abspath(destination))
    partial = destination.with_name(f".{destination.name}-{secrets.token_hex(4)}")
    try:
        if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
            raise ExchangeError(f"{destination} is not empty; name a new folder")
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        yield partial
        _sync(partial)
        if destination.exists():
            destination.rmdir()  # it is empty; only POSIX would rename over it
        partial.rename(destination)
        sync_folder(destination.parent)
    except OSError as error:
        raise ExchangeError(
            f"cannot write {error.filename or destination}: {error.strerror or error}; "
            "free some space there, or name another folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Have everything on disk before the folder gets its name."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    sync_folder(folder)
