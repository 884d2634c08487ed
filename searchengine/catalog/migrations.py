"""How an older database is brought up to date.

Each step writes tables as they were when its version came: later ones may change the schema.
Those up to version 6 are SQLite's, as there was no other; later ones must do for every database.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from searchengine.catalog import fts5, sqlite, words
from searchengine.errors import IndexFolderError


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


def _add_models(db: Connection) -> None:
    """Embeddings of several models side by side; what was staged for a change is dropped.

    A change of the model that was under way starts anew. Embeddings are copied once.
    """
    db.exec_driver_sql("ALTER TABLE roots ADD COLUMN stamp TEXT DEFAULT '' NOT NULL")
    for statement in _MODELS:
        db.exec_driver_sql(statement)
    if db.exec_driver_sql("SELECT count(*) FROM models").scalar_one() != 1:
        raise IndexFolderError("the catalog lost the name of its model; index it again")
    for statement in (*_EMBEDDINGS, *_CAPTIONS, *_STORES):
        db.exec_driver_sql(statement)
    fts5.create_triggers(db, "captions")
    sqlite.create(db)


_MODELS = (
    "CREATE TABLE models (id INTEGER NOT NULL, name TEXT NOT NULL, fingerprint TEXT NOT NULL,"
    " dim INTEGER NOT NULL, PRIMARY KEY (id), UNIQUE (fingerprint))",
    "INSERT INTO models SELECT 1, name.value, fingerprint.value, CAST(dim.value AS INTEGER)"
    " FROM settings AS name, settings AS fingerprint, settings AS dim WHERE name.key = 'encoder'"
    " AND fingerprint.key = 'fingerprint' AND dim.key = 'dim'",
    "DELETE FROM settings WHERE key IN ('encoder', 'fingerprint', 'dim', 'staged_fingerprint')",
    "INSERT INTO settings (key, value) VALUES ('model', '1')",
    "DROP TABLE staged",
)
_EMBEDDINGS = (
    "ALTER TABLE embeddings RENAME TO old_embeddings",
    "CREATE TABLE embeddings (seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
    " model_id INTEGER NOT NULL, image_id INTEGER NOT NULL, vector BLOB NOT NULL,"
    " UNIQUE (image_id, model_id),"
    " FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE,"
    " FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE)",
    "INSERT INTO embeddings SELECT seq, 1, image_id, vector FROM old_embeddings ORDER BY seq",
    # No number is used twice, neither those of embeddings that are no longer there.
    "DELETE FROM sqlite_sequence WHERE name = 'embeddings'",
    "INSERT INTO sqlite_sequence SELECT 'embeddings', seq FROM sqlite_sequence"
    " WHERE name = 'old_embeddings'",
    "DROP TABLE old_embeddings",
)
_CAPTIONS = (
    "ALTER TABLE captions RENAME TO old_captions",
    "CREATE TABLE captions (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
    " image_id INTEGER NOT NULL, text TEXT NOT NULL,"
    " FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE)",
    "INSERT INTO captions (image_id, text)"
    " SELECT image_id, text FROM old_captions ORDER BY image_id, rowid",
    "DROP TABLE old_captions",
    "CREATE INDEX ix_captions_image_id ON captions (image_id)",
)
_STORES = (
    "CREATE TABLE stores (name TEXT NOT NULL, stamp TEXT NOT NULL, seq BIGINT NOT NULL,"
    " dropped BIGINT NOT NULL, PRIMARY KEY (name))",
    "CREATE TABLE dropped (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,"
    " image_id BIGINT NOT NULL)",
)

MIGRATIONS: list[Callable[[Connection], None]] = [
    _add_staged,
    _add_phash,
    _add_words,
    _add_scopes,
    _add_models,
]
"""The first turns schema version 1 into 2, the next 2 into 3, and so on."""
