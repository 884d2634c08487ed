"""What other programs get."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from searchengine.errors import ExchangeError
from searchengine.index import Changes, Index, NewImage
from searchengine.portable import export, parquet
from searchengine.types import ImageFile, ImageInfo
from tests.index.toys import DIM, ROOT, SPEC, pictures, unit

COUNT = 5000  # more than two blocks
FACTS = ImageInfo(6, 4, "PNG", "2024-07-01T18:30:00", "Nikon", "50mm", 48.2, -16.4)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    index = Index.create(tmp_path_factory.mktemp("home") / "index", SPEC)
    index.add_root(ROOT)
    index.write(Changes(added=pictures(COUNT)))
    file = ImageFile(ROOT, os.fsdecode(b"caf\xe9.png"), 7, 2**60)
    index.write(Changes(added=[NewImage(file, b"e" * 16, FACTS, unit(1, seed=9)[0])], removed=[3]))
    index.write(Changes(captions={1: ("one", "two"), COUNT: ("ünal",)}))
    return index


VECTORS = np.delete(np.concatenate([unit(COUNT), unit(1, seed=9)]), 2, axis=0)


def test_parquet_holds_every_fact_in_blocks_and_parts(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "PART_ROWS", 3000)
    done: list[tuple[int, int]] = []
    exported = export(index, tmp_path / "out", progress=lambda *each: done.append(each))
    assert done == [(2048, COUNT), (4096, COUNT), (COUNT, COUNT)]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["part-00000.parquet", "part-00001.parquet"]
    assert (exported.images, exported.files) == (COUNT, 2)
    table = pq.read_table(tmp_path / "out")
    facts = json.loads(table.schema.metadata[b"searchengine"])
    assert facts == {"model": SPEC.name, "fingerprint": SPEC.fingerprint, "dim": DIM}
    vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, DIM)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS)
    rows = table.drop_columns(["embedding"]).to_pylist()
    assert [row["id"] for row in rows[:3]] == [1, 2, 4]
    assert rows[0]["captions"] == ["one", "two"]
    assert rows[-1] == {
        **{"id": COUNT + 1, "root": ROOT, "path": "caf\U0010fee9.png", "size": 7},
        **{"mtime_ns": 2**60, "digest": "65" * 16, "width": 6, "height": 4, "format": "PNG"},
        **{"taken_at": FACTS.taken_at, "camera": "Nikon", "lens": "50mm"},
        **{"latitude": 48.2, "longitude": -16.4, "captions": []},
    }


def test_arrays_have_their_rows_in_the_order_of_the_metadata(index: Index, tmp_path: Path) -> None:
    export(index, tmp_path / "out", "npy")
    vectors = np.load(tmp_path / "out" / "img_emb" / "img_emb_0.npy")
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors.astype(np.float32), VECTORS)
    lines = (tmp_path / "out" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    export(index, tmp_path / "table")
    table = pq.read_table(tmp_path / "table").drop_columns(["embedding"])
    assert rows == table.to_pylist()
    assert rows[-2]["captions"] == ["ünal"]


@pytest.mark.parametrize("format_", ["parquet", "npy"])
def test_an_empty_index_is_an_empty_export(tmp_path: Path, format_: parquet.Any) -> None:
    with Index.create(tmp_path / "index", SPEC) as index:
        (tmp_path / "out").mkdir()  # an empty folder is taken
        assert export(index, tmp_path / "out", format_).images == 0
    if format_ == "npy":
        assert np.load(tmp_path / "out" / "img_emb" / "img_emb_0.npy").shape == (0, DIM)
    else:
        assert pq.read_table(tmp_path / "out").num_rows == 0


def test_the_folder_appears_whole_or_not_at_all(index: Index, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        assert not (tmp_path / "out").exists()
        raise KeyboardInterrupt

    for format_ in ("parquet", "npy"):
        with pytest.raises(KeyboardInterrupt):
            export(index, tmp_path / "out", format_, stop)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_folder_stays(index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(ExchangeError, match="is not empty; name a new folder"):
            export(index, taken)
    with pytest.raises(ExchangeError, match="cannot write"):
        export(index, tmp_path / "file" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_pyarrow_the_extra_is_named(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet.importlib.util, "find_spec", lambda name: None)  # type: ignore[attr-defined]
    with pytest.raises(ExchangeError, match=r"pip install 'searchengine\[parquet\]'"):
        export(index, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
