"""The database of a catalog: created, opened, brought up to date; every transaction begins here."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from searchengine.catalog import words
from searchengine.catalog.databases import Database, database, dialect
from searchengine.catalog.migrations import MIGRATIONS
from searchengine.catalog.reader import Reader
from searchengine.catalog.schema import metadata, settings
from searchengine.catalog.writer import Writer
from searchengine.errors import IndexFolderError
from searchengine.types import EncoderSpec


class Catalog:
    """The database of an index: a file, or one on a PostgreSQL server, named by its URL.

    Safe to share between threads.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        weakref.finalize(self, database.engine.dispose)  # where nobody closes it

    @classmethod
    def create(cls, place: Path | str, spec: EncoderSpec, values: Mapping[str, str]) -> Catalog:
        """Make a new catalog for the vectors of an encoder, with these settings.

        Of a server's database the tables are made, not itself.

        Raises:
            IndexFolderError: it has tables already, or cannot be written.
        """
        catalog = cls(database(place, new=True))
        schema = {"schema": str(1 + len(MIGRATIONS))}
        with catalog._transaction(writes=True) as db:
            if sa.inspect(db).get_table_names():
                raise IndexFolderError(
                    f"{catalog.place} already holds an index or another database"
                )
            metadata.create_all(db)
            words.create(db)
            dialect(db).create(db)
            model = {"model": str(Writer(db).add_model(spec))}
            known = {**schema, **model, **values}
            db.execute(sa.insert(settings), [{"key": k, "value": v} for k, v in known.items()])
        return catalog

    @classmethod
    def exists(cls, place: Path | str) -> bool:
        """Tell whether there is a database with tables; a creation that was cut short left none."""
        catalog = cls(database(place))
        try:
            if not catalog._database.is_there():
                return False
            with catalog._transaction(writes=False) as db:
                return bool(sa.inspect(db).get_table_names())
        finally:
            catalog.close()

    @classmethod
    def open(cls, place: Path | str) -> Catalog:
        """Open a catalog, and bring an older schema up to date; never creates a file.

        Raises:
            IndexFolderError: there is none, it is no catalog, or a newer version made it.
        """
        newest = 1 + len(MIGRATIONS)
        catalog = cls(database(place))
        if not catalog._database.is_there():
            raise catalog._no_index()
        with catalog._transaction(writes=False) as db:
            version = catalog._version(db)
        if version > newest:
            raise IndexFolderError(
                f"{catalog.place} was written by a newer searchengine (schema {version}, "
                f"known here: {newest}); upgrade this installation"
            )
        if version < newest:
            with catalog._transaction(writes=True) as db:
                for migrate in MIGRATIONS[catalog._version(db) - 1 :]:
                    migrate(db)
                words.refresh(db)
                Writer(db).set("schema", str(newest))
        return catalog

    @property
    def place(self) -> str:
        """What people know it by: its folder, or its server and database."""
        return self._database.place

    def close(self) -> None:
        """Close every connection."""
        self._database.engine.dispose()

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
    def alone(self, what: str) -> Iterator[bool]:
        """Do something that one process may do at a time; False at once if another one does.

        It ends with the process, however that ends.
        """
        with ExitStack() as held:
            with self._explained():
                mine = held.enter_context(self._database.alone(what))
            yield mine

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        with self._explained(), self._database.begin(writes=writes) as db:
            yield db

    @contextmanager
    def _explained(self) -> Iterator[None]:
        driver = self._database.engine.dialect.loaded_dbapi
        try:
            yield
        except DBAPIError as error:
            raise IndexFolderError(self._database.explain(error.orig or error)) from error
        except driver.Error as error:  # of what goes past SQLAlchemy
            raise IndexFolderError(self._database.explain(error)) from error

    def _no_index(self) -> IndexFolderError:
        return IndexFolderError(f"{self.place} is not an index; {self._database.how_to_make}")

    def _version(self, db: Connection) -> int:
        known = Reader(db).settings() if sa.inspect(db).has_table("settings") else {}
        if "schema" not in known:
            raise self._no_index()
        return int(known["schema"])
