"""A transaction that changes the catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Table

from searchengine.catalog import copies, words
from searchengine.catalog.changes import Changes, NewImage
from searchengine.catalog.paths import below, lift
from searchengine.catalog.reader import Reader
from searchengine.catalog.schema import (
    AnyText,
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
from searchengine.types import Embeddings, EncoderSpec, ImageFile, IndexedImage, Scope


class Writer(Reader):
    """A transaction that changes the catalog."""

    def restamp(self, held: str, fresh: str) -> bool:
        """Change the stamp from `held` to `fresh`; False if it was not `held`."""
        mine = (settings.c.key == "stamp") & (settings.c.value == held)
        return self._db.execute(sa.update(settings).where(mine).values(value=fresh)).rowcount == 1

    def set(self, key: str, value: str) -> None:
        """Make or change a setting."""
        query = sa.insert(settings).prefix_with("OR REPLACE")
        self._db.execute(query.values(key=key, value=value))

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
        self._db.execute(sa.insert(roots).values(path=path))
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

    def begin_staging(self, fingerprint: str) -> None:
        """Stage vectors of this encoder from now on; those of any other are dropped."""
        if self.staged_fingerprint() != fingerprint:
            self._db.execute(sa.delete(staged))
            self.set("staged_fingerprint", fingerprint)

    def stage(self, digests: Sequence[bytes], embeddings: Embeddings) -> None:
        """Stage (n, dim) embeddings of n contents for all images that have one of them now."""
        found = sa.select(images.c.id, sa.bindparam("vector", type_=sa.LargeBinary))
        found = found.where(images.c.digest == sa.bindparam("content"))
        query = sa.insert(staged).prefix_with("OR REPLACE").from_select(list(staged.c), found)
        pairs = zip(digests, embeddings, strict=True)
        self._each(query, [{"content": each, "vector": _encode(row)} for each, row in pairs])

    def switch(self, spec: EncoderSpec) -> None:
        """Put the staged vectors in the place of all others; images without one are removed."""
        self.remove(self.unstaged())
        self._db.execute(sa.delete(embeddings))
        every = sa.select(staged).order_by(staged.c.image_id)
        self._db.execute(sa.insert(embeddings).from_select(list(staged.c), every))
        self._db.execute(sa.delete(staged))
        for key, value in settings_of(spec).items():
            self.set(key, value)
        self.set("staged_fingerprint", "")

    def mend(self) -> int:
        """Rebuild all that is derived, remove rows that refer to missing ones; returns how many."""
        self._db.exec_driver_sql("REINDEX")
        orphans = self._db.exec_driver_sql("PRAGMA foreign_key_check").all()
        for table, rowid, *_ in orphans:
            self._db.exec_driver_sql(f'DELETE FROM "{table}" WHERE rowid = ?', (rowid,))
        words.rebuild(self._db)
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
        return {"image_id": image_id, "vector": _encode(image.embedding)}

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
        for table in (embeddings, staged):  # both are of the old content
            old = sa.delete(table).where(table.c.image_id == sa.bindparam("image"))
            self._each(old, [{"image": key} for key in changed])
        self._each(sa.insert(embeddings), [self._vector(*pair) for pair in changed.items()])

    def _insert(self, added: Sequence[NewImage]) -> None:
        if not added:
            return
        query = sa.insert(images).returning(images.c.id, sort_by_parameter_order=True)
        ids = self._db.execute(query, [self._content(image) for image in added]).scalars().all()
        self._each(sa.insert(embeddings), list(map(self._vector, ids, added)))

    def _caption(self, texts: Mapping[int, Sequence[str]]) -> None:
        old = sa.delete(captions).where(captions.c.image_id == sa.bindparam("image"))
        self._each(old, [{"image": key} for key in texts])
        pairs = ((key, text) for key, each in texts.items() for text in dict.fromkeys(each))
        self._each(sa.insert(captions), [{"image_id": key, "text": text} for key, text in pairs])


def settings_of(spec: EncoderSpec) -> dict[str, str]:
    """The settings that name an encoder; `Reader.encoder` reads them."""
    return {"encoder": spec.name, "fingerprint": spec.fingerprint, "dim": str(spec.dim)}


def _encode(embedding: NDArray[np.float32]) -> bytes:
    return embedding.astype("<f2").tobytes()
