"""The database file: created, opened, brought up to date; every transaction begins here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from searchengine.catalog import sqlite, words
from searchengine.catalog.migrations import MIGRATIONS
from searchengine.catalog.reader import Reader
from searchengine.catalog.schema import metadata, settings
from searchengine.catalog.writer import Writer
from searchengine.errors import IndexFolderError


class Catalog:
    """The database file of an index. Safe to share between threads."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        self._engine = sqlite.connect(path, mode)

    @classmethod
    def create(cls, path: Path, values: Mapping[str, str]) -> Catalog:
        """Make a new catalog with these settings, in one transaction.

        Raises:
            IndexFolderError: there is a database already, or the file cannot be written.
        """
        catalog = cls(path, "mode=rwc")
        schema = {"schema": str(1 + len(MIGRATIONS))}
        with catalog._transaction(writes=True) as db:
            if sa.inspect(db).get_table_names():
                raise IndexFolderError(f"{path.parent} already holds an index or another database")
            metadata.create_all(db)
            words.create(db)
            rows = [{"key": key, "value": value} for key, value in {**schema, **values}.items()]
            db.execute(sa.insert(settings), rows)
        return catalog

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Tell whether there is a database; a creation that was cut short left none."""
        if not path.is_file():
            return False
        catalog = cls(path, sqlite.mode_of(path))
        try:
            with catalog._transaction(writes=False) as db:
                return bool(sa.inspect(db).get_table_names())
        finally:
            catalog.close()

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Open a catalog, and bring an older schema up to date; never creates a file.

        Raises:
            IndexFolderError: there is none, it is no catalog, or a newer version made it.
        """
        newest = 1 + len(MIGRATIONS)
        if not path.is_file():
            raise _no_index(path)
        catalog = cls(path, sqlite.mode_of(path))
        with catalog._transaction(writes=False) as db:
            version = _version(db, path)
        if version > newest:
            raise IndexFolderError(
                f"{path.parent} was written by a newer searchengine (schema {version}, "
                f"known here: {newest}); upgrade this installation"
            )
        if version < newest:
            with catalog._transaction(writes=True) as db:
                for migrate in MIGRATIONS[_version(db, path) - 1 :]:
                    migrate(db)
                words.refresh(db)
                Writer(db).set("schema", str(newest))
        return catalog

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """See one state of the catalog; never waits for a writer."""
        with self._transaction(writes=False) as db:
            yield Reader(db)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Be the only writer; commits at the end, rolls back on any error."""
        with self._transaction(writes=True) as db:
            yield Writer(db)
            words.refresh(db)

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.execution_options(writes=writes).begin() as db:
                yield db
        except DBAPIError as error:
            raise IndexFolderError(sqlite.explain(self._path, str(error.orig))) from error


def _no_index(path: Path) -> IndexFolderError:
    return IndexFolderError(
        f"{path.parent} is not an index; "
        f"make it one with `searchengine index FOLDER --index {path.parent}`"
    )


def _version(db: Connection, path: Path) -> int:
    known = Reader(db).settings() if sa.inspect(db).has_table("settings") else {}
    if "schema" not in known:
        raise _no_index(path)
    return int(known["schema"])
