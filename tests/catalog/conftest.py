import pytest

from searchengine.catalog import Catalog
from tests.catalog.toys import ROOT, SPEC
from tests.postgres import new_place


@pytest.fixture
def path(tmp_path):
    """Where the catalog is: a file, or the address of a database."""
    return new_place(tmp_path)


@pytest.fixture
def catalog(path):
    catalog = Catalog.create(path, SPEC, {"stamp": "first"})
    with catalog.writing() as rows:
        rows.add_root(ROOT)
    yield catalog
    catalog.close()
