"""The indexes that are served, by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from searchengine import SearchEngine
from searchengine.types import EncoderSpec
from searchengine.web.library import Library, unique_names
from searchengine.web.problems import Problem


def test_indexes_are_called_as_their_folders_and_each_differently() -> None:
    folders = [Path(each) for each in ("a/x", "b/x", "x-2", "y", "/", "caf\udce9", "c/x")]
    names = unique_names(folders)
    assert list(names.values()) == folders
    assert list(names) == ["x", "x-2", "x-2-2", "y", "index", "caf?", "x-3"]


def test_an_engine_is_opened_once_and_the_first_one_is_the_default(home: Path) -> None:
    library = Library({"a": home / "index", "b": home / "other"}, "cpu")
    assert library.engine() is library.engine("a")
    assert library.engine("b").catalog.count == 2
    assert (library.names, library.name(None), library.name("b")) == (("a", "b"), "a", "b")
    with pytest.raises(Problem, match="'c'") as caught:
        library.engine("c")
    assert caught.value.status == 404
    library.close()


def test_an_index_of_another_model_is_opened_again(tmp_path: Path) -> None:
    library = Library({"a": tmp_path / "index"}, "cpu")
    with SearchEngine.open(tmp_path / "index") as engine:
        before = library.engine()
        other = EncoderSpec("other", "e" * 64, 8)
        engine.catalog.begin_staging(other)
        engine.catalog.switch(other)
    assert library.engine() is not before
    assert library.engine().catalog.spec == other
    library.close()


def test_warming_loads_the_encoder_and_survives_a_broken_index(
    home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library = Library({"broken": tmp_path, "a": home / "other"}, "cpu")
    library.warm()
    assert library.engine("a")._encoders
    assert "broken" in caplog.text
    library.close()
    assert json.dumps(library.names)
