import pytest

from searchengine.index import Index
from tests.index.toys import ROOT, SPEC


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "an index"


@pytest.fixture
def index(folder):
    with Index.create(folder, SPEC) as index:
        index.add_root(ROOT)
        yield index
