"""What a set of images has in common: how many of each month, camera, format and folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from searchengine.catalog.schema import AnyText, images, roots
from searchengine.catalog.sqlite import chunks
from searchengine.types import Facets

_COLUMNS = (
    roots.c.path,
    # The first folder of the path, "" where the image is in the root itself.
    sa.func.substr(images.c.path, 1, sa.func.instr(images.c.path, "/") - 1, type_=AnyText),
    sa.func.substr(images.c.taken_at, 1, len("2024-07")),
    images.c.camera,
    images.c.format,
    images.c.latitude.is_not(None),
)


def count(db: Connection, ids: Iterable[int]) -> Facets:
    """Count those of the ids that exist."""
    query = sa.select(*_COLUMNS).join_from(images, roots)
    kinds: Counter[Any] = Counter()
    for chunk in chunks(ids):
        kinds.update(db.execute(query.where(images.c.id.in_(chunk))))
    months, cameras, formats, folders = (Counter[str]() for _ in range(4))
    placed = 0
    for (root, folder, month, camera, format_, has_place), n in kinds.items():
        folders[os.path.join(root, folder) if folder else root] += n
        formats[format_] += n
        placed += n if has_place else 0
        if month is not None:
            months[month] += n
        if camera is not None:
            cameras[camera] += n
    newest_first = dict(sorted(months.items(), reverse=True))
    total = sum(kinds.values())
    return Facets(
        total,
        newest_first,
        _most_first(cameras),
        _most_first(formats),
        _most_first(folders),
        placed,
    )


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
