"""The index: a folder with a catalog and a snapshot of its vectors. The only writer of both.

The catalog is the truth. Every batch gives it a fresh random stamp, and `<stamp>.faiss` is the
snapshot of exactly that state: the file's name is the consistency check. A snapshot that is
missing, damaged or of another state is rebuilt from the catalog.
"""

from searchengine.catalog import Changes, Entry, NewImage, Traits
from searchengine.index.folder import Index, OpenStore
from searchengine.index.places import Places
from searchengine.vectors import Among

__all__ = [
    "Among",
    "Changes",
    "Entry",
    "Index",
    "NewImage",
    "OpenStore",
    "Places",
    "Traits",
]
