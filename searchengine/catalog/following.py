"""What a vector store outside the catalog has to know to follow it: what came, and what went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from searchengine.catalog.schema import dropped, embeddings, images, models, stores
from searchengine.types import EncoderSpec, Facts

BLOCK = 2048  # embeddings read at a time

_FACTS = [images.c[name] for name in Facts._fields]


class Written(NamedTuple):
    """A block of embeddings in the order they were written."""

    ids: NDArray[np.int64]
    """(n,) int64, of their images."""
    vectors: list[bytes]
    facts: list[Facts]
    seq: int
    """The number of the last one."""


class StoreState(NamedTuple):
    """How far a store has followed the catalog; nothing of it, where it is not known."""

    stamp: str = ""
    """The catalog's, when the store was last in step with it."""
    seq: int = 0
    """The number of the last embedding that it has."""
    dropped: int = 0
    """The number of the last one that it has removed."""


def written_after(db: Connection, seq: int, spec: EncoderSpec) -> Iterator[Written]:
    """The embeddings of a model, the present one or another, written after number `seq`."""
    columns = (embeddings.c.seq, embeddings.c.image_id, embeddings.c.vector, *_FACTS)
    query = sa.select(*columns).join_from(embeddings, images).where(_is_of(spec))
    query = query.where(embeddings.c.seq > seq).order_by(embeddings.c.seq)
    with db.execute(query, execution_options={"yield_per": BLOCK}) as rows:
        for block in rows.partitions():
            ids = np.array([row[1] for row in block], np.int64)
            facts = [Facts(*row[3:]) for row in block]
            yield Written(ids, [row[2] for row in block], facts, block[-1][0])


def last_seq(db: Connection, spec: EncoderSpec | None) -> int:
    """The number of the embedding written last, of any model or of one; 0 if there is none."""
    query = sa.select(embeddings.c.seq).order_by(embeddings.c.seq.desc()).limit(1)
    found = db.execute(query if spec is None else query.where(_is_of(spec)))
    return int(found.scalar() or 0)


def _is_of(spec: EncoderSpec) -> sa.ColumnElement[bool]:
    model = sa.select(models.c.id).where(models.c.fingerprint == spec.fingerprint)
    return embeddings.c.model_id == model.scalar_subquery()


def dropped_after(db: Connection, number: int) -> tuple[NDArray[np.int64], int]:
    """The ids of images that lost an embedding after that number, and the last number."""
    query = sa.select(dropped.c.number, dropped.c.image_id).where(dropped.c.number > number)
    rows = db.execute(query.order_by(dropped.c.number)).all()
    ids = np.unique(np.array([row[1] for row in rows], np.int64))
    return ids, rows[-1][0] if rows else number


def store_state(db: Connection, name: str) -> StoreState:
    """How far a store is."""
    query = sa.select(stores.c.stamp, stores.c.seq, stores.c.dropped).where(stores.c.name == name)
    row = db.execute(query).one_or_none()
    return StoreState(*row) if row else StoreState()


def set_store_state(db: Connection, name: str, state: StoreState) -> None:
    """Say how far a store is, and forget what every store knows to be gone."""
    db.execute(sa.delete(stores).where(stores.c.name == name))
    db.execute(sa.insert(stores).values(name=name, **state._asdict()))
    _forget_dropped(db)


def forget_store(db: Connection, name: str) -> None:
    """Wait for a store no longer."""
    db.execute(sa.delete(stores).where(stores.c.name == name))
    _forget_dropped(db)


def _forget_dropped(db: Connection) -> None:
    slowest = db.execute(sa.select(sa.func.min(stores.c.dropped))).scalar()
    old = sa.true() if slowest is None else dropped.c.number <= slowest
    db.execute(sa.delete(dropped).where(old))
