import os
import sqlite3
from contextlib import closing

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from searchengine.catalog import Catalog, decode
from searchengine.catalog.schema import AnyText
from tests.catalog.toys import files


@given(st.binary())
@example("\U0010fe80 \U0010feff".encode())
@example(b"caf\xe9 \xf0\x9f\x98\x80")
def test_any_file_name_survives_as_valid_text(name):
    text = os.fsdecode(name)
    stored = AnyText().process_bind_param(text, None)
    stored.encode("utf-8")
    assert AnyText().process_result_value(stored, None) == text


def test_a_byte_that_is_not_utf8_becomes_its_private_use_character():
    assert AnyText().process_bind_param("\udc80\udcff", None) == "\U0010fe80\U0010feff"


VERSION_1 = """
CREATE TABLE roots (id INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (id), UNIQUE (path));
CREATE TABLE settings ("key" TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE images (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, root_id INTEGER NOT NULL, path TEXT NOT NULL,
    size BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, digest BLOB NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, format TEXT NOT NULL, taken_at TEXT,
    camera TEXT, lens TEXT, latitude FLOAT, longitude FLOAT,
    UNIQUE (root_id, path), FOREIGN KEY(root_id) REFERENCES roots (id)
);
CREATE INDEX ix_images_digest ON images (digest);
CREATE TABLE failures (
    root_id INTEGER NOT NULL, path TEXT NOT NULL, size BIGINT NOT NULL, mtime_ns BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (root_id, path), FOREIGN KEY(root_id) REFERENCES roots (id)
);
CREATE TABLE embeddings (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, image_id INTEGER NOT NULL,
    vector BLOB NOT NULL,
    UNIQUE (image_id), FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);
CREATE TABLE captions (
    image_id INTEGER NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (image_id, text),
    FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);
INSERT INTO settings VALUES ('schema', '1'), ('stamp', 'first');
INSERT INTO roots VALUES (1, '/photos');
INSERT INTO images (root_id, path, size, mtime_ns, digest, width, height, format)
    VALUES (1, 'a', 10, 20, x'00', 640, 480, 'JPEG');
INSERT INTO embeddings (image_id, vector) VALUES (1, x'003c0000');
"""


def tables(path):
    """The definitions of all tables and indexes, without white space."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: "".join(sql.split()) for name, sql in found}


def test_a_database_of_version_1_becomes_what_is_made_today(path, tmp_path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
    catalog = Catalog.open(path)
    with catalog.reading() as rows:
        assert rows.settings() == {"schema": "2", "stamp": "first"}
        assert (files(catalog), rows.staged_fingerprint(), rows.unstaged()) == ({"a": 1}, "", [1])
        np.testing.assert_array_equal(decode([rows.vectors([1])[1]], 2), [[1, 0]])
    catalog.close()
    Catalog.create(tmp_path / "new.db", {}).close()
    assert tables(path) == tables(tmp_path / "new.db")
