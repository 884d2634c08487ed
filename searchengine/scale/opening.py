"""Opening an index wherever its catalog and its vectors are."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from searchengine.catalog import Catalog
from searchengine.errors import IndexFolderError, SearchEngineError
from searchengine.index import Index, OpenStore, Places
from searchengine.scale.stores import check_address, open_store
from searchengine.types import EncoderSpec

EMBEDDED: Final = "faiss"
"""In the place of a store's address: the snapshot in the index folder."""

_BESIDE_CATALOG: Final = "pgvector"
"""The store that is a table in the database of the catalog."""


def open_index(folder: str | Path, spec: EncoderSpec | None = None) -> Index:
    """Open an index; see `Index.open`. Its vectors may be in the store that its folder names."""
    return Index.open(folder, spec, _opener(Places.of(Path(folder))))


def create_index(folder: str | Path, spec: EncoderSpec) -> Index:
    """Make an empty index; see `Index.create`. Its folder may name a catalog and a store."""
    return Index.create(folder, spec, _opener(Places.of(Path(folder))))


def place(folder: str | Path, catalog: str | None = None, store: str | None = None) -> None:
    """Have a folder remember where the index in it keeps its catalog, its vectors, or both.

    What cannot be reached is not remembered; of a new index, the store is reached when it is used.

    Args:
        folder: of an index, or of one that is still to be made.
        catalog: URL of a database; where that holds an index, the folder becomes another door to
            it, as on another machine.
        store: address of a vector store; `faiss` is the snapshot in the folder.

    Raises:
        IndexFolderError: the index has another catalog, there is none at the URL, or the folder
            cannot be written.
        StoreError: there is no such kind of store, or it cannot be used.
    """
    folder = Path(folder)
    known = Places.of(folder)
    if catalog is not None and catalog != known.catalog:
        _check_catalog(folder, catalog)
    address = known.store if store is None else _address(store)
    places = Places(catalog or known.catalog, address)
    if address == _BESIDE_CATALOG and not isinstance(places.catalog, str):
        raise IndexFolderError(
            "the store pgvector is in the database of the catalog, and that of this index is a "
            "file; name a database: --store pgvector:postgresql+psycopg://USER@HOST/DATABASE"
        )
    if places == known:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        places.remember(folder)
        if Index.exists(folder):
            _check_store(folder, known)
    except OSError as error:
        raise IndexFolderError(f"cannot write to {folder}: {error.strerror}") from error


def _check_catalog(folder: Path, url: str) -> None:
    if Index.exists(folder):
        raise IndexFolderError(
            f"the index in {folder} has its catalog elsewhere already; make another one with "
            f"--index NEW --catalog URL, and then: searchengine merge {folder} --index NEW"
        )
    if "://" not in url:
        raise IndexFolderError(
            f"{url} is not the URL of a database; write postgresql+psycopg://USER@HOST/DATABASE"
        )
    Catalog.exists(url)  # raises where it cannot be reached


def _check_store(folder: Path, before: Places) -> None:
    try:
        with open_index(folder) as index:
            index.preload()
    except SearchEngineError:
        before.remember(folder)
        raise


def _address(store: str) -> str | None:
    return None if store == EMBEDDED else check_address(store)


def _opener(places: Places) -> OpenStore | None:
    if places.store is None:
        return None
    if places.store == _BESIDE_CATALOG:
        return partial(open_store, f"{_BESIDE_CATALOG}:{places.catalog}")
    return partial(open_store, places.store)
