"""The catalog: one database, the only truth of an index. Wraps SQLAlchemy Core.

It is a file of SQLite, or on a PostgreSQL server: `databases` is what the two have in common.

Everything happens inside a transaction: `with catalog.reading() as rows` sees one consistent
state and never waits for a writer; `with catalog.writing() as rows` is the only writer meanwhile,
and commits at its end or not at all.
"""

from searchengine.catalog.changes import Changes, Entry, NewImage
from searchengine.catalog.copies import Traits
from searchengine.catalog.database import Catalog
from searchengine.catalog.following import StoreState, Written
from searchengine.catalog.paths import below, lift
from searchengine.catalog.reader import Reader, decode
from searchengine.catalog.writer import Writer

__all__ = [
    "Catalog",
    "Changes",
    "Entry",
    "NewImage",
    "Reader",
    "StoreState",
    "Traits",
    "Writer",
    "Written",
    "below",
    "decode",
    "lift",
]
