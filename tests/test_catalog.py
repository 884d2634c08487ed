import os
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

from searchengine import catalog as module
from searchengine.catalog import AnyText, Catalog, Changes, NewImage, below, decode
from searchengine.errors import IndexFolderError
from searchengine.types import Failure, ImageFile, ImageInfo

INFO = ImageInfo(640, 480, "JPEG", "2024-07-01T18:30:00+02:00", "Canon", None, 48.5, -2.25)
ROOT = "/photos"


def picture(path, digest=b"d" * 32, size=10):
    return NewImage(ImageFile(ROOT, path, size, 20), digest, INFO, np.array([0.6, 0.8], np.float32))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalog.db"


@pytest.fixture
def catalog(path):
    catalog = Catalog.create(path, {"stamp": "first"})
    with catalog.writing() as rows:
        rows.add_root(ROOT)
    yield catalog
    catalog.close()


def apply(catalog, **changes):
    with catalog.writing() as rows:
        rows.apply(Changes(**changes))


def files(catalog, root=ROOT):
    with catalog.reading() as rows:
        return {path: image_id for path, (image_id, _, _) in rows.files(root).items()}


def failed(catalog):
    with catalog.reading() as rows:
        return {failure.file.path: failure.reason for failure in rows.failures()}


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


def test_an_image_is_read_as_it_was_written(catalog):
    apply(catalog, added=[picture("a/caf\udce9.jpg")])
    with catalog.reading() as rows:
        (image,) = rows.images([1]).values()
        vectors = rows.vectors([1])
    assert image.file == ImageFile(ROOT, "a/caf\udce9.jpg", 10, 20)
    assert image.info == INFO
    np.testing.assert_allclose(decode([vectors[1]], 2), [[0.6, 0.8]], atol=1e-3)
    with pytest.raises(IndexFolderError, match="check --repair"):
        decode([vectors[1]], 3)


def test_two_images_may_change_places(catalog):
    apply(catalog, added=[picture("a"), picture("b"), picture("c")])
    moved = {1: ImageFile(ROOT, "b", 1, 1), 2: ImageFile(ROOT, "c", 2, 2)}
    apply(catalog, moved=moved, removed=[3], added=[picture("a")])
    assert files(catalog) == {"b": 1, "c": 2, "a": 4}


def test_a_path_holds_an_image_or_a_failure(catalog):
    apply(catalog, added=[picture("a"), picture("b")])
    broken = [Failure(ImageFile(ROOT, name, 1, 1), "cut short") for name in ("a", "x", "y")]
    apply(catalog, failed=broken)
    assert files(catalog) == {"b": 2}
    assert failed(catalog) == dict.fromkeys("axy", "cut short")
    apply(catalog, added=[picture("x")], moved={2: ImageFile(ROOT, "a", 1, 1)})
    assert failed(catalog) == {"y": "cut short"}
    apply(catalog, failed=[Failure(ImageFile(ROOT, "y", 2, 2), "still")])
    assert failed(catalog) == {"y": "still"}
    apply(catalog, forgotten=[ImageFile(ROOT, "y", 2, 2)])
    assert failed(catalog) == {}


def test_a_copy_takes_facts_and_vector(catalog):
    apply(catalog, added=[picture("a", b"1"), picture("b", b"2")])
    apply(catalog, copied=[(ImageFile(ROOT, "c", 3, 4), 2), (ImageFile(ROOT, "d", 5, 6), 2)])
    with catalog.reading() as rows:
        same = rows.by_digest([b"2", b"unknown"])
        vectors = rows.vectors([2, 3, 4])
    assert [image.file.path for image in same[b"2"]] == ["b", "c", "d"]
    assert {image.info for image in same[b"2"]} == {INFO}
    assert list(same) == [b"2"]
    assert len(vectors) == 3
    assert len(set(vectors.values())) == 1
    with pytest.raises(IndexFolderError, match="99"):
        apply(catalog, copied=[(ImageFile(ROOT, "e", 3, 4), 99)])


def test_changed_content_keeps_the_id_and_numbers_the_vector_anew(catalog):
    apply(catalog, added=[picture("a", b"1"), picture("b", b"2")])
    with catalog.reading() as rows:
        before = rows.last_seq()
    apply(catalog, changed={1: picture("a", b"3", size=11)})
    with catalog.reading() as rows:
        (blocks,) = rows.vectors_after(before)
        assert blocks[0].tolist() == [1]
        assert rows.files(ROOT)["a"] == (1, 11, 20)
        assert list(rows.by_digest([b"1", b"3"])) == [b"3"]


def test_ids_and_vector_numbers_are_never_used_twice(catalog):
    apply(catalog, added=[picture("a"), picture("b")])
    apply(catalog, removed=[2])
    apply(catalog, added=[picture("c")])
    assert files(catalog) == {"a": 1, "c": 3}
    with catalog.reading() as rows:
        assert rows.last_seq() == 3


def test_a_batch_is_written_whole_or_not_at_all(catalog):
    apply(catalog, added=[picture("a")])
    with pytest.raises(IndexFolderError, match="UNIQUE"):
        apply(catalog, added=[picture("b"), picture("a")])
    with pytest.raises(IndexFolderError, match="not a root"):
        apply(catalog, removed=[1], added=[NewImage(ImageFile("/x", "b", 1, 1), b"", INFO, None)])
    assert files(catalog) == {"a": 1}


def test_more_ids_than_one_statement_takes(catalog):
    apply(catalog, added=[picture(f"{n}") for n in range(2000)])
    with catalog.reading() as rows:
        assert len(rows.images(range(3000))) == 2000


def test_a_wider_root_takes_in_the_narrower_ones(catalog):
    with catalog.writing() as rows:
        rows.add_root("/photosynthesis")
    apply(catalog, added=[picture("a/b")], failed=[Failure(ImageFile(ROOT, "x", 1, 1), "no")])
    with catalog.writing() as rows:
        assert rows.add_root("/") == [ROOT, "/photosynthesis"]
    assert files(catalog, "/") == {"photos/a/b": 1}
    assert failed(catalog) == {"photos/x": "no"}


def test_below():
    assert below("/a/b/c", "/a") == "b/c"
    assert below("/a", "/a") == ""
    assert below("/ab", "/a") is None
    assert below("/a", "/a/b") is None


def test_readers_answer_while_one_writes(catalog):
    with catalog.writing() as rows:
        rows.apply(Changes(added=[picture("a")]))
        assert files(catalog) == {}
    assert files(catalog) == {"a": 1}


def test_a_reader_sees_one_state(catalog):
    with catalog.reading() as rows:
        assert rows.count() == 0
        apply(catalog, added=[picture("a")])
        assert rows.count() == 0


def test_a_second_writer_gives_up_after_a_while(path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    catalog = Catalog.create(path, {})
    with (
        catalog.writing(),
        pytest.raises(IndexFolderError, match="locked; another process"),
        catalog.writing(),
    ):
        pass
    catalog.close()


def test_only_the_holder_of_the_stamp_changes_it(catalog):
    with catalog.writing() as rows:
        assert not rows.restamp("other", "mine")
        assert rows.restamp("first", "second")
        assert rows.stamp() == "second"


def test_the_database_is_set_up_for_vectors_and_power_cuts(catalog):
    with catalog.reading() as rows:
        read = {
            name: rows._db.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("page_size", "journal_mode", "synchronous", "foreign_keys")
        }
    assert read == {"page_size": 16384, "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_opening_creates_nothing(path):
    with pytest.raises(IndexFolderError, match="searchengine index FOLDER --index"):
        Catalog.open(path)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"no database " * 1000])
def test_what_is_no_catalog_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(IndexFolderError, match="not a"):
        Catalog.open(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("table", ["songs (name)", "settings (key, value)"])
def test_another_program_s_database_is_left_alone(path, table):
    db = sqlite3.connect(path)
    db.execute(f"CREATE TABLE {table}")
    db.close()
    before = path.read_bytes()
    for use in (Catalog.open, lambda path: Catalog.create(path, {})):
        with pytest.raises(IndexFolderError, match=r"not an index|already holds"):
            use(path)
    assert path.read_bytes() == before


def test_creation_finishes_what_a_kill_left(path):
    path.touch()  # all that is there before the one transaction commits
    assert not Catalog.exists(path)
    Catalog.create(path, {"stamp": "first"}).close()
    with pytest.raises(IndexFolderError, match="already holds"):
        Catalog.create(path, {})
    Catalog.open(path).close()


def test_a_full_disk_is_one_clear_line(catalog):
    def fill():
        with catalog.writing() as rows:
            rows._db.exec_driver_sql("PRAGMA max_page_count=20")
            rows.apply(Changes(added=[picture(f"{n}" * 99) for n in range(5000)]))

    with pytest.raises(IndexFolderError, match="is full; free some disk space"):
        fill()
    assert files(catalog) == {}


def test_a_newer_schema_is_refused(catalog, path):
    with catalog.writing() as rows:
        rows.set("schema", "2")
    with pytest.raises(IndexFolderError, match=r"newer searchengine.*upgrade"):
        Catalog.open(path)


def test_an_older_schema_is_migrated_in_one_transaction(catalog, path, monkeypatch):
    def add_stars(db):
        db.execute(sa.text("ALTER TABLE images ADD COLUMN stars INTEGER"))

    def crash(db):
        raise KeyboardInterrupt

    def state():
        with catalog.reading() as rows:
            columns = sa.inspect(rows._db).get_columns("images")
            return rows.settings()["schema"], "stars" in [column["name"] for column in columns]

    apply(catalog, added=[picture("a")])
    monkeypatch.setattr(module, "MIGRATIONS", [add_stars, crash])
    with pytest.raises(KeyboardInterrupt):
        Catalog.open(path)
    assert state() == ("1", False)

    monkeypatch.setattr(module, "MIGRATIONS", [add_stars])
    Catalog.open(path).close()
    Catalog.open(path).close()
    assert state() == ("2", True)
    assert files(catalog) == {"a": 1}


def test_a_read_only_folder_can_be_read(catalog, path, monkeypatch):
    apply(catalog, added=[picture("a")])
    catalog.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with_reader = Catalog.open(path)
    assert files(with_reader) == {"a": 1}
    with pytest.raises(IndexFolderError, match="writable"):
        apply(with_reader, removed=[1])
    with_reader.close()
    assert os.listdir(path.parent) == [path.name]


def test_the_orm_is_never_imported():
    code = "import sys, searchengine.catalog; sys.exit('sqlalchemy.orm' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
