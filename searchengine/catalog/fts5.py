"""The words of images in SQLite: a table of its full-text search, FTS5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from searchengine.catalog.terms import Quotation, Wanted, Words

# What arrives here is cut into words and folded already; so a character that this SQLite does not
# know to be a letter must not cut it again.
_TABLE = (
    "CREATE VIRTUAL TABLE words USING fts5(name, folder, caption,"
    " tokenize=\"unicode61 remove_diacritics 2 categories 'L* N* M* C* S* P*'\")"
)
_CHANGES = {
    "image_added": ("INSERT", "images", "new.id"),
    "image_moved": ("UPDATE OF path", "images", "new.id"),
    "image_removed": ("DELETE", "images", "old.id"),
    "caption_added": ("INSERT", "captions", "new.image_id"),
    "caption_removed": ("DELETE", "captions", "old.image_id"),
}
_COLUMNS = {"name": "file name", "folder": "folder", "caption": "caption"}
# A file name or a caption is about one picture, a folder about many.
_BEST_FIRST = sa.text("bm25(words, 4.0, 1.0, 4.0)")

_words = sa.table("words", *map(sa.column, ("rowid", *_COLUMNS)))
ID = _words.c.rowid
"""The column with the ids of images."""


def create(db: Connection) -> None:
    """Make the tables, and note from now on which images change."""
    db.exec_driver_sql(_TABLE)
    db.exec_driver_sql("CREATE TABLE words_due (image_id INTEGER NOT NULL PRIMARY KEY)")
    create_triggers(db, "images", "captions")


def create_triggers(db: Connection, *tables: str) -> None:
    """Note from now on which images change, as far as they do in these tables."""
    for name, (change, table, image_id) in _CHANGES.items():
        if table in tables:
            db.exec_driver_sql(
                f"CREATE TRIGGER words_{name} AFTER {change} ON {table} BEGIN"
                f" INSERT OR IGNORE INTO words_due VALUES ({image_id}); END"
            )


def drop(db: Connection) -> None:
    """Remove all that `create` made, however damaged it is."""
    for name in _CHANGES:
        db.exec_driver_sql(f"DROP TRIGGER IF EXISTS words_{name}")
    for table in ("words", "words_due"):
        db.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")


def write(db: Connection, rows: Mapping[int, Words]) -> None:
    """Write the words of images that have none here."""
    if rows:
        db.execute(sa.insert(_words), [_row(*each) for each in rows.items()])


def differing(db: Connection, rows: Mapping[int, Words]) -> list[int]:
    """The ids of images whose words here are not these."""
    found = db.execute(sa.select(_words).where(ID.in_(list(rows))))
    stored = {row[0]: tuple(row) for row in found}
    return [each for each in rows if stored.get(each) != tuple(_row(each, rows[each]).values())]


def holding(look_for: Wanted) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[Any]] | None:
    """What rows must fulfil to hold all the words, and by what the best come first."""
    terms = [f'"{word}"' for word in look_for.words]
    terms += [_phrase(each) for each in look_for.quotations if each.stem]
    if not terms:
        return None
    holds = sa.text("words MATCH :query").bindparams(query=" AND ".join(terms))
    return holds, _BEST_FIRST  # type: ignore[return-value]


def _phrase(quotation: Quotation) -> str:
    whole, stem = (f'"{" ".join(words)}"' for words in (quotation.words, quotation.stem))
    return whole if whole == stem else f"({whole} OR {{name}} : {stem})"


def _row(image_id: int, words: Words) -> dict[str, Any]:
    texts = {column: " ".join(words[field]) for column, field in _COLUMNS.items()}
    return {"rowid": image_id} | texts
