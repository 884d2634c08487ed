"""The engine as a Python program uses it: one object over an index and its encoder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from searchengine import encoders, query
from searchengine.errors import IndexModelError
from searchengine.index import Index
from searchengine.ingest import Progress, Report, Selection, ingest
from searchengine.types import Encoder, Hit

DEFAULT_MODEL = "builtin"


class SearchEngine:
    """Index picture folders and search them; made by `open`, and a context manager.

    >>> engine = SearchEngine.open("indexes/holiday")
    >>> engine.index("~/Photos")
    >>> for hit in engine.search("a red boat at dusk", k=5):
    ...     print(f"{hit.score:.3f}", hit.path)
    """

    def __init__(self, index: Index, device: str = "auto"):
        self.catalog = index
        self.device = device
        self._encoders: dict[str, Encoder] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls, folder: str | Path, *, model: str | None = None, device: str = "auto", create: bool = True
    ) -> SearchEngine:
        """Open the index in `folder`, or create it for `model` (default: the built-in one).

        An index remembers its model. Raises `IndexModelError` when `model` is another one,
        `IndexFolderError` when there is no index and `create` is false, `ModelError` when the
        model is not on this machine.
        """
        folder = Path(folder).expanduser()
        if not create or Index.exists(folder):
            return cls(Index.open(folder, encoders.find(model).spec if model else None), device)
        return cls(Index.create(folder, encoders.find(model or DEFAULT_MODEL).spec), device)

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Whether there is an index in `folder`."""
        return Index.exists(folder)

    def close(self) -> None:
        """Close the index."""
        self.catalog.close()

    def __enter__(self) -> SearchEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encoder(self, device: str = "cpu") -> Encoder:
        """The index's encoder on a device, loaded once.

        Queries use the CPU by default: a text takes a few milliseconds there, importing torch
        seconds. Raises `ModelError`, or `IndexModelError` when the model folder changed since.
        """
        with self._lock:
            if device not in self._encoders:
                folder, made_by = encoders.find(self.catalog.spec.name), self.catalog.spec
                if folder.spec.fingerprint != made_by.fingerprint:
                    raise IndexModelError(
                        f"the model {made_by.name} has changed since {self.catalog.folder} was made; "
                        f"embed its images anew: searchengine index --re-embed --index "
                        f"{self.catalog.folder} --model {made_by.name}"
                    )
                self._encoders[device] = encoders.load(folder, device)
            return self._encoders[device]

    def index(
        self,
        *folders: str | Path,
        selection: Selection = Selection(),
        progress: Progress = lambda done, total: None,
        stop: threading.Event | None = None,
    ) -> Report:
        """Add picture folders, or bring them up to date; see `searchengine.ingest.ingest`."""
        return ingest(
            self.catalog, lambda: self.encoder(self.device), folders, selection, progress, stop
        )

    def refresh(self, **options: Any) -> Report:
        """Bring every folder of the index up to date."""
        return self.index(*self.catalog.roots(), **options)

    def search(self, text: str, k: int = 10) -> list[Hit]:
        """The k images nearest to a text, best first."""
        return self.search_many([text], k)[0]

    def search_many(self, texts: Sequence[str], k: int = 10) -> list[list[Hit]]:
        """The k nearest images for each of many texts."""
        return query.search_texts(self.catalog, self.encoder(), texts, k)

    def similar(self, example: str | Path | bytes | int, k: int = 10) -> list[Hit]:
        """The k images nearest to an example: a path, a file's content, or an image's id."""
        if isinstance(example, int):
            return query.search_indexed(self.catalog, example, k)
        if self.catalog.count == 0:
            return []
        return query.search_example(self.catalog, self.encoder(), example, k)
