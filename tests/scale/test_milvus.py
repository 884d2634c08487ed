from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import StoreError
from searchengine.filters import Filters
from searchengine.scale.milvus.filters import expression, kept, quoted
from searchengine.scale.milvus.store import MilvusStore
from searchengine.types import EncoderSpec, Facts
from tests.scale.parts import require
from tests.scale.servers import MilvusServer, end_milvus, milvus
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

OTHER = EncoderSpec("toy", "f" * 64, DIM)
_OPEN: list[MilvusStore] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    end_milvus()


def opened(address: str, spec: EncoderSpec = SPEC) -> MilvusStore:
    require("pymilvus", "milvus")
    _OPEN.append(MilvusStore(address.removeprefix("milvus:"), "photos", spec))
    return _OPEN[-1]


def filled(address: str, count: int = 10, spec: EncoderSpec = SPEC) -> MilvusStore:
    store = opened(address, spec)
    fill(store, count)
    return store


def in_use(store: MilvusStore) -> str:
    """Which collection the alias names."""
    return str(store._connection.client.describe_alias("photos")["collection_name"])


def test_a_text_cannot_end_its_literal() -> None:
    assert quoted('a"b\\') == '"a\\"b\\\\"'
    assert quoted("a\nb\rc") == '"a\\nb\\rc"'


def test_every_part_of_a_filter_is_in_the_expression() -> None:
    filters = Filters(
        after="2024", before="2025", types=("jpg",), min_bytes=1, min_width=2, orientation="square"
    )
    assert expression(filters) == (
        '(taken_at != "" and taken_at >= "2024") and (taken_at != "" and taken_at < "2025") and '
        '(format in ["JPEG"]) and (size >= 1) and (width >= 2) and (width == height)'
    )
    assert expression(Filters()) == ""


def test_what_is_longer_than_its_field_is_cut() -> None:
    fields = kept(Facts(1, 2, 3, "x" * 1000, "2" * 1000))
    assert max(len(value) for value in fields.values() if isinstance(value, str)) == 64


@pytest.mark.slow
def test_milvus_lite_is_shared_in_a_process_and_refused_to_another(tmp_path: Path) -> None:
    address = f"milvus:{tmp_path}/new/vectors.db"
    one, two = filled(address), opened(address, OTHER)
    assert two.ready()
    one.close()
    two.upsert(np.arange(3), vectors_of(3), facts_of(3))
    program = (
        "import sys; from searchengine.scale.milvus.store import *;"
        "from searchengine.types import EncoderSpec;"
        f"store = MilvusStore(sys.argv[1], 'photos', EncoderSpec('', {SPEC.fingerprint!r}, {DIM}));"
        "print(store.ready(), store.count()); store.close()"
    )
    command = [sys.executable, "-c", program, f"{tmp_path}/new/vectors.db"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "in use by another process" in refused.stderr.splitlines()[-1]
    two.close()
    taken = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert taken.stdout.split() == ["False", "10"], taken.stderr
    assert one.count() == 10  # a closed one opens again


@pytest.mark.slow
def test_a_file_in_the_place_of_milvus_lite_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "vectors.db").write_text("SQLite format 3")
    with pytest.raises(StoreError, match=r"^milvus:/.*vectors\.db cannot be opened[^\n]+$"):
        opened(f"milvus:{tmp_path}/vectors.db").ready()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_process_of_milvus_lite_is_killed(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, numpy as np; from tests.scale.test_milvus import *;"
        "store = opened(sys.argv[1]); store.ready(); rows = vectors_of(10**5)\n"
        "for start in range(0, 10**5, 200):\n"
        "    ids = np.arange(start, start + 200)\n"
        "    store.upsert(ids, rows[ids], facts_of(200))\n"
        "    print(start + 200, flush=True)\n"
    )
    address = f"milvus:{tmp_path}/vectors.db"
    command = [sys.executable, "-c", program, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            done = int(line)
            if done == 3000:
                process.kill()
    store = opened(address)
    assert not store.ready()
    assert_holds(store, done)


@pytest.mark.slow
# Milvus Lite leaves a file behind that it could not write.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_under_milvus_lite_is_one_error_and_what_was_there_stays(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path / "small", 12) as disk:
        store = filled(f"milvus:{disk}/vectors.db", 1000)
        with pytest.raises(StoreError, match="free some space"):
            store.upsert(np.arange(10**5), vectors_of(10**5), facts_of(10**5))
        store.close()
        store = opened(f"milvus:{disk}/vectors.db")
        store.ready()
        assert store.count() >= 1000
        store.close()


@pytest.mark.slow
def test_the_alias_names_the_collection_in_use(tmp_path: Path) -> None:
    for address in (f"milvus:{tmp_path}/vectors.db", milvus().address):
        one, two = filled(address, 3), filled(address, 5, OTHER)
        assert in_use(one) in two.name
        one.settle()
        assert in_use(one) in one.name
        two.drop()
        assert in_use(one) in one.name
        one.drop()
        assert one.ready()
        assert one.count() == 0
        one.drop()


@pytest.mark.slow
def test_another_object_finds_what_was_written_within_seconds() -> None:
    store = filled(milvus().address, 500)
    other = opened(milvus().address)
    other.ready()
    assert other.count() == 500
    store.delete(np.arange(250))
    assert store.search(vectors_of(1), 1)[1][0, 0] >= 250
    assert other.count() == 250
    store.drop()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "https://me:s3cret@127.0.0.1:1/x"])
def test_a_server_that_is_not_there_is_one_line(place: str) -> None:
    store = opened(place)
    for use in (store.ready, store.count, store.settle, store.drop):
        with pytest.raises(StoreError, match="check that the server is running") as caught:
            use()
        assert "\n" not in str(caught.value)
        assert "s3cret" not in str(caught.value)


@pytest.mark.slow
def test_a_guarded_server_that_is_killed_while_it_is_written_to_loses_nothing() -> None:
    end_milvus()
    server = MilvusServer("authorization_enabled=true")
    try:
        guarded = server.address.replace("//", "//root:Milvus@")
        store = opened(guarded)
        assert store.ready()
        for wrong in (server.address, guarded.replace("Milvus@", "s3cret@")):
            with pytest.raises(StoreError, match="check the user and the password") as caught:
                opened(wrong).ready()
            assert "s3cret" not in str(caught.value)
        with pytest.raises(StoreError, match="make the database"):
            opened(f"{guarded}/nosuch").ready()
        done = write_until_killed(store, server.kill, 1.0)
        with pytest.raises(StoreError, match="check that the server is running"):
            opened(guarded).count()
        server.start()
        assert not store.ready()
        assert_holds(store, done)
        store.upsert(np.arange(10), vectors_of(10), facts_of(10))  # is taken up again
        assert_holds(store, done)
    finally:
        server.end()


@pytest.mark.slow
def test_a_server_on_a_full_disk_is_one_error(tmp_path: Path) -> None:
    end_milvus()
    with small_disk(tmp_path / "small", 400) as disk:
        server = MilvusServer(disk=disk)
        try:
            store = filled(server.address, 5000)
            with contextlib.suppress(OSError):  # the server takes of the room as well
                (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
            more = (np.arange(5000, 10_000), vectors_of(10_000)[5000:], facts_of(5000))
            # Its log has room of its own for a while; then it says so, or ends by itself.
            with pytest.raises(StoreError, match=r"^[^\n]+; (free some|check that the)"):  # noqa: PT012
                for _ in range(200):
                    store.upsert(*more)
        finally:
            server.end()


@pytest.mark.slow
def test_a_server_at_its_disk_quota_is_one_error_and_still_searches() -> None:
    end_milvus()
    limits = "quotaAndLimits"
    server = MilvusServer(
        f"{limits}.quotaCenterCollectInterval=1",
        f"{limits}.limitWriting.diskProtection.enabled=true",
        f"{limits}.limitWriting.diskProtection.diskQuota=1",  # MB
    )
    try:
        store = filled(server.address, 5000)
        with pytest.raises(StoreError, match=r"disk quota exceeded.*; free some"):  # noqa: PT012
            for _ in range(60):  # the server counts now and then
                store.upsert(np.arange(10), vectors_of(10), facts_of(10))
                time.sleep(0.5)
        assert store.search(vectors_of(1), 1)[1][0, 0] == 0
    finally:
        server.end()
