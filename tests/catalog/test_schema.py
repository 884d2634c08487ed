import os
import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from searchengine.catalog import Catalog, decode
from searchengine.catalog.schema import AnyText
from searchengine.errors import IndexFolderError
from searchengine.types import EncoderSpec, Scope, WordMatch
from tests.catalog.toys import INFO, SPEC, apply, picture


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
INSERT INTO settings VALUES ('schema', '1'), ('stamp', 'first'), ('kind', 'exact'),
    ('encoder', 'toy'), ('fingerprint', 'f'), ('dim', '2');
INSERT INTO roots VALUES (1, '/photos');
INSERT INTO images (root_id, path, size, mtime_ns, digest, width, height, format)
    VALUES (1, 'a', 10, 20, x'00', 640, 480, 'JPEG');
INSERT INTO embeddings (image_id, vector) VALUES (1, x'003c0000');
"""


VERSION_2 = """
CREATE TABLE staged (
    image_id INTEGER NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (image_id), FOREIGN KEY(image_id) REFERENCES images (id) ON DELETE CASCADE
);
UPDATE settings SET value = '2' WHERE "key" = 'schema';
INSERT INTO images (root_id, path, size, mtime_ns, digest, width, height, format)
    VALUES (1, 'trips/IMG_beachParty2.jpg', 10, 20, x'01', 640, 480, 'JPEG');
INSERT INTO embeddings (image_id, vector) VALUES (2, x'003c0000');
INSERT INTO captions VALUES (1, 'a dog'), (1, 'a boat');
"""


def tables(path):
    """What every table, index, trigger and column is, however its definition was written."""
    with closing(sqlite3.connect(path)) as db:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        found = {
            name: [
                sorted(row[1:] if pragma == "table_info" else row for row in rows)
                for pragma in ("table_info", "foreign_key_list", "index_list")
                for rows in [db.execute(f"PRAGMA {pragma}('{name}')").fetchall()]
            ]
            for name in names
        }
        others = "SELECT name, sql FROM sqlite_master WHERE type != 'table' OR sql LIKE '%VIRTUAL%'"
        return found | dict(db.execute(others).fetchall())


VERSION_4 = """
ALTER TABLE images ADD COLUMN phash BIGINT;
CREATE VIRTUAL TABLE words USING fts5(name, folder, caption, \
tokenize="unicode61 remove_diacritics 2 categories 'L* N* M* C* S* P*'");
CREATE TABLE words_due (image_id INTEGER NOT NULL PRIMARY KEY);
CREATE TRIGGER words_image_added AFTER INSERT ON images BEGIN \
INSERT OR IGNORE INTO words_due VALUES (new.id); END;
CREATE TRIGGER words_image_moved AFTER UPDATE OF path ON images BEGIN \
INSERT OR IGNORE INTO words_due VALUES (new.id); END;
CREATE TRIGGER words_image_removed AFTER DELETE ON images BEGIN \
INSERT OR IGNORE INTO words_due VALUES (old.id); END;
CREATE TRIGGER words_caption_added AFTER INSERT ON captions BEGIN \
INSERT OR IGNORE INTO words_due VALUES (new.image_id); END;
CREATE TRIGGER words_caption_removed AFTER DELETE ON captions BEGIN \
INSERT OR IGNORE INTO words_due VALUES (old.image_id); END;
INSERT INTO words (rowid, name, folder, caption)
    VALUES (1, 'a', '', 'a dog a boat'), (2, 'img beachparty2 beach party 2', 'trips', '');
UPDATE settings SET value = '4' WHERE "key" = 'schema';
"""


VERSION_5 = """
ALTER TABLE roots ADD COLUMN exclude JSON DEFAULT '[]' NOT NULL;
ALTER TABLE roots ADD COLUMN include_hidden BOOLEAN DEFAULT 0 NOT NULL;
INSERT INTO settings VALUES ('staged_fingerprint', 'other');
INSERT INTO staged VALUES (1, x'00'), (2, x'00');
INSERT INTO captions VALUES (2, 'z'), (2, 'a');
DELETE FROM words WHERE rowid = 2;
INSERT INTO words (rowid, name, folder, caption)
    VALUES (2, 'img beachparty2 beach party 2', 'trips', 'z a');
INSERT INTO images (root_id, path, size, mtime_ns, digest, width, height, format)
    VALUES (1, 'gone', 10, 20, x'02', 640, 480, 'JPEG');
INSERT INTO embeddings (image_id, vector) VALUES (3, x'003c0000');
DELETE FROM embeddings WHERE image_id = 3;
DELETE FROM images WHERE id = 3;
DELETE FROM words_due;
UPDATE settings SET value = '5' WHERE "key" = 'schema';
"""


@pytest.fixture(
    params=[
        VERSION_1,
        VERSION_1 + VERSION_2,
        VERSION_1 + VERSION_2 + VERSION_4,
        VERSION_1 + VERSION_2 + VERSION_4 + VERSION_5,
    ],
    ids=["version 1", "version 2", "version 4", "version 5"],
)
def migrated(request, path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(request.param)
    catalog = Catalog.open(path)
    yield catalog
    catalog.close()


@pytest.mark.sqlite
def test_an_old_database_becomes_what_is_made_today(migrated, path, tmp_path):
    with migrated.reading() as rows:
        settings = {"schema": "6", "stamp": "first", "kind": "exact", "model": "1"}
        assert rows.settings() == settings
        assert rows.encoder() == EncoderSpec("toy", "f", 2)
        assert rows.root_stamps() == {"/photos": ""}
        assert rows.files("/photos")["a"] == (1, 10, 20)
        assert rows.problems() == []
        assert rows.images([1])[1].info.phash is None
        assert rows.scopes() == {"/photos": Scope()}
        np.testing.assert_array_equal(decode([rows.vectors([1])[1]], 2), [[1, 0]])
    Catalog.create(tmp_path / "new.db", SPEC, {}).close()
    assert tables(path) == tables(tmp_path / "new.db")


@pytest.mark.sqlite
def test_a_migrated_database_takes_and_gives_all_that_is_new(migrated):
    info, scope = replace(INFO, phash=-(2**63)), Scope(("raw/", "caf\udce9"), include_hidden=True)
    apply(migrated, added=[replace(picture("new"), info=info)])
    with migrated.writing() as rows:
        rows.set_scope("/photos", scope)
    with migrated.reading() as rows:
        assert rows.scopes() == {"/photos": scope}
        assert rows.images([(new := rows.files("/photos")["new"][0])])[new].info == info
        assert rows.unstaged(EncoderSpec("toy", "f", 2)) == rows.without_vector() == []
        assert rows.unstaged(SPEC) == sorted(each for each, *_ in rows.files("/photos").values())
        assert [match.id for match in rows.words("new", 9)] == [new]


@pytest.mark.sqlite
def test_the_words_of_images_that_were_there_before_are_found(path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1 + VERSION_2)
    catalog = Catalog.open(path)
    with catalog.reading() as rows:
        assert rows.words("beach party", 9) == [WordMatch(2, ("file name",))]
        assert rows.words("dog boat", 9) == [WordMatch(1, ("caption",))]
    catalog.close()


@pytest.mark.sqlite
def test_order_and_numbers_survive_and_what_was_staged_is_dropped(path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1 + VERSION_2 + VERSION_4 + VERSION_5)
    catalog = Catalog.open(path)
    with catalog.writing() as rows:
        assert rows.captions() == {1: ("a dog", "a boat"), 2: ("z", "a")}
        assert rows.last_seq() == 2
        assert not rows.holds(EncoderSpec("other", "other", 2))
    apply(catalog, added=[picture("new")])
    with catalog.reading() as rows:
        assert (rows.files("/photos")["new"][0], rows.last_seq()) == (4, 4)  # 3 was used before
        assert rows.problems() == []
    catalog.close()


@pytest.mark.sqlite
def test_a_database_that_does_not_name_its_model_stays_as_it_is(path):
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.execute("DELETE FROM settings WHERE key = 'dim'")
        db.commit()
    before = tables(path)
    with pytest.raises(IndexFolderError, match="lost the name of its model; index it again"):
        Catalog.open(path)
    assert tables(path) == before
