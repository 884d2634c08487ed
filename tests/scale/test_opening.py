"""Where a folder says that its index keeps its catalog and its vectors."""

import pytest

from searchengine.errors import IndexFolderError, StoreError
from searchengine.index import Changes, Index, Places
from searchengine.scale.opening import create_index, open_index, place
from tests.index.toys import ROOT, SPEC, pictures, unit

URL = "postgresql+psycopg://me@localhost/pictures"


@pytest.fixture
def reachable(monkeypatch):
    monkeypatch.setattr("searchengine.scale.opening.Catalog.exists", lambda _: False)


def test_what_is_named_is_remembered(tmp_path, reachable):
    place(tmp_path / "new", URL, "milvus:http://localhost:19530")
    assert Places.of(tmp_path / "new") == Places(URL, "milvus:http://localhost:19530")


def test_naming_one_leaves_the_other(tmp_path, reachable):
    place(tmp_path, URL)
    place(tmp_path, store="milvus:http://localhost:19530")
    assert Places.of(tmp_path) == Places(URL, "milvus:http://localhost:19530")


def test_faiss_is_the_file_in_the_folder_again(tmp_path):
    place(tmp_path, store="milvus:http://localhost:19530")
    place(tmp_path, store="faiss")
    assert Places.of(tmp_path) == Places(tmp_path / "catalog.db")


def test_a_file_of_milvus_lite_is_remembered_by_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place(tmp_path, store="milvus:vectors.db")
    assert Places.of(tmp_path).store == f"milvus:{tmp_path}/vectors.db"


def test_an_unknown_store_is_one_clear_error_and_changes_nothing(tmp_path):
    with pytest.raises(StoreError, match="there are milvus:http"):
        place(tmp_path / "new", store="qdrant:http://localhost")
    assert not (tmp_path / "new").exists()


def test_pgvector_alone_needs_a_catalog_in_a_database(tmp_path, reachable):
    with pytest.raises(IndexFolderError, match="name a database"):
        place(tmp_path, store="pgvector")
    place(tmp_path, URL, "pgvector")
    assert Places.of(tmp_path) == Places(URL, "pgvector")


@pytest.mark.parametrize(
    "catalog", ["pictures", "postgresql+psycopg://me:secret@127.0.0.1:1/pictures", "mysql://h/d"]
)
def test_a_catalog_that_is_not_there_is_not_remembered(tmp_path, catalog):
    with pytest.raises(IndexFolderError) as caught:
        place(tmp_path / "new", catalog)
    assert "secret" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_a_store_that_is_not_there_is_not_remembered(tmp_path):
    create_index(tmp_path, SPEC).close()
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1"):
        place(tmp_path, store="pgvector:postgresql+psycopg://me:secret@127.0.0.1:1/pictures")
    assert Places.of(tmp_path) == Places(tmp_path / "catalog.db")


def test_the_catalog_of_an_index_stays_where_it_is(tmp_path):
    create_index(tmp_path, SPEC).close()
    with pytest.raises(IndexFolderError, match="searchengine merge"):
        place(tmp_path, URL)
    assert open_index(tmp_path).count == 0


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IndexFolderError, match="cannot write to"):
        place(tmp_path / "file" / "index", store="milvus:http://localhost:19530")


def test_an_index_in_a_folder_that_names_nothing_is_as_ever(tmp_path):
    with create_index(tmp_path, SPEC) as index:
        index.add_root(ROOT)
    assert Index.exists(tmp_path)
    with open_index(tmp_path, SPEC) as index:
        assert index.kind == "exact"


@pytest.mark.slow
def test_vectors_move_to_a_store_and_back(tmp_path):
    from tests.scale.parts import require

    require("milvus_lite", "milvus")
    rows = unit(5)
    with create_index(tmp_path / "index", SPEC) as index:
        index.add_root(ROOT)
        index.write(Changes(added=pictures(5)))
        index.save_snapshot()
        wanted = index.nearest(rows, 3)[1]
    for store, kind in ((f"milvus:{tmp_path}/vectors.db", "milvus:"), ("faiss", "exact")):
        place(tmp_path / "index", store=store)
        with open_index(tmp_path / "index") as index:
            index.save_snapshot()
            assert index.kind.startswith(kind)
            assert (index.nearest(rows, 3)[1] == wanted).all()
            assert index.check() == []
