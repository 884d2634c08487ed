"""What tests of several rooms share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count

import pytest

from searchengine.encoders import ModelFolder
from tests import postgres

# Before any test module copies the environment for its subprocesses.
_CACHES = tempfile.mkdtemp(prefix="searchengine-tests-")
atexit.register(shutil.rmtree, _CACHES, ignore_errors=True)
os.environ["XDG_CACHE_HOME"] = _CACHES
_NUMBERS = count()


@pytest.fixture(autouse=True)
def _own_text_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with an empty cache of texts, and none touches the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(_CACHES, str(next(_NUMBERS))))


@pytest.fixture(autouse=postgres.ON_POSTGRESQL)
def _catalogs_on_a_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Indexes for which no catalog is named have it in a database of their own."""
    monkeypatch.setattr("searchengine.index.folder.default_catalog", postgres.new_place)
    with postgres.dropped():
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what is about the file of SQLite where catalogs are on a server."""
    if postgres.ON_POSTGRESQL:
        items[:] = [item for item in items if item.get_closest_marker("sqlite") is None]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A tiny CLIP of random weights, made once."""
    from tests.models import make_clip_folder

    return make_clip_folder(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def hf_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A tiny convolutional network beside a tiny BERT, of random weights, made once."""
    from tests.models import make_hf_folder

    return make_hf_folder(tmp_path_factory.mktemp("models") / "hf")
