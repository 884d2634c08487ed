"""Images in the order of their age."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy import Connection

from searchengine.catalog.expressions import among, local_time
from searchengine.catalog.schema import images, roots

# The clock of the place where it was taken; else that of this machine when the file was written.
_WHEN = sa.func.coalesce(
    sa.func.substr(images.c.taken_at, 1, len("2024-07-01T18:30:00")),
    local_time(images.c.mtime_ns),
)
# All up to the last slash: what is left when every other character is taken from the end.
_FOLDER = sa.func.rtrim(images.c.path, sa.func.replace(images.c.path, "/", ""))


def newest(
    db: Connection, ids: Iterable[int] | None, offset: int, limit: int, *, by_folder: bool = False
) -> list[int]:
    """At most `limit` ids, newest first, equal ones by falling id, without the first `offset`.

    With `by_folder`, the folders come by their paths, and the newest first within each.
    """
    query = sa.select(images.c.id)
    if by_folder:
        query = query.join(roots).order_by(roots.c.path, _FOLDER)
    if ids is not None:
        query = query.where(among(images.c.id, ids))
    query = query.order_by(_WHEN.desc(), images.c.id.desc())
    return list(db.execute(query.offset(offset).limit(limit)).scalars())
