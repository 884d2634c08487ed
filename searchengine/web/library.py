"""The indexes that are served, each opened when it is first needed."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from searchengine.engine import SearchEngine
from searchengine.errors import SearchEngineError
from searchengine.index import Places
from searchengine.web.problems import Problem

log = logging.getLogger("searchengine.web")

_Identity = tuple[int, int]


class _Opened(NamedTuple):
    engine: SearchEngine
    identity: _Identity


class Library:
    """Engines by the names of their indexes; the first one is the default. Safe between threads.

    An index that was made anew, or changed to another model, is opened again.
    """

    def __init__(self, folders: Mapping[str, Path], device: str = "auto"):
        self._folders = dict(folders)
        self._device = device
        self._opened: dict[str, _Opened] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The indexes' names, the default one first."""
        return tuple(self._folders)

    def name(self, name: str | None) -> str:
        """The name of an index, or of the default one.

        Raises:
            Problem: 404, there is none with that name.
        """
        if name is None:
            return self.names[0]
        if name not in self._folders:
            raise Problem(404, f"no index is called {name!r} here")
        return name

    def engine(self, name: str | None = None) -> SearchEngine:
        """The engine of an index.

        Raises:
            Problem: 404, there is none with that name.
            IndexFolderError: it cannot be read.
        """
        name = self.name(name)
        folder = self._folders[name]
        with self._lock:
            known = self._opened.get(name)
            if known is None or not _is_current(known, folder):
                # Whoever still uses the one before keeps it; its connections end with it.
                engine = SearchEngine.open(folder, device=self._device, create=False)
                known = self._opened[name] = _Opened(engine, _identity(folder))
            return known.engine

    def warm(self) -> None:
        """Load what the first search would wait for, of every index; whatever fails is logged."""
        for name in self.names:
            try:
                _warm(self.engine(name))
            except SearchEngineError as error:
                log.warning("%s: %s", name, error)

    def close(self) -> None:
        """Close every index."""
        with self._lock:
            for opened in self._opened.values():
                opened.engine.close()
            self._opened.clear()


def _warm(engine: SearchEngine) -> None:
    engine.catalog.preload()
    encoder = engine.encoder("cpu" if engine.device == "auto" else engine.device)
    encoder.encode_texts(["a photograph"])  # a text that is known would not load the encoder
    engine.search("a photograph", 1)


def _identity(folder: Path) -> _Identity:
    state = os.stat(Places.file(folder))
    return state.st_dev, state.st_ino


def _is_current(opened: _Opened, folder: Path) -> bool:
    try:
        same_file = _identity(folder) == opened.identity
    except OSError:
        return False  # opening it says why
    return same_file and opened.engine.catalog.is_current


def unique_names(folders: Sequence[Path]) -> dict[str, Path]:
    """Folders by their last part, numbered where several are called the same: `a`, `a-2`."""
    named: dict[str, Path] = {}
    for folder in folders:
        plain = folder.expanduser().absolute().name.encode("utf-8", "replace").decode() or "index"
        name, number = plain, 1
        while name in named:
            number += 1
            name = f"{plain}-{number}"
        named[name] = folder
    return named


def _library(request: Request) -> Library:
    library: Library = request.app.state.library
    return library


Served = Annotated[Library, Depends(_library)]
"""The library, as a route asks for it."""
