"""Queries by text, by example and by id, against an index that a fake encoder filled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from searchengine import query
from searchengine.errors import QueryError
from searchengine.index import Index
from searchengine.ingest import ingest
from tests.fakes import FakeEncoder
from tests.pictures import fill, jpeg

ENCODER = FakeEncoder()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    home = tmp_path_factory.mktemp("home")
    fill(home / "photos", 20)
    with Index.create(home / "index", ENCODER.spec) as index:
        ingest(index, lambda: ENCODER, [home / "photos"])
        yield index


def test_texts_equal_brute_force(index: Index) -> None:
    ids = np.arange(1, 21)
    texts = ["one", "two", "a longer one"]
    scores = ENCODER.encode_texts(texts) @ index.embeddings(ids.tolist()).T
    for text, row, hits in zip(
        texts, scores, query.search_texts(index, ENCODER, texts, 5), strict=True
    ):
        assert [hit.id for hit in hits] == ids[np.argsort(-row)[:5]].tolist(), text
        assert np.allclose([hit.score for hit in hits], np.sort(row)[::-1][:5], atol=1e-3)


def test_example_finds_itself_as_path_and_as_bytes(index: Index, tmp_path: Path) -> None:
    path = tmp_path / "example.jpg"
    path.write_bytes(jpeg(7))
    for example in (path, str(path), jpeg(7)):
        best = query.search_example(index, ENCODER, example, 3)[0]
        assert best.path.endswith("0007.jpg")
        assert best.score > 0.999


def test_indexed_image_leaves_itself_out_and_needs_no_model(index: Index) -> None:
    hits = query.search_indexed(index, 4, 19)
    assert len(hits) == 19
    assert 4 not in {hit.id for hit in hits}


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_empty_text_is_an_error(index: Index, text: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        query.search_texts(index, ENCODER, ["fine", text], 3)


@pytest.mark.parametrize("k", [0, -1])
def test_k_must_be_positive(index: Index, k: int) -> None:
    with pytest.raises(QueryError, match="at least one"):
        query.search_texts(index, ENCODER, ["x"], k)
    with pytest.raises(QueryError, match="at least one"):
        query.search_indexed(index, 1, k)


@pytest.mark.parametrize("example", [b"", b"text", "/no/such/file.jpg", "/"])
def test_unreadable_example_is_an_error(index: Index, example: bytes | str) -> None:
    with pytest.raises(QueryError, match="example"):
        query.search_example(index, ENCODER, example, 3)


def test_unknown_id_is_an_error(index: Index) -> None:
    with pytest.raises(QueryError, match="999"):
        query.search_indexed(index, 999, 3)
