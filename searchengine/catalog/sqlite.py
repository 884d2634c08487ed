"""What is particular to SQLite, besides the PRAGMAs of `Reader.problems` and `Writer.mend`."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

BUSY_SECONDS = 10.0
CHUNK = 900  # values in one IN list; SQLite before 3.32 takes 999 variables

_ADVICE = {
    "is full": "free some disk space and run the same command again",
    "locked": "another process is writing to it; run the same command again in a moment",
    "readonly": "make the folder and the files in it writable",
    "unable to open": "check that the folder may be read and written",
}


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Cut values, or an array of numbers, into lists that one statement takes."""
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


def listed(ids: Iterable[int]) -> sa.Select[tuple[int]]:
    """Any number of ids as one value of a statement, to be used with `in_`."""
    values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    each = sa.func.json_each(json.dumps(values)).table_valued("value")
    return sa.select(each.c.value)


def numbers(db: Connection, query: sa.Select[tuple[int]]) -> NDArray[np.int64]:
    """The integers that a query of one column finds, ascending, (n,) int64."""
    # As one text a million of them take 0.1 s, as rows 1 s.
    (found,) = query.subquery().c
    every = sa.func.aggregate_strings(sa.cast(found, sa.Text), ",")
    listed = db.execute(sa.select(every)).scalar_one()
    return np.sort(np.fromstring(listed, np.int64, sep=",")) if listed else np.empty(0, np.int64)


def explain(path: Path, reason: str) -> str:
    """Make a line of what SQLite says: what, where, and what to do next."""
    cure = (
        f"try `searchengine check --repair --index {path.parent}`, else delete it and index again"
    )
    return f"{path}: {reason}; " + next((_ADVICE[key] for key in _ADVICE if key in reason), cure)


def mode_of(path: Path) -> str:
    """How to open an existing database: read-only where nothing can be written."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    # In a read-only folder SQLite cannot make the files that WAL needs; without a WAL file there
    # is no writer, and the database may be read as it is.
    return "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def connect(path: Path, mode: str) -> sa.Engine:
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
