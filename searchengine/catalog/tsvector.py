"""The words of images in PostgreSQL: a table of vectors of lexemes, with an inverted index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from searchengine.catalog import postgresql
from searchengine.catalog.terms import Quotation, Wanted, Words

_TABLES = (
    "CREATE TABLE words (image_id BIGINT NOT NULL PRIMARY KEY, vector TSVECTOR NOT NULL)",
    "CREATE INDEX words_vector ON words USING gin (vector) WITH (fastupdate = off)",
    "CREATE TABLE words_due (image_id BIGINT NOT NULL PRIMARY KEY)",
)
_CHANGES = {
    "image_added": ("INSERT ON images", "NEW TABLE AS new_rows", "SELECT id FROM new_rows"),
    "image_moved": (
        "UPDATE ON images",
        "OLD TABLE AS old_rows NEW TABLE AS new_rows",
        "SELECT id FROM new_rows JOIN old_rows USING (id) WHERE new_rows.path <> old_rows.path",
    ),
    "image_removed": ("DELETE ON images", "OLD TABLE AS old_rows", "SELECT id FROM old_rows"),
    "caption_added": (
        "INSERT ON captions",
        "NEW TABLE AS new_rows",
        "SELECT DISTINCT image_id FROM new_rows",
    ),
    "caption_removed": (
        "DELETE ON captions",
        "OLD TABLE AS old_rows",
        "SELECT DISTINCT image_id FROM old_rows",
    ),
}
_WEIGHTS = {"file name": "A", "folder": "C", "caption": "B"}
# For D, C, B and A. A file name or a caption is about one picture, a folder about many.
_RANK = "ts_rank_cd('{0, 0.25, 1, 1}', vector, CAST(:query AS tsquery), 1)"
_LONGEST = 500  # characters of a word; PostgreSQL takes 2046 bytes
_POSITIONS = 255  # of a word, that PostgreSQL keeps
_LARGEST = 900_000  # bytes of all words of an image; PostgreSQL takes 1 MiB
_TERMS = 2000  # words that are looked for; whether all are there is told from the texts

_words = sa.table("words", sa.column("image_id", sa.BigInteger), sa.column("vector"))
ID = _words.c.image_id
"""The column with the ids of images."""


def create(db: Connection) -> None:
    """Make the tables, and note from now on which images change."""
    for statement in _TABLES:
        db.exec_driver_sql(statement)
    for name, (change, seen, ids) in _CHANGES.items():
        db.exec_driver_sql(
            f"CREATE FUNCTION words_{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" INSERT INTO words_due {ids} ON CONFLICT DO NOTHING; RETURN NULL; END $$"
        )
        db.exec_driver_sql(
            f"CREATE TRIGGER words_{name} AFTER {change} REFERENCING {seen}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION words_{name}()"
        )


def drop(db: Connection) -> None:
    """Remove all that `create` made."""
    for name in _CHANGES:
        db.exec_driver_sql(f"DROP FUNCTION IF EXISTS words_{name} CASCADE")
    db.exec_driver_sql("DROP TABLE IF EXISTS words, words_due")


def write(db: Connection, rows: Mapping[int, Words]) -> None:
    """Write the words of images that have none here."""
    found = ((image_id, _vector(words)) for image_id, words in rows.items())
    postgresql.copy(db, "words", ("image_id", "vector"), found)


def differing(db: Connection, rows: Mapping[int, Words]) -> list[int]:
    """The ids of images whose words here are not these."""
    right = sa.text(
        "SELECT image_id FROM words JOIN unnest(CAST(:ids AS BIGINT[]), CAST(:vectors AS TEXT[]))"
        " AS its(id, its_vector) ON id = image_id WHERE vector = CAST(its_vector AS tsvector)"
    )
    values = {"ids": list(rows), "vectors": [_vector(each) for each in rows.values()]}
    sound = set(db.execute(right, values).scalars())
    return [each for each in rows if each not in sound]


def holding(look_for: Wanted) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[Any]] | None:
    """What rows must fulfil to hold all the words, and by what the best come first."""
    terms = [_term(word) for word in look_for.words]
    terms += [_phrase(each) for each in look_for.quotations if each.stem]
    if not terms:
        return None
    query = " & ".join(terms[:_TERMS])
    holds = sa.text("vector @@ CAST(:query AS tsquery)").bindparams(query=query)
    return holds, sa.text(f"{_RANK} DESC").bindparams(query=query)  # type: ignore[return-value]


def _phrase(quotation: Quotation) -> str:
    """All of its words; whether they stand together is told from the texts."""
    whole, stem = (
        list(dict.fromkeys(words))[:_TERMS] for words in (quotation.words, quotation.stem)
    )
    every = " & ".join(map(_term, whole))
    if whole == stem:
        return f"({every})"
    return f"({every} | {' & '.join(f'{_term(word)}:A' for word in stem)})"


def _term(word: str) -> str:
    return f"'{_lexeme(word)}'"


def _lexeme(word: str) -> str:
    """The word; or, in the place of one that is too long, its digest."""
    if len(word) <= _LONGEST:
        return word
    return hashlib.blake2b(word.encode(), digest_size=32).hexdigest()


def _vector(words: Words) -> str:
    """The words with their places and weights, as PostgreSQL reads them."""
    return " ".join(_lexemes(words))


def _lexemes(words: Words) -> Iterator[str]:
    places: dict[str, list[str]] = {}
    number = 0
    for field, each in words.items():
        for word in each:
            number += 1
            known = places.setdefault(_lexeme(word), [])
            if len(known) < _POSITIONS:
                known.append(f"{min(number, 16383)}{_WEIGHTS[field]}")
    size = 0
    for word, where in places.items():
        size += len(word.encode()) + 2 * len(where) + 8
        if size > _LARGEST:
            return
        yield f"'{word}':{','.join(where)}"
