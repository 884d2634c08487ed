"""An index in the hand: random embeddings, images that have no file, and a look inside."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from searchengine.index import NewImage
from searchengine.types import EncoderSpec, ImageFile, ImageInfo
from searchengine.vectors import VectorIndex

DIM = 16
SPEC = EncoderSpec("toy", "f" * 64, DIM)
INFO = ImageInfo(640, 480, "JPEG")
ROOT = "/photos"


def unit(n, seed=0, dim=DIM):
    """Random embeddings that float16 holds exactly."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def picture(path, embedding, digest=b"d" * 32):
    return NewImage(ImageFile(ROOT, path, 10, 20), digest, INFO, embedding)


def pictures(n, seed=0, prefix=""):
    return [picture(f"{prefix}{i}", row) for i, row in enumerate(unit(n, seed))]


def paths(index):
    return {path: image_id for path, (image_id, _, _) in index.files(ROOT).items()}


def snapshots(folder):
    return sorted(path.name for path in Path(folder).glob("*.faiss*"))


def found(index, query, k=1):
    return [hit.id for hit in index.search(query[np.newaxis], k)[0]]


def corrupt(index, statement, **values):
    """Change the catalog as no program of ours would: references are not looked after."""
    if (path := index.folder / "catalog.db").exists():
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(statement, values)
        return
    with index._catalog._transaction(writes=True) as db:
        db.execute(sa.text("SET LOCAL session_replication_role = replica"))
        db.execute(sa.text(statement), values)


def damage(path, how):
    data = path.read_bytes()
    if how == "lost":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "garbage":
        path.write_bytes(b"\xff" * len(data))
    elif how == "fewer":
        vectors = VectorIndex.load(path)
        vectors.remove(vectors.ids[:1])
        vectors.save(path)
    else:
        other = VectorIndex(8)
        other.add(np.arange(5), unit(5, dim=8))
        other.save(path)
