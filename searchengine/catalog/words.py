"""The words of images: file names, folders and captions, as every database keeps and finds them.

Triggers note which images changed, whoever changes them, and `refresh` writes the words of those
anew before the transaction ends. So the table is in step with every state that is committed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from searchengine.catalog import filtering, fts5, tsvector
from searchengine.catalog.expressions import chunks, lower, numbers, position
from searchengine.catalog.schema import AnyText, captions, images
from searchengine.catalog.terms import (
    Quotation,
    Wanted,
    Words,
    fold,
    wanted,
    words_of,
    words_of_name,
)
from searchengine.filters import Filters
from searchengine.types import WordMatch

_RANKED = 50_000  # words that more images hold than these do not tell which is better
_TOGETHER = 200  # candidates whose texts are compared with a quotation at a time

_due = sa.table("words_due", sa.column("image_id", sa.BigInteger))


class _Index(Protocol):
    """The words as a database keeps them: the modules `fts5` and `tsvector`."""

    @property
    def ID(self) -> sa.ColumnElement[int]: ...  # noqa: N802

    def create(self, db: Connection) -> None: ...

    def drop(self, db: Connection) -> None: ...

    def write(self, db: Connection, rows: Mapping[int, Words]) -> None: ...

    def differing(self, db: Connection, rows: Mapping[int, Words]) -> list[int]: ...

    def holding(
        self, look_for: Wanted
    ) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[Any]] | None: ...


def _index(db: Connection) -> _Index:
    return tsvector if db.dialect.name == "postgresql" else fts5


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
    _index(db).create(db)
    db.execute(sa.insert(_due).from_select(["image_id"], sa.select(images.c.id)))


def refresh(db: Connection) -> None:
    """Write the words of all images anew that changed since the last time."""
    index = _index(db)
    for ids in chunks(db.execute(sa.select(_due.c.image_id)).scalars().all()):
        db.execute(sa.delete(index.ID.table).where(index.ID.in_(ids)))
        index.write(db, _words(db, ids))
        db.execute(sa.delete(_due).where(_due.c.image_id.in_(ids)))


def rebuild(db: Connection) -> None:
    """Make the table anew, however damaged it is."""
    _index(db).drop(db)
    create(db)
    refresh(db)


def out_of_step(db: Connection) -> list[int]:
    """The ids of images whose words are not what they should be; a sound catalog has none."""
    index = _index(db)
    every = sa.select(images.c.id)
    # Not NOT IN, for which PostgreSQL compares each with each.
    gone = sa.select(index.ID).where(~sa.exists().where(images.c.id == index.ID))
    found = list(db.execute(gone).scalars())
    for ids in chunks(db.execute(every).scalars().all()):
        found += index.differing(db, _words(db, ids))
    return found


def _words(db: Connection, ids: Sequence[int]) -> dict[int, Words]:
    return {each: texts.words() for each, texts in _texts(db, ids).items()}


def match(
    db: Connection, text: str, limit: int, among: NDArray[np.int64] | Filters | None = None
) -> list[WordMatch]:
    """The images that hold all that a person typed, best first, equal ones by id.

    Args:
        db: the transaction to look in.
        text: plain words, and "quotations" that must stand literally, though without regard to
            case and diacritics. Nothing in it is an operator.
        limit: how many at most.
        among: only images with these ids, (m,) int64, or that pass these filters.
    """
    look_for = wanted(text)
    if not look_for or limit < 1:
        return []
    ids = _candidates(db, look_for)
    if isinstance(among, Filters):
        among = filtering.matching(db, among, ids)
    if among is not None:
        ids = ids[np.isin(ids, among)]
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
    index = _index(db)
    found = index.holding(look_for)
    if found is None:
        return numbers(db, _holding(look_for.quotations[0].typed))
    holds, best_first = found
    query = sa.select(index.ID).where(holds)
    rows = sa.select(sa.func.count()).select_from(query.subquery())
    if db.execute(rows).scalar_one() > _RANKED:
        return numbers(db, query)
    ids = db.execute(query.order_by(best_first, index.ID)).scalars().all()
    return np.array(ids, np.int64)


def _holding(text: str) -> sa.Select[tuple[int]]:
    """The ids of images with a text that no words narrow down, in a path or a caption."""
    needle = lower(sa.literal(text, AnyText))
    captioned = sa.select(captions.c.image_id)
    captioned = captioned.where(position(lower(captions.c.text), needle) > 0)
    in_path = position(lower(images.c.path), needle) > 0
    return sa.select(images.c.id).where(in_path | images.c.id.in_(captioned))


def _fields(texts: Texts, look_for: Wanted) -> tuple[str, ...]:
    """Which fields hold a word or a quotation; none where one of them stands nowhere."""
    folded = {field: [fold(text) for text in each] for field, each in texts.fields().items()}
    words = texts.words()
    if not set().union(*words.values()).issuperset(look_for.words):
        return ()
    found = {field for field, each in words.items() if not set(look_for.words).isdisjoint(each)}
    for quotation in look_for.quotations:
        here = [field for field, each in folded.items() if any(quotation.folded in t for t in each)]
        if not here or not _stands(quotation, words):
            return ()
        found.update(here)
    return tuple(field for field in folded if field in found)


def _stands(quotation: Quotation, words: Words) -> bool:
    """Whether the words of a quotation stand somewhere together, as whole words."""
    if not quotation.stem:
        return True
    places = [(quotation.words, each) for each in words.values()]
    places.append((quotation.stem, words["file name"]))
    return any(f" {' '.join(part)} " in f" {' '.join(whole)} " for part, whole in places)


def _texts(db: Connection, ids: Sequence[int]) -> dict[int, Texts]:
    """Id -> texts, for those of the ids that exist; no more ids than one statement takes."""
    query = sa.select(captions.c.image_id, captions.c.text).where(captions.c.image_id.in_(ids))
    told: dict[int, list[str]] = {}
    for image_id, text in db.execute(query.order_by(captions.c.id)):
        told.setdefault(image_id, []).append(text)
    paths = db.execute(sa.select(images.c.id, images.c.path).where(images.c.id.in_(ids)))
    return {image_id: Texts(path, told.get(image_id, ())) for image_id, path in paths}
