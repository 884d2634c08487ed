"""How an older database is brought up to date.

Each step writes tables as they were when its version came: later ones may change the schema.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from searchengine.catalog import words


def _add_staged(db: Connection) -> None:
    db.exec_driver_sql(
        "CREATE TABLE staged (image_id INTEGER NOT NULL, vector BLOB NOT NULL,"
        " PRIMARY KEY (image_id),"
        " FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE)"
    )


def _add_phash(db: Connection) -> None:
    db.exec_driver_sql("ALTER TABLE images ADD COLUMN phash BIGINT")


def _add_words(db: Connection) -> None:
    words.create(db)


def _add_scopes(db: Connection) -> None:
    db.exec_driver_sql("ALTER TABLE roots ADD COLUMN exclude JSON DEFAULT '[]' NOT NULL")
    db.exec_driver_sql("ALTER TABLE roots ADD COLUMN include_hidden BOOLEAN DEFAULT 0 NOT NULL")


MIGRATIONS: list[Callable[[Connection], None]] = [
    _add_staged,
    _add_phash,
    _add_words,
    _add_scopes,
]
"""The first turns schema version 1 into 2, the next 2 into 3, and so on."""
