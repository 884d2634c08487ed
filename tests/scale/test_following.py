"""An index whose vectors are on a real server follows its catalog, whatever the server does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import StoreError
from searchengine.filters import Filters
from searchengine.index import Changes, Index
from searchengine.scale.opening import create_index, open_index, place
from searchengine.types import EncoderSpec
from tests.index.toys import DIM, ROOT, SPEC, paths, picture, unit
from tests.scale.parts import require

pytestmark = pytest.mark.slow

MANY = 3000
OTHER = EncoderSpec("other", "0" * 64, DIM)


class Milvus:
    def __init__(self) -> None:
        require("pymilvus", "milvus")
        from tests.scale.servers import MilvusServer, end_milvus

        end_milvus()
        self.server = MilvusServer()
        self.address = self.server.address

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def end(self) -> None:
        self.server.end()


class Postgres:
    def __init__(self) -> None:
        require("psycopg", "postgres")
        from tests import postgres

        self.server = postgres.Postgres()
        self.address = f"pgvector:{self.server.database()}"

    def kill(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def end(self) -> None:
        self.server.stop()


@pytest.fixture(scope="module", params=[Milvus, Postgres])
def server(request: pytest.FixtureRequest) -> Iterator[Milvus | Postgres]:
    started = request.param()
    yield started
    started.end()


@pytest.fixture
def index(tmp_path: Path, server: Milvus | Postgres) -> Iterator[Index]:
    place(tmp_path / "index", store=server.address)
    with create_index(tmp_path / "index", SPEC) as index:
        index.add_root(ROOT)
        yield index


def fill(index: Index, count: int, seed: int = 0) -> np.ndarray:
    rows = unit(count, seed)
    digests = (number.to_bytes(32, "big") for number in range(count))
    named = zip(rows, digests, strict=True)
    images = [picture(f"{seed}-{i}", row, digest) for i, (row, digest) in enumerate(named)]
    index.write(Changes(added=images))
    return rows


def agrees(index: Index, queries: np.ndarray) -> bool:
    """Whether the store finds what an exact search through the catalog finds."""
    ids = np.sort(index.ids())
    exact = queries @ index.embeddings(ids.tolist()).T
    wanted = ids[np.argsort(-exact, axis=1, kind="stable")[:, :5]]
    return bool((np.sort(index.nearest(queries, 5)[1]) == np.sort(wanted)).all())


def test_a_run_is_found_and_a_second_one_changes_nothing(index: Index) -> None:
    rows = fill(index, 50)
    index.save_snapshot()
    index.save_snapshot()
    assert index.check() == []
    assert agrees(index, rows[:5])
    assert index.nearest(rows[:1], 5, Filters(min_width=10_000))[1].size == 0
    index.write(Changes(removed=[paths(index)["0-1"]]))
    index.save_snapshot()
    assert index.check() == []
    assert agrees(index, rows[:5])


def test_a_server_that_is_killed_while_it_is_filled_is_filled_when_it_is_back(
    index: Index, tmp_path: Path, server: Milvus | Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searchengine.index.mirror._BLOCKS", 1)
    rows = fill(index, MANY)
    index.preload()
    failures: list[StoreError] = []

    def save() -> None:
        try:
            for number in range(1, 200):
                fill(index, 100, number)
                index.save_snapshot()
        except StoreError as error:
            failures.append(error)

    saving = threading.Thread(target=save)
    saving.start()
    time.sleep(1)
    server.kill()
    saving.join(180)
    server.start()
    assert len(failures) == 1
    assert "\n" not in str(failures[0])
    with open_index(tmp_path / "index") as again:
        again.save_snapshot()
        assert again.check() == []
        assert again.count > MANY
        assert agrees(again, rows[:5])


def test_another_encoder_and_back(index: Index) -> None:
    rows, others = fill(index, 60), unit(60, seed=9)
    index.save_snapshot()
    index.begin_staging(OTHER)
    index.stage(OTHER, [number.to_bytes(32, "big") for number in range(60)], others)
    assert agrees(index, rows[:3])
    index.switch(OTHER)
    assert agrees(index, others[:3])
    index.begin_staging(SPEC)
    assert index.unstaged(SPEC) == []
    index.switch(SPEC)
    assert agrees(index, rows[:3])
    assert index.check() == []
