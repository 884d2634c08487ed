"""The databases that hold a catalog, behind one set of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from searchengine.catalog import postgresql, sqlite


class Database(Protocol):
    """Where a catalog is: `sqlite.File` or `postgresql.Server`."""

    place: str
    """What people know it by; without a password."""
    how_to_make: str
    """What to do where there is no catalog."""
    engine: sa.Engine

    def is_there(self) -> bool:
        """Whether there may be tables."""
        ...

    def begin(self, *, writes: bool) -> AbstractContextManager[Connection]:
        """A transaction: a reader sees one state, a writer is the only one."""
        ...

    def alone(self, what: str) -> AbstractContextManager[bool]:
        """Hold a lock of this name; False at once where another process does."""
        ...

    def explain(self, error: BaseException) -> str:
        """Make a line of what the database says: where, what, and what to do next."""
        ...


class Dialect(Protocol):
    """What each database does in its own way: the modules `sqlite` and `postgresql`."""

    def create(self, db: Connection) -> None:
        """Make what is not in the schema's tables."""
        ...

    def insert(self, db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows that have the same columns."""
        ...

    def insert_numbered(
        self, db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[int]:
        """Insert many rows, and return the ids that they get."""
        ...

    def problems(self, db: Connection) -> list[str]:
        """What the database finds damaged, a line each."""
        ...

    def mend(self, db: Connection) -> int:
        """Make every index anew, remove rows that refer to missing ones; returns how many."""
        ...


def database(place: Path | str, *, new: bool = False) -> Database:
    """The database in a file, or at an address such as `postgresql+psycopg://HOST/DATABASE`.

    Raises:
        IndexFolderError: the address is none.
    """
    if isinstance(place, str) and "://" in place:
        return postgresql.Server(place)
    return sqlite.File(Path(place), new=new)


def dialect(db: Connection) -> Dialect:
    """How the database of a transaction does what each does in its own way."""
    return postgresql if db.dialect.name == "postgresql" else sqlite
