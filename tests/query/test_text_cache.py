"""The cache of texts: it helps where it can, and never gets in the way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from searchengine.query import text_cache
from searchengine.query.text_cache import TextCache

VECTOR = np.arange(4, dtype=np.float32)


def keeps(cache: TextCache) -> bool:
    cache.put("f", {"dog": VECTOR})
    return "dog" in cache.get("f", ["dog"])


@pytest.mark.parametrize("text", ["dog", "", "\0", "\udcff", "写真 😀", "x" * 100_000, "a\nb"])
def test_what_is_kept_is_found_by_every_process(tmp_path: Path, text: str) -> None:
    path = tmp_path / "new" / "texts.db"
    TextCache(path).put("f", {text: VECTOR})
    found = TextCache(path).get("f", [text, "other"])
    assert list(found) == [text]
    assert np.array_equal(found[text], VECTOR)
    assert found[text].dtype == np.float32


def test_another_model_finds_nothing(tmp_path: Path) -> None:
    cache = TextCache(tmp_path / "texts.db")
    assert keeps(cache)
    assert cache.get("g", ["dog"]) == {}


def test_without_a_path_nothing_is_kept() -> None:
    assert not keeps(TextCache(None))


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_ignored_and_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "texts.db"
    path.write_bytes(content)
    assert not keeps(TextCache(path))
    assert keeps(TextCache(path))


@pytest.mark.parametrize("blob", [b"odd", "text", 7, None])
def test_a_damaged_row_is_ignored(tmp_path: Path, blob: object) -> None:
    path = tmp_path / "texts.db"
    assert keeps(TextCache(path))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE texts SET vector = ?", (blob,))
    assert TextCache(path).get("f", ["dog"]) == {}


def test_a_place_where_nothing_can_be_written_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not keeps(TextCache(tmp_path / "file" / "texts.db"))
    (tmp_path / "texts.db").mkdir()
    assert not keeps(TextCache(tmp_path / "texts.db"))


def test_a_locked_file_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "_WAIT", 0.01)
    cache = TextCache(tmp_path / "texts.db")
    assert keeps(cache)
    with closing(sqlite3.connect(tmp_path / "texts.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert not keeps(cache)
    assert keeps(cache)


def test_the_oldest_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_cache, "KEPT", 5)
    cache = TextCache(tmp_path / "texts.db")
    texts = [str(number) for number in range(12)]
    for at in range(0, 12, 3):
        cache.put("f", dict.fromkeys(texts[at : at + 3], VECTOR))
    assert sorted(cache.get("f", texts), key=int) == texts[-5:]
