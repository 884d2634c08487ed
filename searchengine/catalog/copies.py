"""What tells copies of a picture: its content, its perceptual hash, when and with what it came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection

from searchengine.catalog.expressions import chunks
from searchengine.catalog.schema import images, roots
from searchengine.types import IndexedImage


class Traits(NamedTuple):
    """By what an image is compared with others."""

    id: int
    content: int
    """The lowest id of an image whose file has the same bytes."""
    phash: int | None
    taken_at: str | None
    camera: str | None


def traits(db: Connection, ids: Iterable[int] | None) -> list[Traits]:
    """Of the images with these ids, or of all: the larger first, then the older, then by path."""
    same = images.alias()
    content = sa.select(sa.func.min(same.c.id)).where(same.c.digest == images.c.digest)
    columns = (images.c.phash, images.c.taken_at, images.c.camera)
    query = sa.select(images.c.id, content.scalar_subquery(), *columns).join_from(images, roots)
    query = query.order_by(
        *(
            -sa.cast(images.c.width, sa.BigInteger) * images.c.height,
            images.c.taken_at.is_(None),
            images.c.taken_at,
        ),
        *(images.c.mtime_ns, roots.c.path, images.c.path),
    )
    if ids is None:
        return [Traits(*row) for row in db.execute(query)]
    some = (query.where(images.c.id.in_(chunk)) for chunk in chunks(ids))
    return [Traits(*row) for each in some for row in db.execute(each)]


def set_phashes(db: Connection, hashed: Sequence[tuple[IndexedImage, int]]) -> None:
    """Store perceptual hashes of images that have none, if they still are what was hashed."""
    query = sa.update(images).values(phash=sa.bindparam("hash"))
    for column in (images.c.id, images.c.size, images.c.mtime_ns):
        query = query.where(column == sa.bindparam(f"its_{column.name}"))
    rows = [
        {"its_id": each.id, "its_size": each.file.size, "its_mtime_ns": each.file.mtime_ns}
        | {"hash": phash}
        for each, phash in hashed
    ]
    if rows:
        db.execute(query.where(images.c.phash.is_(None)), rows)
