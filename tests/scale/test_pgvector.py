from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import StoreError
from searchengine.filters import Filters
from searchengine.scale.pgvector import store as pgvector
from searchengine.scale.pgvector.rows import storable, vector_literal
from searchengine.scale.pgvector.store import PgVectorStore
from searchengine.types import EncoderSpec
from tests.postgres import Postgres, server
from tests.scale.parts import require
from tests.scale.toys import (
    DIM,
    SPEC,
    assert_holds,
    facts_of,
    fill,
    small_disk,
    vectors_of,
    write_until_killed,
)


@pytest.fixture
def url() -> Iterator[str]:
    require("psycopg", "postgres")
    url = server().database()
    yield url
    server().drop(url)


_OPEN: list[PgVectorStore] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def opened(url: str, spec: EncoderSpec = SPEC) -> PgVectorStore:
    _OPEN.append(PgVectorStore(url, "photos", spec))
    return _OPEN[-1]


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def filled(url: str, count: int = 10, spec: EncoderSpec = SPEC) -> PgVectorStore:
    store = opened(url, spec)
    fill(store, count)
    return store


def test_texts_that_postgresql_does_not_take_are_stored_differently_from_all_others() -> None:
    texts = ["\0", "\ud800", "\udc80", "\U0010fe80", "\ufffd", "\U0010fe00", "plain"]
    stored = [storable(text) for text in texts]
    assert not any("\0" in text or "\ud800" <= text[0] <= "\udfff" for text in stored)
    assert stored[-1] == "plain"


def test_a_vector_is_written_with_all_of_its_digits() -> None:
    vector = vectors_of(1)[0]
    text = vector_literal(vector)
    assert np.array_equal(np.array(text[1:-1].split(","), np.float32), vector)


@pytest.mark.slow
def test_the_view_shows_the_encoder_in_use(url: str) -> None:
    one, two = filled(url, 3), filled(url, 5, EncoderSpec("toy", "f" * 64, DIM))
    database = name_of(url)
    assert server().execute("SELECT count(*) FROM photos", database) == "5"
    one.settle()
    assert server().execute("SELECT count(*) FROM photos", database) == "3"
    two.drop()
    assert server().execute("SELECT count(*) FROM photos", database) == "3"
    one.drop()
    assert server().execute("SELECT to_regclass('photos')", database) == ""


@pytest.mark.slow
def test_two_indexes_in_schemas_of_one_database_do_not_meet(url: str) -> None:
    server().execute("CREATE SCHEMA shop", name_of(url))
    there, here = filled(f"{url}&options=-csearch_path%3Dshop", 3), filled(url, 5)
    assert (there.count(), here.count()) == (3, 5)
    assert there.name != here.name
    there.drop()
    assert server().execute("SELECT count(*) FROM photos", name_of(url)) == "5"
    again = filled(f"{url}&options=-csearch_path%3Dshop", 2)
    assert again.count() == 2


@pytest.mark.slow
def test_the_graph_finds_all_but_one_in_a_hundred_under_any_filter(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "GRAPH_FROM", 2000)
    monkeypatch.setattr(pgvector, "FEW", 100)
    count = 6000
    store, vectors, ids = filled(url, count), vectors_of(count), np.arange(count)
    indexes = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%hnsw%'"
    assert server().execute(indexes, name_of(url)) == "1"
    store.settle()  # does not build it again
    queries = vectors_of(30, seed=1)
    for share in (1.0, 0.5, 0.1, 0.01, 0.002):
        least = round(count * (1 - share))
        nearest = least + np.argsort(-(queries @ vectors[least:].T), axis=1)[:, :10]
        for among in (Filters(min_bytes=least), ids[least:]):
            _, found = store.search(queries, 10, among)
            assert (
                np.mean([np.isin(a, b).mean() for a, b in zip(nearest, found, strict=True)]) > 0.99
            )
    assert store.search(queries[:1], 3000)[1].shape == (1, 3000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("@/", ":s3cret@/"), "password authentication failed.*check the user and the password"),
        (("@/test", "@/nosuch"), "does not exist; make the database"),
        (("host=", "host=/nowhere"), "check that the server is running"),
    ],
)
def test_what_keeps_one_out_is_one_line_without_the_password(
    url: str, change: tuple[str, str], says: str
) -> None:
    if "s3cret" in change[1]:
        roles = "SELECT count(*) FROM pg_roles WHERE rolname = 'guarded'"
        if server().execute(roles) == "0":
            server().execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        url = url.replace("postgres@/", "guarded@/")
    store = opened(url.replace(*change))
    for use in (store.ready, store.count, store.settle, store.drop):
        with pytest.raises(StoreError, match=says) as caught:
            use()
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)


@pytest.mark.slow
def test_a_pgvector_that_is_old_or_missing_is_said_with_what_to_run(url: str) -> None:
    database = name_of(url)
    server().execute("CREATE ROLE plain LOGIN", database)
    plain = opened(url.replace("postgres@/", "plain@/"))
    with pytest.raises(StoreError, match="CREATE EXTENSION vector"):
        plain.ready()
    filled(url)
    with pytest.raises(StoreError, match="rights"):
        plain.count()
    older = "UPDATE pg_extension SET extversion = '0.7.4' WHERE extname = 'vector'"
    server().execute(older, database)
    with pytest.raises(StoreError, match=r"0\.7\.4.*ALTER EXTENSION vector UPDATE"):
        opened(url).ready()


@pytest.mark.slow
def test_a_full_disk_is_one_error_and_what_was_there_stays(tmp_path: Path) -> None:
    postgres = Postgres()
    try:
        with small_disk(postgres.folder / "small", 12) as disk:
            shutil.chown(disk, "nobody")
            disk.chmod(0o700)
            postgres.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            url = f"{postgres.database()}&options=-cdefault_tablespace%3Dsmall"
            store = filled(url, 1000)
            with pytest.raises(StoreError, match="free some space"):
                store.upsert(np.arange(10**5), vectors_of(10**5), facts_of(10**5))
            assert 1000 <= store.count() < 10**5
            assert store.search(vectors_of(1), 1)[1].tolist() == [[0]]
            store.drop()
            postgres.execute("CHECKPOINT")
            assert filled(url, 1000).count() == 1000
            postgres.stop()
    finally:
        postgres.stop()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_server_is_killed() -> None:
    postgres = Postgres()
    try:
        store = opened(postgres.database())
        store.ready()
        done = write_until_killed(store, postgres.kill, 1.0)
        with pytest.raises(StoreError, match="check that the server is running"):
            store.count()
        postgres.start()
        assert_holds(store, done)
        postgres.stop()
        postgres.start()
        assert_holds(store, done)  # the old connection is dead
    finally:
        postgres.stop()
