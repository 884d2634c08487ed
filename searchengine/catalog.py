"""The catalog: one SQLite database, the only truth of an index. Wraps SQLAlchemy Core.

Everything happens inside a transaction: `with catalog.reading() as rows` sees one consistent
state and never waits for a writer; `with catalog.writing() as rows` is the only writer meanwhile,
and commits at its end or not at all.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Integer, LargeBinary, Table, Text
from sqlalchemy.exc import DBAPIError

from searchengine.errors import IndexFolderError
from searchengine.types import Embeddings, Failure, ImageFile, ImageInfo, IndexedImage

BUSY_SECONDS = 10.0
CHUNK = 900  # values in one IN list; SQLite before 3.32 takes 999 variables
BLOCK = 8192  # embeddings read at a time


class AnyText(sa.TypeDecorator[str]):
    """Text that every database takes, though a file name may hold bytes that are not UTF-8.

    Python shows such a byte as a lone surrogate, U+DC80..U+DCFF (PEP 383); it is stored as the
    private-use character U+10FE80..U+10FEFF. A name that holds one of those already is stored as
    the bytes of its UTF-8 in the same way, so that what is read is always what was written.
    """

    impl = Text
    cache_ok = True
    _special = re.compile("[\udc80-\udcff\U0010fe80-\U0010feff]")

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        """Write each byte that is not UTF-8 as its private-use character."""
        return None if value is None else self._special.sub(_hide_bytes, value)

    def process_result_value(self, value: str | None, dialect: object) -> str | None:
        """Give the bytes back."""
        if value is None or value.isascii() or not self._special.search(value):
            return value
        shown = self._special.sub(lambda found: chr(0xDC00 + (ord(found[0]) & 0xFF)), value)
        return shown.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _hide_bytes(found: re.Match[str]) -> str:
    return "".join(chr(0x10FE00 + byte) for byte in found[0].encode("utf-8", "surrogateescape"))


# --- The tables ---------------------------------------------------------------------------------


def _of_image(**options: Any) -> Column[int]:
    key = ForeignKey("images.id", ondelete="CASCADE")
    return Column("image_id", key, nullable=False, **options)


def _file_columns(**options: Any) -> list[Column[Any]]:
    return [
        Column("root_id", ForeignKey("roots.id"), nullable=False, **options),
        Column("path", AnyText, nullable=False, **options),
        Column("size", BigInteger, nullable=False),
        Column("mtime_ns", BigInteger, nullable=False),
    ]


metadata = sa.MetaData()
roots = Table(
    "roots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", AnyText, unique=True, nullable=False),
)
images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    *_file_columns(),
    Column("digest", LargeBinary, nullable=False, index=True),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("format", AnyText, nullable=False),
    Column("taken_at", AnyText),
    Column("camera", AnyText),
    Column("lens", AnyText),
    Column("latitude", sa.Float),
    Column("longitude", sa.Float),
    sa.UniqueConstraint("root_id", "path"),
    sqlite_autoincrement=True,
)
embeddings = Table(
    "embeddings",
    metadata,
    # Grows with every vector written and is never used twice: tells what a reader has not seen.
    Column("seq", Integer, primary_key=True),
    _of_image(unique=True),
    Column("vector", LargeBinary, nullable=False),  # dim float16, little-endian
    sqlite_autoincrement=True,
)
failures = Table(
    "failures",
    metadata,
    *_file_columns(primary_key=True),
    Column("reason", AnyText, nullable=False),
)
captions = Table(
    "captions",
    metadata,
    _of_image(primary_key=True),
    Column("text", AnyText, primary_key=True),
)
settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

MIGRATIONS: list[Callable[[Connection], None]] = []
"""The first turns schema version 1 into 2, the next 2 into 3, and so on."""

_IMAGE_COLUMNS = (
    images.c.id,
    roots.c.path.label("root"),
    *(images.c[name] for name in ("path", "size", "mtime_ns")),
    *(images.c[field.name] for field in fields(ImageInfo)),
)


def _image(row: Sequence[Any]) -> IndexedImage:
    return IndexedImage(row[0], ImageFile(*row[1:5]), ImageInfo(*row[5:]))


def _chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    listed = list(values)
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


def decode(blobs: Sequence[bytes], dim: int) -> Embeddings:
    """Turn stored vectors into (n, dim) float32.

    Raises:
        IndexFolderError: a vector has not `2 * dim` bytes.
    """
    if any(len(blob) != 2 * dim for blob in blobs):
        raise IndexFolderError(
            f"the catalog holds a vector that has not {dim} dimensions; "
            "run `searchengine check --repair` on the index"
        )
    return np.frombuffer(b"".join(blobs), "<f2").reshape(-1, dim).astype(np.float32)


# --- What a batch changes -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class NewImage:
    """A picture that was read: `digest` of its bytes, `embedding` (dim,) float32, unit norm."""

    file: ImageFile
    digest: bytes
    info: ImageInfo
    embedding: NDArray[np.float32]


@dataclass(slots=True)
class Changes:
    """One batch; all of it is written, or nothing.

    A path holds an image or a failure, never both: writing the one forgets the other. So a file
    that turned into garbage is only put into `failed`, and one that healed only into `added`.
    """

    added: list[NewImage] = field(default_factory=list)
    changed: dict[int, NewImage] = field(default_factory=dict)
    """Image id -> its new content; keeps the id."""
    moved: dict[int, ImageFile] = field(default_factory=dict)
    """Image id -> where it is now, or its new size and mtime there; keeps content and vector."""
    copied: list[tuple[ImageFile, int]] = field(default_factory=list)
    """A file with the same bytes as the image with that id, whose facts and vector it takes."""
    removed: list[int] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    forgotten: list[ImageFile] = field(default_factory=list)
    """Files whose failure is to be forgotten, as they are gone."""

    def __bool__(self) -> bool:
        return any(getattr(self, part.name) for part in fields(self))


# --- Transactions -------------------------------------------------------------------------------


class Reader:
    """The catalog as one transaction sees it."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def settings(self) -> dict[str, str]:
        """All settings: schema, encoder, fingerprint, dim, kind, stamp."""
        return {row.key: row.value for row in self._db.execute(sa.select(settings))}

    def stamp(self) -> str:
        """The random name of the catalog's present state."""
        query = sa.select(settings.c.value).where(settings.c.key == "stamp")
        return str(self._db.execute(query).scalar_one())

    def count(self) -> int:
        """How many images there are."""
        query = sa.select(sa.func.count()).select_from(embeddings)  # a smaller table to scan
        return int(self._db.execute(query).scalar_one())

    def roots(self) -> list[str]:
        """The root folders, oldest first."""
        return list(self._db.execute(sa.select(roots.c.path).order_by(roots.c.id)).scalars())

    def files(self, root: str) -> dict[str, tuple[int, int, int]]:
        """Path -> (id, size, mtime_ns) of every image below a root."""
        columns = (images.c.path, images.c.id, images.c.size, images.c.mtime_ns)
        query = sa.select(*columns).join(roots).where(roots.c.path == root)
        return {path: tuple(state) for path, *state in self._db.execute(query)}

    def failures(self) -> list[Failure]:
        """Every file that could not be read, by root and path."""
        columns = (roots.c.path, failures.c.path, failures.c.size, failures.c.mtime_ns)
        query = sa.select(*columns, failures.c.reason).join(roots).order_by(*columns[:2])
        return [Failure(ImageFile(*row[:4]), row[4]) for row in self._db.execute(query)]

    def images(self, ids: Iterable[int]) -> dict[int, IndexedImage]:
        """Id -> image, for those of the ids that exist."""
        query = sa.select(*_IMAGE_COLUMNS).join(roots)
        rows = self._where(query, images.c.id, ids)
        return {row[0]: _image(row) for row in rows}

    def by_digest(self, digests: Iterable[bytes]) -> dict[bytes, list[IndexedImage]]:
        """Digest -> the images whose file has it; digests without an image are left out."""
        query = sa.select(images.c.digest, *_IMAGE_COLUMNS).join(roots)
        found: dict[bytes, list[IndexedImage]] = {}
        for row in self._where(query, images.c.digest, digests):
            found.setdefault(row[0], []).append(_image(row[1:]))
        return found

    def vectors(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Id -> stored vector, for those of the ids that exist; see `decode`."""
        rows = self._where(sa.select(embeddings), embeddings.c.image_id, ids)
        return {row.image_id: row.vector for row in rows}

    def vectors_after(self, seq: int) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Blocks of (ids (n,) int64, stored vectors) written after number `seq`, in order."""
        query = sa.select(embeddings.c.image_id, embeddings.c.vector)
        query = query.where(embeddings.c.seq > seq).order_by(embeddings.c.seq)
        for block in self._db.execute(query).partitions(BLOCK):
            yield np.array([row[0] for row in block], np.int64), [row[1] for row in block]

    def last_seq(self) -> int:
        """The number of the vector written last; 0 if there is none."""
        return int(self._db.execute(sa.select(sa.func.max(embeddings.c.seq))).scalar() or 0)

    def ids(self) -> NDArray[np.int64]:
        """The ids of all images that have a vector, (n,) int64."""
        found = self._db.execute(sa.select(embeddings.c.image_id)).scalars().all()
        return np.array(found, np.int64)

    def without_vector(self) -> list[int]:
        """The ids of images that lost their vector; a sound catalog has none."""
        query = sa.select(images.c.id).outerjoin(embeddings).where(embeddings.c.seq.is_(None))
        return list(self._db.execute(query).scalars())

    def problems(self) -> list[str]:
        """What SQLite itself finds damaged: pages, indexes, references to missing rows."""
        pages = self._db.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        orphans = self._db.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [f"catalog: {line}" for line in pages if line != "ok"] + [
            f"catalog: row {row[1]} of {row[0]} refers to a missing row of {row[2]}"
            for row in orphans
        ]

    def _where(
        self, query: sa.Select[Any], column: Column[Any], values: Iterable[Any]
    ) -> Iterator[sa.Row[Any]]:
        for chunk in _chunks(values):
            yield from self._db.execute(query.where(column.in_(chunk)))


class Writer(Reader):
    """A transaction that changes the catalog."""

    def restamp(self, held: str, fresh: str) -> bool:
        """Change the stamp from `held` to `fresh`; False if it was not `held`."""
        mine = (settings.c.key == "stamp") & (settings.c.value == held)
        return self._db.execute(sa.update(settings).where(mine).values(value=fresh)).rowcount == 1

    def set(self, key: str, value: str) -> None:
        """Change a setting."""
        self._db.execute(sa.update(settings).where(settings.c.key == key).values(value=value))

    def add_root(self, path: str) -> list[str]:
        """Add a root folder; roots inside it become part of it, their images keep id and vector.

        Returns the roots that became part of it.
        """
        inside = [root for root in self.roots() if below(root, path)]
        self._db.execute(sa.insert(roots).values(path=path))
        id_of = self._root_ids()
        for root in inside:
            for table in (images, failures):
                longer = sa.literal(f"{below(root, path)}/", AnyText) + table.c.path
                rows = sa.update(table).where(table.c.root_id == id_of[root])
                self._db.execute(rows.values(root_id=id_of[path], path=longer))
            self._db.execute(sa.delete(roots).where(roots.c.path == root))
        return inside

    def apply(self, changes: Changes) -> None:
        """Write a batch; paths are freed before they are taken."""
        self._roots = self._root_ids()
        added = changes.added + self._copies(changes.copied)
        failed = [
            self._row(failure.file) | {"reason": failure.reason} for failure in changes.failed
        ]
        self.remove(changes.removed)
        self._remove_at(images, failed)
        self._move(changes.moved)
        self._replace(changes.changed)
        self._insert(added)
        read = [image.file for image in (*added, *changes.changed.values())]
        healed = [*read, *changes.moved.values(), *changes.forgotten]
        self._remove_at(failures, [*failed, *map(self._row, healed)])
        self._each(sa.insert(failures), failed)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove images, with their vectors and captions."""
        for chunk in _chunks(ids):
            self._db.execute(sa.delete(images).where(images.c.id.in_(chunk)))

    def mend(self) -> int:
        """Rebuild SQLite's indexes, remove rows that refer to missing ones; returns how many."""
        self._db.exec_driver_sql("REINDEX")
        orphans = self._db.exec_driver_sql("PRAGMA foreign_key_check").all()
        for table, rowid, *_ in orphans:
            self._db.exec_driver_sql(f'DELETE FROM "{table}" WHERE rowid = ?', (rowid,))
        return len(orphans)

    def _each(self, statement: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:  # given no rows, SQLAlchemy would execute the statement once, without values
            self._db.execute(statement, rows)

    def _root_ids(self) -> dict[str, int]:
        return {row.path: row.id for row in self._db.execute(sa.select(roots))}

    def _row(self, file: ImageFile) -> dict[str, Any]:
        if file.root not in self._roots:
            raise IndexFolderError(f"{file.root} is not a root of the index; add it first")
        root = self._roots[file.root]
        return {"root_id": root, "path": file.path, "size": file.size, "mtime_ns": file.mtime_ns}

    def _content(self, image: NewImage) -> dict[str, Any]:
        return self._row(image.file) | asdict(image.info) | {"digest": image.digest}

    def _vector(self, image_id: int, image: NewImage) -> dict[str, Any]:
        return {"image_id": image_id, "vector": image.embedding.astype("<f2").tobytes()}

    def _copies(self, copied: Sequence[tuple[ImageFile, int]]) -> list[NewImage]:
        sources = [source for _, source in copied]
        query = sa.select(*_IMAGE_COLUMNS, images.c.digest).join(roots)
        found = {row.id: row for row in self._where(query, images.c.id, sources)}
        vectors = self.vectors(sources)
        if missing := sorted(set(sources) - vectors.keys()):
            raise IndexFolderError(f"images {missing} are not in the index and cannot be copied")
        return [
            NewImage(
                file,
                found[source].digest,
                _image(found[source][:-1]).info,
                np.frombuffer(vectors[source], "<f2").astype(np.float32),
            )
            for file, source in copied
        ]

    def _remove_at(self, table: Table, files: Sequence[Mapping[str, Any]]) -> None:
        here = table.c.root_id == sa.bindparam("root_id")
        places = [{"root_id": file["root_id"], "path": file["path"]} for file in files]
        self._each(sa.delete(table).where(here, table.c.path == sa.bindparam("path")), places)

    def _move(self, moved: Mapping[int, ImageFile]) -> None:
        one = sa.update(images).where(images.c.id == sa.bindparam("image"))
        # Two files may have changed places: park all on paths that no file can have.
        self._each(one, [{"image": key, "path": f"/{key}"} for key in moved])
        self._each(one, [{"image": key, **self._row(file)} for key, file in moved.items()])

    def _replace(self, changed: Mapping[int, NewImage]) -> None:
        one = sa.update(images).where(images.c.id == sa.bindparam("image"))
        self._each(one, [{"image": key, **self._content(new)} for key, new in changed.items()])
        old = sa.delete(embeddings).where(embeddings.c.image_id == sa.bindparam("image"))
        self._each(old, [{"image": key} for key in changed])
        self._each(sa.insert(embeddings), [self._vector(*pair) for pair in changed.items()])

    def _insert(self, added: Sequence[NewImage]) -> None:
        if not added:
            return
        query = sa.insert(images).returning(images.c.id, sort_by_parameter_order=True)
        ids = self._db.execute(query, [self._content(image) for image in added]).scalars().all()
        self._each(sa.insert(embeddings), list(map(self._vector, ids, added)))


class Catalog:
    """The database file of an index. Safe to share between threads."""

    def __init__(self, path: Path, mode: str) -> None:
        self._path = path
        self._engine = _sqlite(path, mode)

    @classmethod
    def create(cls, path: Path, values: Mapping[str, str]) -> Catalog:
        """Make a new catalog with these settings, in one transaction.

        Raises:
            IndexFolderError: there is a database already, or the file cannot be written.
        """
        catalog = cls(path, "mode=rwc")
        schema = {"schema": str(1 + len(MIGRATIONS))}
        with catalog._transaction(writes=True) as db:
            if sa.inspect(db).get_table_names():
                raise IndexFolderError(f"{path.parent} already holds an index or another database")
            metadata.create_all(db)
            rows = [{"key": key, "value": value} for key, value in {**schema, **values}.items()]
            db.execute(sa.insert(settings), rows)
        return catalog

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Tell whether there is a database; a creation that was cut short left none."""
        if not path.is_file():
            return False
        catalog = cls(path, _mode(path))
        try:
            with catalog._transaction(writes=False) as db:
                return bool(sa.inspect(db).get_table_names())
        finally:
            catalog.close()

    @classmethod
    def open(cls, path: Path) -> Catalog:
        """Open a catalog, and bring an older schema up to date; never creates a file.

        Raises:
            IndexFolderError: there is none, it is no catalog, or a newer version made it.
        """
        newest = 1 + len(MIGRATIONS)
        if not path.is_file():
            raise _no_index(path)
        catalog = cls(path, _mode(path))
        with catalog._transaction(writes=False) as db:
            version = _version(db, path)
        if version > newest:
            raise IndexFolderError(
                f"{path.parent} was written by a newer searchengine (schema {version}, "
                f"known here: {newest}); upgrade this installation"
            )
        if version < newest:
            with catalog._transaction(writes=True) as db:
                for migrate in MIGRATIONS[_version(db, path) - 1 :]:
                    migrate(db)
                Writer(db).set("schema", str(newest))
        return catalog

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """See one state of the catalog; never waits for a writer."""
        with self._transaction(writes=False) as db:
            yield Reader(db)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Be the only writer; commits at the end, rolls back on any error."""
        with self._transaction(writes=True) as db:
            yield Writer(db)

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.execution_options(writes=writes).begin() as db:
                yield db
        except DBAPIError as error:
            raise IndexFolderError(_explain(self._path, str(error.orig))) from error


def below(path: str, folder: str) -> str | None:
    """The path relative to a folder, POSIX separators, "" for the folder itself; None outside."""
    if not PurePath(path).is_relative_to(folder):
        return None
    under = PurePath(path).relative_to(folder).as_posix()
    return "" if under == "." else under


def _no_index(path: Path) -> IndexFolderError:
    return IndexFolderError(
        f"{path.parent} is not an index; "
        f"make it one with `searchengine index FOLDER --index {path.parent}`"
    )


def _version(db: Connection, path: Path) -> int:
    known = Reader(db).settings() if sa.inspect(db).has_table("settings") else {}
    if "schema" not in known:
        raise _no_index(path)
    return int(known["schema"])


# --- What is particular to SQLite (besides the PRAGMAs of `problems` and `mend`) ----------------

_ADVICE = {
    "is full": "free some disk space and run the same command again",
    "locked": "another process is writing to it; run the same command again in a moment",
    "readonly": "make the folder and the files in it writable",
    "unable to open": "check that the folder may be read and written",
}


def _explain(path: Path, reason: str) -> str:
    cure = (
        f"try `searchengine check --repair --index {path.parent}`, else delete it and index again"
    )
    return f"{path}: {reason}; " + next((_ADVICE[key] for key in _ADVICE if key in reason), cure)


def _mode(path: Path) -> str:
    """How to open an existing database: read-only where nothing can be written."""
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    # In a read-only folder SQLite cannot make the files that WAL needs; without a WAL file there
    # is no writer, and the database may be read as it is.
    return "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"


def _sqlite(path: Path, mode: str) -> sa.Engine:
    """Connect with explicit transactions, durable commits, and readers beside one writer."""

    def connect() -> sqlite3.Connection:
        # isolation_level None: SQLAlchemy's documented way to take BEGIN out of sqlite3's hands.
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?{mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        if mode == "mode=rwc" and db.execute("SELECT * FROM sqlite_master").fetchone() is None:
            db.execute("PRAGMA page_size=16384")  # at 4 KiB one vector would take a whole page
            db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        return db

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool)

    @sa.event.listens_for(engine, "begin")
    def begin(db: Connection) -> None:
        writes = db.get_execution_options().get("writes")
        db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
