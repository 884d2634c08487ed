"""What is particular to SQLite, besides its full-text search in `fts5`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Table

from searchengine.errors import IndexFolderError

BUSY_SECONDS = 10.0

_ADVICE = {
    "is full": "free some disk space and run the same command again",
    "locked": "another process is writing to it; run the same command again in a moment",
    "readonly": "make the folder and the files in it writable",
    "unable to open": "check that the folder may be read and written",
}
# An embedding whose model is gone was dropped with it, not because of its image: of that a store
# that holds the embeddings of another model is not to be told.
_DROPPED = (
    "CREATE TRIGGER embedding_dropped AFTER DELETE ON embeddings"
    " WHEN EXISTS (SELECT 1 FROM stores) AND EXISTS (SELECT 1 FROM models WHERE id = old.model_id)"
    " BEGIN INSERT INTO dropped (image_id) VALUES (old.image_id); END"
)


class File:
    """A database file; with `new`, one that may not be there yet."""

    def __init__(self, path: Path, *, new: bool = False) -> None:
        self._path = path
        self.place = str(path.parent)
        self.how_to_make = f"make it one with `searchengine index FOLDER --index {path.parent}`"
        self.engine = _connect(path, "mode=rwc" if new else _mode_of(path))

    def is_there(self) -> bool:
        """Whether there is such a file."""
        return self._path.is_file()

    @contextmanager
    def begin(self, *, writes: bool) -> Iterator[Connection]:
        """A transaction: a reader sees one state, a writer is the only one."""
        with self.engine.execution_options(writes=writes).begin() as db:
            yield db

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Hold a lock beside the database; False at once where another process does.

        Raises:
            IndexFolderError: the folder cannot be written.
        """
        beside = self._path.with_name(f"{what}.lock")
        try:
            # A database of its own, empty for ever: its lock keeps nobody from the catalog.
            db = sqlite3.connect(beside, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise IndexFolderError(_explain(beside, str(error))) from error
        with closing(db):
            try:
                db.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise IndexFolderError(_explain(beside, str(error))) from error
                yield False
                return
            yield True

    def explain(self, error: BaseException) -> str:
        """Make a line of what SQLite says: what, where, and what to do next."""
        return _explain(self._path, str(error))


def _explain(path: Path, reason: str) -> str:
    cure = (
        f"try `searchengine check --repair --index {path.parent}`, else delete it and index again"
    )
    return f"{path}: {reason}; " + next((_ADVICE[key] for key in _ADVICE if key in reason), cure)


def _mode_of(path: Path) -> str:
    """How to open an existing database: read-only where nothing can be written."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    # In a read-only folder SQLite cannot make the files that WAL needs; without a WAL file there
    # is no writer, and the database may be read as it is.
    return "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def _connect(path: Path, mode: str) -> sa.Engine:
    """Connect with explicit transactions, durable commits, and readers beside one writer."""

    def open_file() -> sqlite3.Connection:
        # isolation_level None: SQLAlchemy's documented way to take BEGIN out of sqlite3's hands.
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        if mode == "mode=rwc" and db.execute("SELECT * FROM sqlite_master").fetchone() is None:
            db.execute("PRAGMA page_size=16384")  # at 4 KiB one vector would take a whole page
            db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        return db

    engine = sa.create_engine("sqlite://", creator=open_file, poolclass=sa.QueuePool)

    @sa.event.listens_for(engine, "begin")
    def begin(db: Connection) -> None:
        writes = db.get_execution_options().get("writes")
        db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def create(db: Connection) -> None:
    """Make what is not in the schema's tables."""
    db.exec_driver_sql(_DROPPED)


def insert(db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows that have the same columns."""
    if rows:
        db.execute(sa.insert(table), rows)


def insert_numbered(
    db: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> Sequence[int]:
    """Insert many rows, and return the ids that they get."""
    if not rows:
        return []
    query = sa.insert(table).returning(table.c.id, sort_by_parameter_order=True)
    return db.execute(query, rows).scalars().all()


def problems(db: Connection) -> list[str]:
    """What SQLite finds damaged: pages, indexes, references to missing rows."""
    pages = db.exec_driver_sql("PRAGMA integrity_check").scalars().all()
    orphans = db.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [
        *(f"catalog: {line}" for line in pages if line != "ok"),
        *(f"catalog: row {r[1]} of {r[0]} refers to a missing row of {r[2]}" for r in orphans),
    ]


def mend(db: Connection) -> int:
    """Make every index anew, remove rows that refer to missing ones; returns how many."""
    db.exec_driver_sql("REINDEX")
    orphans = db.exec_driver_sql("PRAGMA foreign_key_check").all()
    for table, rowid, *_ in orphans:
        db.exec_driver_sql(f'DELETE FROM "{table}" WHERE rowid = ?', (rowid,))
    return len(orphans)
