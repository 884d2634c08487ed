"""A transaction that changes the catalog."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Table

from searchengine.catalog import copies, following, words
from searchengine.catalog.changes import Changes, NewImage
from searchengine.catalog.databases import dialect
from searchengine.catalog.expressions import chunks
from searchengine.catalog.following import StoreState
from searchengine.catalog.paths import below, lift
from searchengine.catalog.reader import Reader
from searchengine.catalog.schema import (
    PRESENT,
    AnyText,
    captions,
    embeddings,
    failures,
    images,
    models,
    roots,
    settings,
)
from searchengine.errors import IndexFolderError
from searchengine.types import Embeddings, EncoderSpec, ImageFile, IndexedImage, Scope


class Writer(Reader):
    """A transaction that changes the catalog."""

    def restamp(self, held: Mapping[str, str], fresh: str) -> bool:
        """Change the stamps of these roots from those held to `fresh`, and the catalog's own.

        False, and nothing is changed, if one of them has another stamp or is no longer there.
        """
        now = self.root_stamps()
        if any(now.get(path) != stamp for path, stamp in held.items()):
            return False
        query = sa.update(roots).where(roots.c.path.in_(list(held))).values(stamp=fresh)
        if held:
            self._db.execute(query)
        self.set("stamp", fresh)
        return True

    def restamp_all(self, fresh: str) -> None:
        """Change every stamp: whoever holds one must look again."""
        self._db.execute(sa.update(roots).values(stamp=fresh))
        self.set("stamp", fresh)

    def set(self, key: str, value: str) -> None:
        """Make or change a setting."""
        query = sa.update(settings).where(settings.c.key == key).values(value=value)
        if not self._db.execute(query).rowcount:
            self._db.execute(sa.insert(settings).values(key=key, value=value))

    def set_store_state(self, name: str, state: StoreState) -> None:
        """Say how far a store is, and forget what every store knows to be gone."""
        following.set_store_state(self._db, name, state)

    def forget_store(self, name: str) -> None:
        """Wait for a store no longer."""
        following.forget_store(self._db, name)

    def set_phashes(self, hashed: Sequence[tuple[IndexedImage, int]]) -> None:
        """Store perceptual hashes of images that have none, if they still are what was hashed."""
        copies.set_phashes(self._db, hashed)

    def add_root(self, path: str, scope: Scope = Scope()) -> list[str]:  # noqa: B008
        """Add a root folder; roots inside it become part of it, their images keep id and vector.

        What their patterns exclude stays excluded. Returns the roots that became part of it.
        """
        scopes = self.scopes()
        inside = [root for root in scopes if below(root, path)]
        lifted = [lift(scopes[root].exclude, below(root, path) or "") for root in inside]
        exclude = (*scope.exclude, *(pattern for each in lifted for pattern in each))
        self._db.execute(sa.insert(roots).values(path=path, stamp=secrets.token_hex(16)))
        self.set_scope(path, replace(scope, exclude=exclude))
        id_of = self._root_ids()
        for root in inside:
            for table in (images, failures):
                longer = sa.literal(f"{below(root, path)}/", AnyText) + table.c.path
                rows = sa.update(table).where(table.c.root_id == id_of[root])
                self._db.execute(rows.values(root_id=id_of[path], path=longer))
            self._db.execute(sa.delete(roots).where(roots.c.path == root))
        return inside

    def set_scope(self, path: str, scope: Scope) -> None:
        """Say which files of a root folder belong to the index; its images stay as they are."""
        values = {"exclude": list(scope.exclude), "include_hidden": scope.include_hidden}
        self._db.execute(sa.update(roots).where(roots.c.path == path).values(values))

    def move_root(self, old: str, new: str) -> None:
        """Put a root folder in another place; its images keep path, id and vector."""
        self._db.execute(sa.update(roots).where(roots.c.path == old).values(path=new))

    def remove_root(self, path: str) -> int:
        """Forget a root folder with its images and failures; returns how many images."""
        root = self._root_ids()[path]
        self._db.execute(sa.delete(failures).where(failures.c.root_id == root))
        gone = self._db.execute(sa.delete(images).where(images.c.root_id == root)).rowcount
        self._db.execute(sa.delete(roots).where(roots.c.id == root))
        return gone

    def apply(self, changes: Changes) -> None:
        """Write a batch; paths are freed before they are taken."""
        self._model = self._db.execute(sa.select(PRESENT)).scalar_one()
        self._roots = self._root_ids()
        failed = [
            self._row(failure.file) | {"reason": failure.reason} for failure in changes.failed
        ]
        self.remove(changes.removed)
        self._remove_at(images, failed)
        self._move(changes.moved)
        self._replace(changes.changed)
        self._insert(changes.added)
        read = [image.file for image in (*changes.added, *changes.changed.values())]
        healed = [*read, *changes.moved.values(), *changes.forgotten]
        self._remove_at(failures, [*failed, *map(self._row, healed)])
        self._each(sa.insert(failures), failed)
        self._caption(changes.captions)

    def remove(self, ids: Iterable[int]) -> None:
        """Remove images, with their vectors and captions."""
        for chunk in chunks(ids):
            self._db.execute(sa.delete(images).where(images.c.id.in_(chunk)))

    def begin_staging(self, spec: EncoderSpec) -> list[EncoderSpec]:
        """Take vectors of this encoder beside the present ones; drop, and name, those of others."""
        other = (models.c.fingerprint != spec.fingerprint) & (models.c.id != PRESENT)
        columns = (models.c.name, models.c.fingerprint, models.c.dim)
        dropped = [EncoderSpec(*row) for row in self._db.execute(sa.select(*columns).where(other))]
        self._db.execute(sa.delete(models).where(other))
        self.add_model(spec)
        return dropped

    def add_model(self, spec: EncoderSpec) -> int:
        """Make room for the vectors of an encoder, if there is none; returns the model's id."""
        if (known := self._model_id(spec)) is not None:
            return known
        values = {"name": spec.name, "fingerprint": spec.fingerprint, "dim": spec.dim}
        made = self._db.execute(sa.insert(models).values(values).returning(models.c.id))
        return int(made.scalar_one())

    def stage(self, spec: EncoderSpec, digests: Sequence[bytes], rows: Embeddings) -> None:
        """Stage (n, dim) embeddings of n contents for all images that have one of them now.

        An image that has one of this encoder keeps it: it is of the same content.
        """
        model = self._model_id(spec)
        values = (sa.literal(model), images.c.id, sa.bindparam("vector", type_=sa.LargeBinary))
        found = sa.select(*values).where(images.c.digest == sa.bindparam("content"))
        found = found.where(~self._has_vector(sa.literal(model)))
        query = sa.insert(embeddings).from_select(["model_id", "image_id", "vector"], found)
        pairs = zip(digests, rows, strict=True)
        self._each(query, [{"content": each, "vector": _encode(row)} for each, row in pairs])

    def switch(self, spec: EncoderSpec) -> None:
        """Make this encoder the present one; images without a vector of it are removed.

        The vectors of the one before stay until another one is staged.
        """
        self.remove(self.unstaged(spec))
        renamed = sa.update(models).where(models.c.fingerprint == spec.fingerprint)
        self._db.execute(renamed.values(name=spec.name))
        self.set("model", str(self._model_id(spec)))

    def mend(self) -> int:
        """Rebuild all that is derived, remove rows that refer to missing ones; returns how many."""
        orphans = dialect(self._db).mend(self._db)
        words.rebuild(self._db)
        return orphans

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
        return {
            "model_id": self._model,
            "image_id": image_id,
            "vector": _encode(image.embedding),
        }

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
        # Those of all models: they are of the old content.
        old = sa.delete(embeddings).where(embeddings.c.image_id == sa.bindparam("image"))
        self._each(old, [{"image": key} for key in changed])
        new = [self._vector(*pair) for pair in changed.items()]
        dialect(self._db).insert(self._db, embeddings, new)

    def _insert(self, added: Sequence[NewImage]) -> None:
        if not added:
            return
        rows = [self._content(image) for image in added]
        ids = dialect(self._db).insert_numbered(self._db, images, rows)
        dialect(self._db).insert(self._db, embeddings, list(map(self._vector, ids, added)))

    def _caption(self, texts: Mapping[int, Sequence[str]]) -> None:
        old = sa.delete(captions).where(captions.c.image_id == sa.bindparam("image"))
        self._each(old, [{"image": key} for key in texts])
        pairs = ((key, text) for key, each in texts.items() for text in dict.fromkeys(each))
        rows = [{"image_id": key, "text": text} for key, text in pairs]
        dialect(self._db).insert(self._db, captions, rows)


def _encode(embedding: NDArray[np.float32]) -> bytes:
    return embedding.astype("<f2").tobytes()
