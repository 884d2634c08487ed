"""The full-text table of file names, folders and captions: all that is particular to FTS5.

Triggers note which images changed, whoever changes them, and `refresh` writes the words of those
anew before the transaction ends. So the table is in step with every state that is committed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from searchengine.catalog.schema import AnyText, captions, images
from searchengine.catalog.sqlite import chunks, numbers
from searchengine.catalog.terms import Quotation, Wanted, fold, wanted, words_of, words_of_name
from searchengine.types import WordMatch

# What arrives here is cut into words and folded already; so a character that this SQLite does not
# know to be a letter must not cut it again.
_TABLE = (
    "CREATE VIRTUAL TABLE words USING fts5(name, folder, caption,"
    " tokenize=\"unicode61 remove_diacritics 2 categories 'L* N* M* C* S* P*'\")"
)
_CHANGES = {
    "image_added": ("INSERT ON images", "new.id"),
    "image_moved": ("UPDATE OF path ON images", "new.id"),
    "image_removed": ("DELETE ON images", "old.id"),
    "caption_added": ("INSERT ON captions", "new.image_id"),
    "caption_removed": ("DELETE ON captions", "old.image_id"),
}
# A file name or a caption is about one picture, a folder about many.
_BEST_FIRST = sa.text("bm25(words, 4.0, 1.0, 4.0)")
_RANKED = 50_000  # words that more images hold than these do not tell which is better
_TOGETHER = 200  # candidates whose texts are compared with a quotation at a time

_words = sa.table("words", *map(sa.column, ("rowid", "name", "folder", "caption")))
_due = sa.table("words_due", sa.column("image_id"))


class Texts(NamedTuple):
    """Where the words of an image are: its path relative to its root, and its captions."""

    path: str
    captions: Sequence[str]

    def fields(self) -> dict[str, Sequence[str]]:
        """The texts as `WordMatch.fields` calls them."""
        folder, name = os.path.split(self.path)
        return {"file name": [name], "folder": [folder], "caption": self.captions}

    def words(self) -> dict[str, list[str]]:
        """The words of every field; those of a file name without its extension."""
        folder, name = os.path.split(self.path)
        return {
            "file name": words_of_name(os.path.splitext(name)[0]),
            "folder": words_of_name(folder),
            "caption": [word for text in self.captions for word in words_of(text)],
        }


def create(db: Connection) -> None:
    """Make the table; the next `refresh` fills it with the images that there are."""
    db.exec_driver_sql(_TABLE)
    db.exec_driver_sql("CREATE TABLE words_due (image_id INTEGER NOT NULL PRIMARY KEY)")
    for name, (change, image_id) in _CHANGES.items():
        db.exec_driver_sql(
            f"CREATE TRIGGER words_{name} AFTER {change} BEGIN"
            f" INSERT OR IGNORE INTO words_due VALUES ({image_id}); END"
        )
    db.execute(sa.insert(_due).from_select(["image_id"], sa.select(images.c.id)))


def refresh(db: Connection) -> None:
    """Write the words of all images anew that changed since the last time."""
    for ids in chunks(db.execute(sa.select(_due.c.image_id)).scalars().all()):
        db.execute(sa.delete(_words).where(_words.c.rowid.in_(ids)))
        if rows := [_row(*item) for item in _texts(db, ids).items()]:
            db.execute(sa.insert(_words), rows)
        db.execute(sa.delete(_due).where(_due.c.image_id.in_(ids)))


def rebuild(db: Connection) -> None:
    """Make the table anew, however damaged it is."""
    for name in _CHANGES:
        db.exec_driver_sql(f"DROP TRIGGER IF EXISTS words_{name}")
    for table in ("words", "words_due"):
        db.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
    create(db)
    refresh(db)


def out_of_step(db: Connection) -> list[int]:
    """The ids of images whose words are not what they should be; a sound catalog has none."""
    every = sa.select(images.c.id)
    found = list(
        db.execute(sa.select(_words.c.rowid).where(_words.c.rowid.not_in(every))).scalars()
    )
    for ids in chunks(db.execute(every).scalars().all()):
        rows = db.execute(sa.select(_words).where(_words.c.rowid.in_(ids)))
        stored = {row[0]: tuple(row) for row in rows}
        right = {each: tuple(_row(each, texts).values()) for each, texts in _texts(db, ids).items()}
        found += (each for each in ids if stored.get(each) != right[each])
    return found


def match(
    db: Connection, text: str, limit: int, allowed: NDArray[np.int64] | None = None
) -> list[WordMatch]:
    """The images that hold all that a person typed, best first, equal ones by id.

    Args:
        db: the transaction to look in.
        text: plain words, and "quotations" that must stand literally, though without regard to
            case and diacritics. Nothing in it is an operator.
        limit: how many at most.
        allowed: (m,) int64; only images with these ids.
    """
    look_for = wanted(text)
    if not look_for or limit < 1:
        return []
    ids = _candidates(db, look_for)
    if allowed is not None:
        ids = ids[np.isin(ids, allowed)]
    found: list[WordMatch] = []
    step = max(_TOGETHER, limit) if look_for.quotations else limit
    for start in range(0, len(ids), step):
        here = ids[start : start + step].tolist()
        texts = {each: item for chunk in chunks(here) for each, item in _texts(db, chunk).items()}
        fields = ((each, _fields(texts[each], look_for)) for each in here if each in texts)
        found += (WordMatch(*pair) for pair in fields if pair[1])
        if len(found) >= limit:
            break
    return found[:limit]


def _candidates(db: Connection, look_for: Wanted) -> NDArray[np.int64]:
    """The ids of images that hold all the words, best first; whether literally, is not checked."""
    terms = [f'"{word}"' for word in look_for.words]
    terms += [_phrase(each) for each in look_for.quotations if each.stem]
    if not terms:
        return numbers(db, _holding(look_for.quotations[0].typed))
    holds = sa.text("words MATCH :query").bindparams(query=" AND ".join(terms))
    count = db.execute(sa.select(sa.func.count()).select_from(_words).where(holds)).scalar_one()
    query = sa.select(_words.c.rowid).where(holds)
    if count > _RANKED:
        return numbers(db, query)
    return np.array(
        db.execute(query.order_by(_BEST_FIRST, _words.c.rowid)).scalars().all(), np.int64
    )


def _phrase(quotation: Quotation) -> str:
    whole, stem = (f'"{" ".join(words)}"' for words in (quotation.words, quotation.stem))
    return whole if whole == stem else f"({whole} OR {{name}} : {stem})"


def _holding(text: str) -> sa.Select[tuple[int]]:
    """The ids of images with a text that no words narrow down, in a path or a caption."""
    needle = sa.func.lower(sa.literal(text, AnyText))
    captioned = sa.select(captions.c.image_id)
    captioned = captioned.where(sa.func.instr(sa.func.lower(captions.c.text), needle) > 0)
    in_path = sa.func.instr(sa.func.lower(images.c.path), needle) > 0
    return sa.select(images.c.id).where(in_path | images.c.id.in_(captioned))


def _fields(texts: Texts, look_for: Wanted) -> tuple[str, ...]:
    """Which fields hold a word or a quotation; none where one quotation stands nowhere."""
    folded = {field: [fold(text) for text in each] for field, each in texts.fields().items()}
    found = {
        field for field, words in texts.words().items() if not set(look_for.words).isdisjoint(words)
    }
    for quotation in look_for.quotations:
        here = [field for field, each in folded.items() if any(quotation.folded in t for t in each)]
        if not here:
            return ()
        found.update(here)
    return tuple(field for field in folded if field in found)


def _texts(db: Connection, ids: Sequence[int]) -> dict[int, Texts]:
    """Id -> texts, for those of the ids that exist; no more ids than one statement takes."""
    query = sa.select(captions.c.image_id, captions.c.text).where(captions.c.image_id.in_(ids))
    told: dict[int, list[str]] = {}
    for image_id, text in db.execute(query.order_by(sa.literal_column("captions.rowid"))):
        told.setdefault(image_id, []).append(text)
    paths = db.execute(sa.select(images.c.id, images.c.path).where(images.c.id.in_(ids)))
    return {image_id: Texts(path, told.get(image_id, ())) for image_id, path in paths}


def _row(image_id: int, texts: Texts) -> dict[str, Any]:
    columns = zip(("name", "folder", "caption"), texts.words().values(), strict=True)
    return {"rowid": image_id} | {column: " ".join(words) for column, words in columns}
