"""Where an index keeps its catalog and its vectors."""

import json
import stat

import pytest

from searchengine.errors import IndexFolderError
from searchengine.index.places import PLACES, Places, default_catalog

URL = "postgresql+psycopg://user:secret@host/pictures"


def test_a_folder_that_names_nothing_holds_both(tmp_path):
    assert Places.of(tmp_path) == Places(tmp_path / "catalog.db")
    assert default_catalog(tmp_path) == tmp_path / "catalog.db"


@pytest.mark.parametrize(
    ("catalog", "store"),
    [(URL, None), (URL, "milvus:http://host:19530"), (None, "milvus:http://host:19530")],
)
def test_what_is_remembered_is_read(tmp_path, catalog, store):
    places = Places(catalog or default_catalog(tmp_path), store)
    places.remember(tmp_path)
    assert Places.of(tmp_path) == places


def test_only_the_owner_reads_a_password(tmp_path):
    Places(URL).remember(tmp_path)
    assert stat.S_IMODE((tmp_path / PLACES).stat().st_mode) == 0o600


def test_an_index_that_is_moved_to_another_folder_takes_its_own_catalog_along(tmp_path):
    (tmp_path / "one").mkdir()
    Places(tmp_path / "one" / "catalog.db", "milvus:http://host:19530").remember(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "other")
    assert Places.of(tmp_path / "other").catalog == tmp_path / "other" / "catalog.db"


def test_back_to_the_folder_leaves_no_file(tmp_path):
    Places(URL, "milvus:http://host:19530").remember(tmp_path)
    Places(default_catalog(tmp_path)).remember(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '"a"'])
def test_a_damaged_file_is_one_clear_error(tmp_path, content):
    (tmp_path / PLACES).write_text(content)
    with pytest.raises(IndexFolderError, match=r"index\.json cannot be read .* mend it"):
        Places.of(tmp_path)


def test_the_file_is_plain_json(tmp_path):
    Places(URL, "milvus:http://host:19530").remember(tmp_path)
    assert json.loads((tmp_path / PLACES).read_text()) == {
        "catalog": URL,
        "store": "milvus:http://host:19530",
    }
