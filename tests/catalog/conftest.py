import pytest

from searchengine.catalog import Catalog
from tests.catalog.toys import ROOT


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalog.db"


@pytest.fixture
def catalog(path):
    catalog = Catalog.create(path, {"stamp": "first"})
    with catalog.writing() as rows:
        rows.add_root(ROOT)
    yield catalog
    catalog.close()
