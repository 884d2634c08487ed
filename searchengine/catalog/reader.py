"""The catalog as one transaction sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import fields
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Column, Connection

from searchengine.catalog import copies, facets, filtering, following, newest, words
from searchengine.catalog.changes import Entry, NewImage
from searchengine.catalog.databases import dialect
from searchengine.catalog.expressions import chunks
from searchengine.catalog.following import BLOCK, StoreState, Written
from searchengine.catalog.schema import (
    OF_PRESENT,
    PRESENT,
    captions,
    embeddings,
    failures,
    images,
    models,
    roots,
    settings,
)
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
    """The catalog as one transaction sees it.

    It may hold embeddings of several models: what it gives are those of the present one.
    """

    def __init__(self, db: Connection) -> None:
        self._db = db

    def settings(self) -> dict[str, str]:
        """All settings: schema, model (an id), kind, stamp."""
        return {row.key: row.value for row in self._db.execute(sa.select(settings))}

    def encoder(self) -> EncoderSpec:
        """The encoder that made the vectors."""
        query = sa.select(models.c.name, models.c.fingerprint, models.c.dim)
        return EncoderSpec(*self._db.execute(query.where(models.c.id == PRESENT)).one())

    def holds(self, spec: EncoderSpec) -> bool:
        """Tell whether embeddings of this encoder are kept, or staged."""
        return self._model_id(spec) is not None

    def _model_id(self, spec: EncoderSpec) -> int | None:
        query = sa.select(models.c.id).where(models.c.fingerprint == spec.fingerprint)
        return self._db.execute(query).scalar()

    def stamp(self) -> str:
        """The random name of the catalog's present state."""
        query = sa.select(settings.c.value).where(settings.c.key == "stamp")
        return str(self._db.execute(query).scalar_one())

    def count(self) -> int:
        """How many images there are."""
        query = sa.select(sa.func.count()).select_from(images)
        return int(self._db.execute(query).scalar_one())

    def roots(self) -> list[str]:
        """The root folders, oldest first."""
        return list(self._db.execute(sa.select(roots.c.path).order_by(roots.c.id)).scalars())

    def root_stamps(self) -> dict[str, str]:
        """Path of every root, oldest first -> the random name of its present state."""
        rows = self._db.execute(sa.select(roots.c.path, roots.c.stamp).order_by(roots.c.id))
        return {row.path: row.stamp for row in rows}

    def roots_of(self, ids: Iterable[int]) -> dict[int, str]:
        """Id -> root of the image, for those of the ids that exist."""
        path_of = {row.id: row.path for row in self._db.execute(sa.select(roots))}
        query = sa.select(images.c.id, images.c.root_id)
        return {row[0]: path_of[row[1]] for row in self._where(query, images.c.id, ids)}

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
        query = sa.select(images.c.digest, *_IMAGE_COLUMNS).join(roots).order_by(images.c.id)
        found: dict[bytes, list[IndexedImage]] = {}
        for row in self._where(query, images.c.digest, digests):
            found.setdefault(row[0], []).append(_image(row[1:]))
        return found

    def digests(self, sizes: Set[int]) -> dict[int, list[bytes]]:
        """Size in bytes -> digests of the contents of that size, of all images."""
        found: dict[int, list[bytes]] = {}
        query = sa.select(images.c.size, images.c.digest)
        for size, digest in self._db.execute(query.execution_options(yield_per=BLOCK)):
            if size in sizes:
                found.setdefault(size, []).append(digest)
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
        query = query.order_by(captions.c.image_id, captions.c.id)
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
        query = query.join_from(images, roots).join(embeddings)
        query = query.where(OF_PRESENT, images.c.id > after)
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
        self, text: str, limit: int, among: NDArray[np.int64] | Filters | None = None
    ) -> list[WordMatch]:
        """The images that hold all that a person typed, best first; see `words.match`."""
        return words.match(self._db, text, limit, among)

    def facets(self, ids: Iterable[int] | None = None) -> Facets:
        """How many of the images, or of all, there are of each month, camera, format, folder."""
        return facets.count(self._db, ids)

    def vectors(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Id -> stored vector, for those of the ids that exist; see `decode`."""
        query = sa.select(embeddings.c.image_id, embeddings.c.vector).where(OF_PRESENT)
        return {row[0]: row[1] for row in self._where(query, embeddings.c.image_id, ids)}

    def vectors_after(self, seq: int) -> Iterator[tuple[NDArray[np.int64], list[bytes]]]:
        """Blocks of (ids (n,) int64, stored vectors) written after number `seq`, in order."""
        query = sa.select(embeddings.c.image_id, embeddings.c.vector)
        query = query.where(OF_PRESENT, embeddings.c.seq > seq).order_by(embeddings.c.seq)
        with self._db.execute(query, execution_options={"yield_per": BLOCK}) as rows:
            for block in rows.partitions():
                yield np.array([row[0] for row in block], np.int64), [row[1] for row in block]

    def last_seq(self, spec: EncoderSpec | None = None) -> int:
        """The number of the vector written last, of any model or of one; 0 if there is none."""
        return following.last_seq(self._db, spec)

    def written_after(self, seq: int, spec: EncoderSpec) -> Iterator[Written]:
        """The vectors of a model, be it the present one or not, written after number `seq`."""
        return following.written_after(self._db, seq, spec)

    def dropped_after(self, number: int) -> tuple[NDArray[np.int64], int]:
        """The ids of images that lost a vector after that number, and the last number."""
        return following.dropped_after(self._db, number)

    def store_state(self, name: str) -> StoreState:
        """How far a store is."""
        return following.store_state(self._db, name)

    def ids(self) -> NDArray[np.int64]:
        """The ids of all images that have a vector, (n,) int64."""
        query = sa.select(embeddings.c.image_id).where(OF_PRESENT)
        return np.array(self._db.execute(query).scalars().all(), np.int64)

    def without_vector(self) -> list[int]:
        """The ids of images that lost their vector; a sound catalog has none."""
        return self._missing(PRESENT)

    def unstaged(self, spec: EncoderSpec) -> list[int]:
        """The ids of images without a vector of this encoder, ascending."""
        return self._missing(sa.literal(self._model_id(spec)))

    def _missing(self, model: sa.ColumnElement[Any]) -> list[int]:
        query = sa.select(images.c.id).where(~self._has_vector(model)).order_by(images.c.id)
        return list(self._db.execute(query).scalars())

    @staticmethod
    def _has_vector(model: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether an image has a vector of a model; for IN, PostgreSQL compares each with each."""
        of_image = embeddings.c.image_id == images.c.id
        return sa.exists().where(of_image, embeddings.c.model_id == model)

    def problems(self) -> list[str]:
        """What the database itself finds damaged, and words that are out of date."""
        words_of = (f"image {n}: its words are out of date" for n in words.out_of_step(self._db))
        return [*dialect(self._db).problems(self._db), *words_of]

    def _where(
        self, query: sa.Select[Any], column: Column[Any], values: Iterable[Any]
    ) -> Iterator[Any]:
        for chunk in chunks(values):
            yield from self._db.execute(query.where(column.in_(chunk)))
