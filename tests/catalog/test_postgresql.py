"""A catalog on a PostgreSQL server: what can go wrong there, and several processes at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from searchengine.catalog import Catalog, Changes, database, postgresql
from searchengine.catalog.migrations import MIGRATIONS
from searchengine.errors import IndexFolderError
from searchengine.filters import Filters
from searchengine.types import WordMatch
from tests import postgres
from tests.catalog.toys import INFO, ROOT, SPEC, apply, files, picture
from tests.postgres import Postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Postgres:
    return postgres.server()


@pytest.fixture
def url(server: Postgres) -> Iterator[str]:
    made = server.database()
    yield made
    server.drop(made)


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    catalog = Catalog.create(url, SPEC, {"stamp": "first"})
    with catalog.writing() as rows:
        rows.add_root(ROOT)
    yield catalog
    catalog.close()


def name_of(url: str) -> str:
    return str(sa.make_url(url).database)


# --- What can go wrong ---


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            "postgresql+psycopg://me:secret@127.0.0.1:1/db",
            "PostgreSQL 127.0.0.1:1/db: .*refused.*check that the server runs",
        ),
        (
            "postgresql+psycopg://me:secret@no-such-host.invalid/db",
            "no-such-host.invalid/db: .*check that the server runs",
        ),
        ("postgresql+psycopg://me:secret@127.0.0.1:port/db", "cannot be read; it looks like"),
        ("postgresql://me:secret@", "check that the server runs"),
        ("mysql://me:secret@127.0.0.1/db", r"cannot be read; it looks like postgresql\+psycopg://"),
    ],
)
def test_an_address_that_leads_nowhere(address: str, says: str) -> None:
    for use in (Catalog.open, Catalog.exists, lambda url: Catalog.create(url, SPEC, {})):
        with pytest.raises(IndexFolderError, match=says) as caught:
            use(address)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_wrong_password_an_unknown_user_and_an_unknown_database(server: Postgres) -> None:
    if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'guarded'"):
        server.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    for wrong, says in (
        (server.url(user="guarded:secret"), "password.*check the user and the password"),
        (server.url(user="guarded"), "password.*check the user and the password"),
        (server.url(user="nobody_here"), "role.*check the user"),
        (server.url("no_such"), "no_such.*does not exist; make the database first"),
    ):
        with pytest.raises(IndexFolderError, match=says) as caught:
            Catalog.open(wrong)
        assert "secret" not in str(caught.value)
    assert not Catalog.exists(server.url("template1", user="guarded:right"))


def test_without_psycopg_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(IndexFolderError, match=r"pip install 'searchengine\[postgres\]'"):
        Catalog.open("postgresql+psycopg://me:secret@127.0.0.1/db")


def test_a_database_without_tables_is_no_index_and_creating_makes_only_these(url: str) -> None:
    assert not Catalog.exists(url)
    with pytest.raises(IndexFolderError, match=r"is not an index; make one with .*--catalog URL"):
        Catalog.open(url)
    Catalog.create(url, SPEC, {}).close()
    assert Catalog.exists(url)
    with pytest.raises(IndexFolderError, match="already holds an index"):
        Catalog.create(url, SPEC, {})


@pytest.mark.parametrize("table", ["songs (name text)", "settings (key text, value text)"])
def test_another_program_s_database_is_left_alone(server: Postgres, url: str, table: str) -> None:
    server.execute(f"CREATE TABLE {table}", name_of(url))
    for use in (Catalog.open, lambda url: Catalog.create(url, SPEC, {})):
        with pytest.raises(IndexFolderError, match=r"not an index|already holds"):
            use(url)
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert server.execute(query, name_of(url)) == "1"


def test_a_creation_that_fails_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(postgresql, "_DROPPED", ("SELECT 1 / 0",))
        with pytest.raises(IndexFolderError, match="division by zero"):
            Catalog.create(url, SPEC, {})
    assert not Catalog.exists(url)
    Catalog.create(url, SPEC, {}).close()


def test_a_database_that_cannot_hold_every_text_is_refused(server: Postgres) -> None:
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = server.url("latin")
    with pytest.raises(IndexFolderError, match="encoding LATIN1; make one with UTF8"):
        Catalog.create(url, SPEC, {})
    server.drop(url)


def test_several_indexes_share_a_database_by_schema(server: Postgres, url: str) -> None:
    here = f"{url}&options=-csearch_path%3Dholiday"
    with pytest.raises(IndexFolderError, match="make the schema first"):
        Catalog.create(here, SPEC, {})
    server.execute("CREATE SCHEMA holiday", name_of(url))
    for place in (url, here):
        with Catalog.create(place, SPEC, {"stamp": place}).writing() as rows:
            rows.add_root(ROOT)
    one, other = Catalog.open(url), Catalog.open(here)
    apply(other, added=[picture("a dog.jpg")])
    with one.writing(), other.writing(), one.alone("x") as first, other.alone("x") as second:
        assert first
        assert second
    assert (files(one), files(other)) == ({}, {"a dog.jpg": 1})
    with other.reading() as rows:
        assert [each.id for each in rows.words("dog", 9)] == [1]
        assert rows.problems() == []
    one.close()
    other.close()


def test_a_newer_schema_is_refused(catalog: Catalog, url: str) -> None:
    with catalog.writing() as rows:
        rows.set("schema", "99")
    with pytest.raises(IndexFolderError, match=r"newer searchengine.*upgrade"):
        Catalog.open(url)


def test_a_later_migration_that_fails_changes_nothing(
    catalog: Catalog, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_stars(db: sa.Connection) -> None:
        db.execute(sa.text("ALTER TABLE images ADD COLUMN stars INTEGER"))

    def fail(db: sa.Connection) -> None:
        db.execute(sa.text("SELECT 1 / 0"))

    apply(catalog, added=[picture("a")])
    for steps, stars in (([add_stars, fail], False), ([add_stars], True)):
        monkeypatch.setattr(database, "MIGRATIONS", [*MIGRATIONS, *steps])
        if stars:
            Catalog.open(url).close()
        else:
            with pytest.raises(IndexFolderError, match="division"):
                Catalog.open(url)
        with catalog.reading() as rows:
            columns = [each["name"] for each in sa.inspect(rows._db).get_columns("images")]
            assert ("stars" in columns) == stars


def test_who_may_only_read_reads(server: Postgres, catalog: Catalog, url: str) -> None:
    apply(catalog, added=[picture("a dog.jpg")])
    here = name_of(url)
    server.execute("CREATE ROLE reader LOGIN")
    with pytest.raises(IndexFolderError, match=r"permission denied.*GRANT"):
        Catalog.open(server.url(here, "reader"))
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", here)
    reading = Catalog.open(server.url(here, "reader"))
    assert files(reading) == {"a dog.jpg": 1}
    with reading.reading() as rows:
        assert rows.words("dog", 9) == [WordMatch(1, ("file name",))]
        assert rows.matching(Filters(camera="canon")).tolist() == [1]
        assert sum(len(ids) for ids, _ in rows.vectors_after(0)) == 1
    with pytest.raises(IndexFolderError, match=r"permission denied.*GRANT"):
        apply(reading, removed=[1])
    reading.close()
    server.execute("DROP OWNED BY reader; DROP ROLE reader", here)


def test_a_full_disk_is_one_clear_line(catalog: Catalog) -> None:
    raises = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"

    def fill() -> None:
        with catalog.writing() as rows:
            rows.apply(Changes(added=[picture("a")]))
            rows._db.exec_driver_sql(raises)

    with pytest.raises(IndexFolderError, match="could not extend file; the server's disk is full"):
        fill()
    assert files(catalog) == {}


# --- Texts and words ---


def test_every_character_survives(catalog: Catalog) -> None:
    odd = "\0 \U0010fe00 \U0010fe80 \udc80\udcff 🐕 \x01"
    info = replace(INFO, camera=odd)
    path = odd.replace("\0", "")
    apply(catalog, added=[replace(picture(path), info=info)], captions={1: (odd, "")})
    with catalog.reading() as rows:
        (image,) = rows.images([1]).values()
        assert (image.file.path, image.info.camera) == (path, odd)
        assert rows.captions() == {1: (odd, "")}
        assert rows.facets().cameras.keys() <= set(odd.split("\0")) | {odd}
        assert rows.matching(Filters(camera="\0 \U0010fe00")).tolist() == [1]


def test_captions_of_any_length(catalog: Catalog) -> None:
    apply(catalog, added=[picture("a"), picture("b")])
    long = "word" * 5000
    many = " ".join(f"w{n}" for n in range(200_000))
    apply(catalog, captions={1: (f"{long} end",), 2: (many + " dog " * 99_999,)})
    with catalog.reading() as rows:
        assert [each.id for each in rows.words(long, 9)] == [1]
        assert [each.id for each in rows.words(f'"{long[1:]}"', 9)] == []
        assert [each.id for each in rows.words("w1 w2 w30000", 9)] == [2]
        assert rows.problems() == []
        assert rows.words(many, 9) == [] or rows.words(many, 9)[0].id == 2


def test_numbers_of_vectors_ascend_as_transactions_commit(catalog: Catalog) -> None:
    """Who wrote up to a number has seen all that is below it."""
    with catalog.writing() as rows:
        rows.apply(Changes(added=[picture("a")]))
        with pytest.raises(IndexFolderError, match="lock timeout; another process"):
            _quickly(catalog)
    with catalog.reading() as rows:
        last = rows.last_seq()
    apply(catalog, added=[picture("b")])
    with catalog.reading() as rows:
        assert rows.last_seq() > last


def _quickly(catalog: Catalog) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgresql, "BUSY_SECONDS", 0.05)
        apply(catalog, added=[picture("never")])


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM words WHERE image_id = 1",
        "UPDATE words SET vector = '''cat'':1A' WHERE image_id = 1",
        "INSERT INTO words VALUES (99, '''dog'':1A')",
        "DROP TRIGGER words_image_added ON images",
    ],
)
def test_mending_makes_the_words_anew(catalog: Catalog, damage: str) -> None:
    apply(catalog, added=[picture("dog.jpg"), picture("cat.jpg")])
    with catalog.writing() as rows:
        rows._db.exec_driver_sql(damage)
    with catalog.reading() as rows:
        assert bool(rows.problems()) == ("TRIGGER" not in damage)
    with catalog.writing() as rows:
        assert rows.mend() == 0
    apply(catalog, added=[picture("dogs.jpg")])
    with catalog.reading() as rows:
        found = {word: [each.id for each in rows.words(word, 9)] for word in ("dog", "cat", "dogs")}
        assert found == {"dog": [1], "cat": [2], "dogs": [3]}
        assert rows.problems() == []


def test_age_is_told_by_the_clock_of_this_machine(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # nine hours before UTC
    time.tzset()
    try:
        catalog = Catalog.create(url, SPEC, {})
        with catalog.writing() as rows:
            rows.add_root(ROOT)
        taken = replace(INFO, taken_at="1970-01-01T08:00:00")
        undated = replace(INFO, taken_at=None)
        apply(
            catalog, added=[replace(picture(n), info=i) for n, i in (("a", undated), ("b", taken))]
        )
        with catalog.reading() as rows:
            assert rows.newest(None, 0, 9) == [1, 2]
        catalog.close()
    finally:
        monkeypatch.undo()
        time.tzset()


# --- Several processes ---


WRITER = """
import sys
import numpy as np
from searchengine.catalog import Catalog, Changes, NewImage
from searchengine.types import ImageFile, ImageInfo

url, root = sys.argv[1:]
catalog = Catalog.open(url)
with catalog.writing() as rows:
    if root not in rows.roots():
        rows.add_root(root)
row = np.array([0.6, 0.8], np.float32)
batch = 0
while True:
    batch += 1
    images = [
        NewImage(ImageFile(root, f"{batch}/{n}.jpg", 1, 1), b"d", ImageInfo(1, 1, "PNG"), row)
        for n in range(20)
    ]
    with catalog.writing() as rows:
        held = {root: rows.root_stamps()[root]}
        assert rows.restamp(held, f"{root} {batch}")
        rows.apply(Changes(added=images))
    print(batch, flush=True)
"""


@contextmanager
def writing(url: str, root: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, url, root]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def batches(catalog: Catalog, root: str) -> set[int]:
    """The batches that are there, all of them whole."""
    found = [path.partition("/")[0] for path in files(catalog, root)]
    assert {found.count(each) for each in set(found)} <= {20}
    return set(map(int, found))


def test_a_server_killed_while_one_writes_loses_nothing_that_was_acknowledged(
    server: Postgres, catalog: Catalog, url: str
) -> None:
    acknowledged = 0
    for _ in range(3):
        with writing(url, f"/writer{acknowledged}") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            time.sleep(0.3)
            server.kill()
            lines = process.stdout.read().split()
            said = process.stderr.read().splitlines()[-1]
        assert "IndexFolderError" in said
        assert "check that the server runs" in said
        server.start()
        # The same object goes on: a connection that is dead is noticed.
        there = batches(catalog, f"/writer{acknowledged}")
        assert there >= set(map(int, lines))
        with catalog.reading() as rows:
            assert rows.problems() == []
        acknowledged += len(lines) + 1
    apply(catalog, added=[picture("after.jpg")])
    assert "after.jpg" in files(catalog)


def test_two_processes_write_to_two_roots_while_readers_see_whole_states(
    catalog: Catalog, url: str
) -> None:
    with writing(url, "/one") as one, writing(url, "/other") as other:
        assert one.stdout is not None
        assert other.stdout is not None
        for process in (one, other):
            process.stdout.readline()
        last = 0
        for _ in range(20):
            with catalog.reading() as rows:
                count, seq = rows.count(), rows.last_seq()
                time.sleep(0.02)
                blocks = [ids for ids, _ in rows.vectors_after(0)]
                assert sum(map(len, blocks)) == count == len(rows.ids())
                assert (rows.count(), rows.last_seq()) == (count, seq)
                assert count % 20 == 0
                newer = [ids for ids, _ in rows.vectors_after(last)]
                seen = sum(map(len, newer))
            with catalog.reading() as rows:
                assert rows.count() >= count
            assert seen >= 0
            last = seq
        numbers = {int(each.stdout.readline()) for each in (one, other)}
        assert min(numbers) > 1
    assert batches(catalog, "/one")
    assert batches(catalog, "/other")
    with catalog.reading() as rows:
        assert rows.problems() == []


def test_who_follows_by_number_misses_nothing(catalog: Catalog, url: str) -> None:
    seen: list[int] = []
    last = 0
    with writing(url, "/one") as one, writing(url, "/other") as other:
        for process in (one, other):
            assert process.stdout is not None
            process.stdout.readline()
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with catalog.reading() as rows:
                seen += [each for ids, _ in rows.vectors_after(last) for each in ids.tolist()]
                last = rows.last_seq()
    with catalog.reading() as rows:
        seen += [each for ids, _ in rows.vectors_after(last) for each in ids.tolist()]
        assert len(seen) == rows.count()
        assert set(seen) == set(rows.ids().tolist())


HOLDER = """
import sys
from searchengine.catalog import Catalog

catalog = Catalog.open(sys.argv[1])
with catalog.alone("pushing") as mine, catalog.writing() as rows:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_locks_end_with_the_process_that_held_them(catalog: Catalog, url: str) -> None:
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with catalog.alone("pushing") as mine, catalog.alone("something else") as also:
            assert (mine, also) == (False, True)
        with pytest.raises(IndexFolderError, match="another process is writing"):
            _quickly(catalog)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    apply(catalog, added=[picture("a")])
    deadline = time.monotonic() + 5
    mine = False
    while not mine and time.monotonic() < deadline:
        with catalog.alone("pushing") as mine:
            pass
    assert mine


def test_a_large_table_is_read_in_parts(catalog: Catalog, tmp_path: Path) -> None:
    apply(catalog, added=[picture(f"{n}") for n in range(5000)])
    with catalog.reading() as rows:
        blocks = rows.vectors_after(0)
        ids, vectors = next(blocks)
        assert len(ids) == len(vectors) == 2048
        assert rows.count() == 5000  # another question meanwhile
        assert sum(len(each) for each, _ in blocks) == 5000 - 2048
        assert np.concatenate([b.ids for b in rows.written_after(0, SPEC)]).tolist() == list(
            range(1, 5001)
        )
