"""The catalog as one transaction sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Column, Connection

from searchengine.catalog import copies, facets, filtering, newest, words
from searchengine.catalog.changes import Entry, NewImage
from searchengine.catalog.schema import (
    captions,
    embeddings,
    failures,
    images,
    roots,
    settings,
    staged,
)
from searchengine.catalog.sqlite import chunks
from searchengine.errors import IndexFolderError
from searchengine.filters import Filters
from searchengine.types import (
    Embeddings,
    EncoderSpec,
    Facets,
    Failure,
    ImageFile,
    ImageInfo,
    IndexedImage,
    Scope,
    WordMatch,
)

BLOCK = 2048  # embeddings read at a time

_IMAGE_COLUMNS = (
    images.c.id,
    roots.c.path.label("root"),
    *(images.c[name] for name in ("path", "size", "mtime_ns")),
    *(images.c[field.name] for field in fields(ImageInfo)),
)


def _image(row: Sequence[Any]) -> IndexedImage:
    return IndexedImage(row[0], ImageFile(*row[1:5]), ImageInfo(*row[5:]))


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


class Reader:
    """The catalog as one transaction sees it."""

    def __init__(self, db: Connection) -> None:
        self._db = db

    def settings(self) -> dict[str, str]:
        """All settings: schema, encoder, fingerprint, dim, kind, stamp, staged_fingerprint."""
        return {row.key: row.value for row in self._db.execute(sa.select(settings))}

    def encoder(self) -> EncoderSpec:
        """The encoder that made the vectors."""
        values = self.settings()
        return EncoderSpec(values["encoder"], values["fingerprint"], int(values["dim"]))

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

    def scopes(self) -> dict[str, Scope]:
        """Path of every root, oldest first -> which of its files belong to the index."""
        rows = self._db.execute(sa.select(roots).order_by(roots.c.id))
        return {row.path: Scope(tuple(row.exclude), row.include_hidden) for row in rows}

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

    def traits(self, ids: Iterable[int] | None = None) -> list[copies.Traits]:
        """What tells copies; of some images or of all, the one to keep of equal ones first."""
        return copies.traits(self._db, ids)

    def newest(
        self, ids: Iterable[int] | None, offset: int, limit: int, *, by_folder: bool = False
    ) -> list[int]:
        """The ids of all images, or of some, the newest first; see `newest.newest`."""
        return newest.newest(self._db, ids, offset, limit, by_folder=by_folder)

    def root_counts(self) -> dict[str, int]:
        """Path of every root, oldest first -> how many images are below it."""
        query = sa.select(roots.c.path, sa.func.count(images.c.id)).outerjoin_from(roots, images)
        rows = self._db.execute(query.group_by(roots.c.id).order_by(roots.c.id))
        return {row[0]: row[1] for row in rows}

    def captions(self, ids: Sequence[int] | None = None) -> dict[int, tuple[str, ...]]:
        """Id -> captions in the order they were given, of every image that has any, by id.

        With `ids`, no more than one statement takes, only of these images.
        """
        return self._captions(sa.true() if ids is None else captions.c.image_id.in_(ids))

    def _captions(self, which: sa.ColumnElement[bool]) -> dict[int, tuple[str, ...]]:
        query = sa.select(captions.c.image_id, captions.c.text).where(which)
        query = query.order_by(captions.c.image_id, sa.literal_column("captions.rowid"))
        found: dict[int, list[str]] = {}
        for image_id, text in self._db.execute(query):
            found.setdefault(image_id, []).append(text)
        return {image_id: tuple(texts) for image_id, texts in found.items()}

    def entries(self, after: int, dim: int) -> list[Entry]:
        """A block of images by id, those beyond `after`, with everything that is known of them.

        Raises:
            IndexFolderError: a vector has not `dim` dimensions.
        """
        query = sa.select(images.c.digest, embeddings.c.vector, *_IMAGE_COLUMNS)
        query = query.join_from(images, roots).join(embeddings).where(images.c.id > after)
        rows = self._db.execute(query.order_by(images.c.id).limit(BLOCK)).all()
        if not rows:
            return []
        found = [_image(row[2:]) for row in rows]
        texts = self._captions(captions.c.image_id.between(found[0].id, found[-1].id))
        vectors = decode([row[1] for row in rows], dim)
        return [
            Entry(each.id, NewImage(each.file, row[0], each.info, vector), texts.get(each.id, ()))
            for row, each, vector in zip(rows, found, vectors, strict=True)
        ]

    def matching(self, filters: Filters) -> NDArray[np.int64]:
        """The ids of images that pass the filters, ascending, (n,) int64."""
        return filtering.matching(self._db, filters)

    def words(
        self, text: str, limit: int, allowed: NDArray[np.int64] | None = None
    ) -> list[WordMatch]:
        """The images that hold all that a person typed, best first; see `words.match`."""
        return words.match(self._db, text, limit, allowed)

    def facets(self, ids: Iterable[int] | None = None) -> Facets:
        """How many of the images, or of all, there are of each month, camera, format, folder."""
        return facets.count(self._db, ids)

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

    def staged_fingerprint(self) -> str:
        """Of the encoder whose vectors are staged; "" if there is none."""
        return self.settings().get("staged_fingerprint", "")

    def unstaged(self) -> list[int]:
        """The ids of images without a staged vector, ascending."""
        query = sa.select(images.c.id).where(images.c.id.not_in(sa.select(staged.c.image_id)))
        return list(self._db.execute(query.order_by(images.c.id)).scalars())

    def problems(self) -> list[str]:
        """What SQLite itself finds damaged: pages, indexes, references to missing rows."""
        pages = self._db.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        orphans = self._db.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [
            *(f"catalog: {line}" for line in pages if line != "ok"),
            *(f"catalog: row {r[1]} of {r[0]} refers to a missing row of {r[2]}" for r in orphans),
            *(f"image {each}: its words are out of date" for each in words.out_of_step(self._db)),
        ]

    def _where(
        self, query: sa.Select[Any], column: Column[Any], values: Iterable[Any]
    ) -> Iterator[sa.Row[Any]]:
        for chunk in chunks(values):
            yield from self._db.execute(query.where(column.in_(chunk)))
