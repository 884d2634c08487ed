"""The engine as a Python program uses it: one object over an index and its encoder."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import platformdirs

from searchengine import encoders
from searchengine.catalog.paths import is_url
from searchengine.encoders.reference import Reference
from searchengine.errors import IndexModelError
from searchengine.filters import Filters
from searchengine.index import Index
from searchengine.query import (
    Answerer,
    Feedback,
    Judge,
    Marked,
    Model,
    Part,
    Request,
    SearchOptions,
    TextCache,
)
from searchengine.scale.opening import create_index, open_index
from searchengine.types import Encoder, Hit, Progress

if TYPE_CHECKING:  # reading pictures is imported when pictures are read: a text query is faster
    from searchengine.ingest import Report, Selection, Workers

DEFAULT_MODEL = "builtin"

Example: TypeAlias = str | Path | bytes | int
"""A picture's path, a picture's bytes, or the id of an indexed image."""


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
        cls,
        folder: str | Path,
        *,
        model: str | None = None,
        device: str = "auto",
        create: bool = True,
    ) -> SearchEngine:
        """Open the index in `folder`, or create it for `model` (default: the built-in one).

        An index remembers its model. Raises `IndexModelError` when `model` is another one,
        `IndexFolderError` when there is no index and `create` is false, `ModelError` when the
        model is not on this machine.
        """
        folder = Path(folder).expanduser()
        if not create or Index.exists(folder):
            return cls(open_index(folder, encoders.find(model).spec if model else None), device)
        return cls(create_index(folder, encoders.find(model or DEFAULT_MODEL).spec), device)

    @staticmethod
    def exists(folder: str | Path) -> bool:
        """Whether there is an index in `folder`."""
        return Index.exists(folder)

    @classmethod
    def re_embed(
        cls,
        folder: str | Path,
        model: str,
        device: str = "auto",
        progress: Progress = lambda done, total: None,
        stop: threading.Event | None = None,
        workers: Workers | None = None,
    ) -> bool:
        """Change the index in `folder` to another model; see `searchengine.reembedding.re_embed`.

        Does nothing when that is its model already. `workers`, by default this machine, embed with
        that model. An engine that is open on the index meanwhile answers with the old model until
        the end, and then raises `IndexModelError`.
        """
        from searchengine.ingest import LocalWorkers
        from searchengine.reembedding import re_embed

        found = encoders.find(model)
        with open_index(Path(folder).expanduser()) as index:
            if index.spec.fingerprint == found.spec.fingerprint:
                return True
            if workers is None:
                encoder = encoders.load(found, device)  # one that cannot be loaded changes nothing
                workers = LocalWorkers(lambda: encoder)
            return re_embed(index, found.spec, workers, progress, stop)

    def close(self) -> None:
        """Close the index."""
        self.catalog.close()

    def __enter__(self) -> SearchEngine:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def encoder(self, device: str) -> Encoder:
        """The index's encoder on a device, loaded once.

        Raises `ModelError`, or `IndexModelError` when the model folder changed since.
        """
        with self._lock:
            if device not in self._encoders:
                self._encoders[device] = encoders.load(self.model_folder(), device)
            return self._encoders[device]

    def model_folder(self) -> encoders.ModelFolder:
        """The folder of the index's model.

        Raises `ModelError`, or `IndexModelError` when the model folder changed since.
        """
        folder, made_by = encoders.find(self.catalog.spec.name), self.catalog.spec
        if folder.spec.fingerprint != made_by.fingerprint:
            raise IndexModelError(
                f"{made_by.name} has changed since {self.catalog.folder} was made with it; "
                f"embed its images anew: searchengine index --re-embed "
                f"--index {self.catalog.folder} --model {made_by.name}"
            )
        return folder

    def index(
        self,
        *folders: str | Path,
        selection: Selection | None = None,
        progress: Progress = lambda done, total: None,
        stop: threading.Event | None = None,
    ) -> Report:
        """Add picture folders, or bring them up to date; see `searchengine.ingest.ingest`.

        What `selection` excludes, or that hidden files are wanted, is remembered of each folder.
        """
        from searchengine.ingest import ingest

        return ingest(
            self.catalog, partial(self.encoder, self.device), folders, selection, progress, stop
        )

    def _query_encoder(self) -> Encoder:
        # A text takes a few milliseconds on the CPU; importing torch for a GPU takes seconds.
        return self.encoder("cpu" if self.device == "auto" else self.device)

    def refresh(self, **options: Any) -> Report:
        """Bring every folder of the index up to date; what is behind an address, a cluster does.

        Raises `ImageError` where all of them are behind addresses.
        """
        roots = self.catalog.roots()
        here = [root for root in roots if not is_url(root)]
        return self.index(*(here or roots), **options)

    def search(
        self,
        text: str | None = None,
        k: int = 10,
        *,
        plus: Sequence[Part] = (),
        minus: Sequence[Part] = (),
        filters: Filters = Filters(),  # noqa: B008
        options: SearchOptions = SearchOptions(),  # noqa: B008
        **marked: Unpack[Marked],
    ) -> list[Hit]:
        """The k images that show best what a text says, or a mix of texts and pictures.

        What stands in "quotation marks" must be in a file name, a folder or a caption, literally;
        "a street without cars" asks for a street, and counts cars against it. `more` and `less`
        are the ids of hits that were good and bad: what is like them comes earlier and later.
        """
        request = Request(tuple(plus), tuple(minus), filters, Feedback.of(**marked))
        if text is not None:
            request = request.with_text(text, raw=options.raw)
        return self._answer([request], k, options)[0]

    def search_many(
        self,
        texts: Sequence[str],
        k: int = 10,
        *,
        filters: Filters = Filters(),  # noqa: B008
        options: SearchOptions = SearchOptions(),  # noqa: B008
    ) -> list[list[Hit]]:
        """The hits of `search` for each of many texts, which are encoded together."""
        asked = Request(filters=filters)
        requests = [asked.with_text(text, raw=options.raw) for text in texts]
        return self._answer(requests, k, options)

    def similar(
        self,
        examples: Example | Sequence[Example],
        k: int = 10,
        *,
        minus: Sequence[Part] = (),
        filters: Filters = Filters(),  # noqa: B008
        options: SearchOptions = SearchOptions(),  # noqa: B008
    ) -> list[Hit]:
        """The k images nearest to examples: paths, files' contents, or images' ids.

        An indexed image that was given by its id is no answer.
        """
        if isinstance(examples, str | Path | bytes | int):
            examples = [examples]
        paths = [Path(each) if isinstance(each, str) else each for each in examples]
        request = Request(tuple(map(Part, paths)), tuple(minus), filters)
        return self._answer([request], k, options)[0]

    def _answer(
        self, requests: Sequence[Request], k: int, options: SearchOptions
    ) -> list[list[Hit]]:
        return self._answerer.answer(requests, k, options)

    @cached_property
    def _answerer(self) -> Answerer:
        folder = self.model_folder()
        reference = Reference.open(folder)
        closed = bool(folder.card.get("closed_vocabulary"))
        judge = Judge(reference, closed) if reference else None
        return Answerer(self.catalog, Model(self._query_encoder, judge), TextCache(_text_cache()))


def _text_cache() -> Path:
    return Path(platformdirs.user_cache_dir("searchengine", appauthor=False)) / "texts.db"
