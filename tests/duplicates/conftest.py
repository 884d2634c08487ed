from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from searchengine.index import Index
from tests.duplicates.toys import ROOT, SPEC


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", SPEC) as index:
        index.add_root(ROOT)
        yield index
