"""What the catalog itself says about filters, for stores to be compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from searchengine.catalog.filtering import condition
from searchengine.catalog.schema import images
from searchengine.filters import Filters
from searchengine.types import Facts


def passing(facts: Sequence[Facts], filters: Filters) -> NDArray[np.bool_]:
    """Which of these the filters let pass, (n,) bool, as SQLite has it."""
    with sa.create_engine("sqlite://").begin() as db:
        names = ("id", *Facts._fields)
        columns = (sa.Column(name, images.c[name].type) for name in names)
        table = sa.Table("images", sa.MetaData(), *columns)
        table.create(db)
        rows = [dict(zip(names, (i, *each), strict=True)) for i, each in enumerate(facts)]
        db.execute(table.insert(), rows)
        ids = db.scalars(sa.select(images.c.id).where(condition(filters, {}))).all()
    return np.isin(np.arange(len(facts)), ids)
