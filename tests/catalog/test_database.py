import os
import sqlite3
import subprocess
import sys

import pytest
import sqlalchemy as sa

from searchengine.catalog import Catalog, Changes, database
from searchengine.catalog.migrations import MIGRATIONS
from searchengine.errors import IndexFolderError
from tests.catalog.toys import SPEC, apply, files, picture


@pytest.mark.sqlite
def test_the_database_is_set_up_for_vectors_and_power_cuts(catalog):
    with catalog.reading() as rows:
        read = {
            name: rows._db.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("page_size", "journal_mode", "synchronous", "foreign_keys")
        }
    assert read == {"page_size": 16384, "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@pytest.mark.sqlite
def test_opening_creates_nothing(path):
    with pytest.raises(IndexFolderError, match="searchengine index FOLDER --index"):
        Catalog.open(path)
    assert not path.exists()


@pytest.mark.sqlite
@pytest.mark.parametrize("content", [b"", b"no database " * 1000])
def test_what_is_no_catalog_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(IndexFolderError, match="not a"):
        Catalog.open(path)
    assert path.read_bytes() == content


@pytest.mark.sqlite
@pytest.mark.parametrize("table", ["songs (name)", "settings (key, value)"])
def test_another_program_s_database_is_left_alone(path, table):
    db = sqlite3.connect(path)
    db.execute(f"CREATE TABLE {table}")
    db.close()
    before = path.read_bytes()
    for use in (Catalog.open, lambda path: Catalog.create(path, SPEC, {})):
        with pytest.raises(IndexFolderError, match=r"not an index|already holds"):
            use(path)
    assert path.read_bytes() == before


@pytest.mark.sqlite
def test_creation_finishes_what_a_kill_left(path):
    path.touch()  # all that is there before the one transaction commits
    assert not Catalog.exists(path)
    Catalog.create(path, SPEC, {"stamp": "first"}).close()
    with pytest.raises(IndexFolderError, match="already holds"):
        Catalog.create(path, SPEC, {})
    Catalog.open(path).close()


@pytest.mark.sqlite
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
        rows.set("schema", "99")
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

    now = 1 + len(MIGRATIONS)
    apply(catalog, added=[picture("a")])
    monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, add_stars, crash])
    with pytest.raises(KeyboardInterrupt):
        Catalog.open(path)
    assert state() == (str(now), False)

    monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, add_stars])
    Catalog.open(path).close()
    Catalog.open(path).close()
    assert state() == (str(now + 1), True)
    assert files(catalog) == {"a": 1}


@pytest.mark.sqlite
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


ALONE = """
import sys
from searchengine.catalog import Catalog

with Catalog.open(sys.argv[1]).alone("pushing") as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_does_what_is_done_alone(catalog, path):
    command = [sys.executable, "-c", ALONE, str(path)]
    other = Catalog.open(path)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "True\n"
        with catalog.alone("pushing") as mine, catalog.alone("something else") as also:
            assert (mine, also) == (False, True)
        apply(catalog, added=[picture("a")])  # nobody is kept from the catalog
        process.kill()
        process.wait()
    with catalog.alone("pushing") as mine, other.alone("pushing") as again:
        assert (mine, again) == (True, False)
    with other.alone("pushing") as mine:
        assert mine
    other.close()


@pytest.mark.sqlite
def test_where_nothing_can_be_written_nobody_is_alone(catalog, path):
    path.with_name("pushing.lock").mkdir()
    with (
        pytest.raises(IndexFolderError, match=r"pushing\.lock.*may be read and written"),
        catalog.alone("pushing"),
    ):
        pass
