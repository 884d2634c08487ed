"""The Python API, with the built-in model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import searchengine
from searchengine import SearchEngine
from searchengine.encoders.folder import BUILTIN
from searchengine.encoders.reference import EMBEDDINGS
from searchengine.errors import (
    ImageError,
    IndexFolderError,
    IndexModelError,
    ModelError,
    QueryError,
)
from searchengine.filters import Filters
from searchengine.index import Index
from searchengine.ingest import Selection
from searchengine.query import Part, SearchOptions
from searchengine.types import EncoderSpec
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> SearchEngine:
    home = tmp_path_factory.mktemp("home")
    fill(home / "photos", 6)
    opened = SearchEngine.open(home / "index")
    opened.index(home / "photos")
    return opened


def test_the_readme_example(engine: SearchEngine) -> None:
    hits = engine.search("a red boat at dusk", k=5)
    assert len(hits) == 5
    for hit in hits:
        assert -1 <= hit.score <= 1
        assert Path(hit.path).is_file()


def test_similar_takes_path_bytes_and_id(engine: SearchEngine) -> None:
    (image,) = engine.catalog.images([2])
    assert engine.similar(image.path, k=1)[0].id == 2
    assert engine.similar(Path(image.path).read_bytes(), k=1)[0].id == 2
    assert 2 not in [hit.id for hit in engine.similar(2, k=6)]


def test_a_repeated_text_needs_no_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "photos", 3)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(tmp_path / "photos")
        hits = engine.search("a red boat")
    monkeypatch.setattr("searchengine.encoders.load", lambda *_: pytest.fail("the model is loaded"))
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.search("a red boat") == hits
        assert engine.similar(2)


def test_what_no_picture_shows_gets_only_weak_hits(engine: SearchEngine) -> None:
    for text in ("a dog", "a zeppelin", "two children who play football on a beach"):
        assert {hit.relevance for hit in engine.search(text, k=6)} == {"weak"}
        assert engine.search(text, options=SearchOptions(min_relevance="likely")) == []


def test_words_that_must_be_in_the_name(engine: SearchEngine) -> None:
    assert [hit.path[-8:] for hit in engine.search('"0003"')] == ["0003.jpg"]


def test_parts_pictures_and_filters_together(engine: SearchEngine) -> None:
    parts = [Part(jpeg(1)), Part(2, 0.5)]
    hits = engine.search("red", plus=parts, minus=[Part("sea")], filters=Filters(types=("jpg",)))
    assert sorted(hit.id for hit in hits) == [1, 3, 4, 5, 6]
    assert engine.search("red", filters=Filters(types=("png",))) == []


@pytest.mark.parametrize(
    "ask", [lambda e: e.search(), lambda e: e.search(""), lambda e: e.similar([])]
)
def test_nothing_asked_is_an_error(
    engine: SearchEngine, ask: Callable[[SearchEngine], Any]
) -> None:
    with pytest.raises(QueryError, match="empty"):
        ask(engine)


def test_a_model_without_references_tells_no_relevance(tmp_path: Path) -> None:
    fill(tmp_path / "photos", 4)
    shutil.copytree(BUILTIN, tmp_path / "model", ignore=shutil.ignore_patterns("reference.*"))
    with SearchEngine.open(tmp_path / "index", model=str(tmp_path / "model")) as engine:
        engine.index(tmp_path / "photos")
        hits = engine.search("a red boat")
    assert len(hits) == 4
    assert {hit.relevance for hit in hits} == {None}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    (tmp_path / "model" / EMBEDDINGS).write_bytes(b"")
    with (
        SearchEngine.open(tmp_path / "index") as engine,
        pytest.raises(ModelError, match="searchengine models calibrate"),
    ):
        engine.search("a red boat")


def test_many_queries_equal_single_ones(engine: SearchEngine) -> None:
    texts = ["red", "a very long description of a green field under a blue sky", "sea"]
    together = engine.search_many(texts, k=3)
    for text, hits in zip(texts, together, strict=True):
        alone = engine.search(text, k=3)
        assert [hit.id for hit in hits] == [hit.id for hit in alone]
        assert np.allclose([h.score for h in hits], [h.score for h in alone], atol=1e-4)


def test_refresh_brings_every_folder_up_to_date(tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    fill(tmp_path / "b", 1, first=5)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(tmp_path / "a", tmp_path / "b")
        fill(tmp_path / "b", 1, first=9)
        report = engine.refresh()
    assert (report.added, report.unchanged) == (1, 2)


def test_a_refresh_leaves_what_is_behind_an_address_to_a_cluster(tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(tmp_path / "a")
        write_as_cluster(engine.catalog, "s3://bucket/photos", "1.jpg", jpeg(9))
        report = engine.refresh()
        assert (report.unchanged, report.removed, engine.catalog.count) == (1, 0, 2)
        engine.catalog.remove_root(tmp_path / "a")
        with pytest.raises(ImageError, match="--ray reads addresses"):
            engine.refresh()


def test_a_refresh_leaves_out_what_was_excluded(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "a/raw")):
        fill(tmp_path / name, 2, first=10 * number)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(tmp_path / "a", selection=Selection(exclude=["raw/"]))
        report = engine.refresh(selection=Selection(retry_failed=True))
        assert (report.added, report.unchanged) == (0, 2)
        assert engine.refresh(selection=Selection(exclude=())).added == 2


def test_a_photograph_and_its_rotated_twin_are_the_same(tmp_path: Path) -> None:
    scene = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    draw = ImageDraw.Draw(scene)
    draw.rectangle((80, 300, 260, 460), fill=(150, 60, 40))
    draw.polygon([(60, 300), (170, 200), (280, 300)], fill=(90, 30, 20))
    draw.ellipse((480, 40, 580, 140), fill=(250, 220, 80))
    photos = tmp_path / "photos"
    photos.mkdir()
    scene.save(photos / "upright.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.transpose(Image.Transpose.ROTATE_90).save(photos / "turned.jpg", quality=95, exif=exif)
    with SearchEngine.open(tmp_path / "index") as engine:
        engine.index(photos)
        first, second = engine.catalog.embeddings([1, 2])
    assert first @ second >= 0.98


def test_opening_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(IndexFolderError, match="searchengine index FOLDER"):
        SearchEngine.open(tmp_path / "index", create=False)
    with pytest.raises(ModelError, match="no model named"):
        SearchEngine.open(tmp_path / "index", model="nonsense")
    assert not (tmp_path / "index").exists()


def test_model_that_changed_since_is_refused(tmp_path: Path) -> None:
    Index.create(tmp_path / "index", EncoderSpec("builtin", "0" * 64, 384)).close()
    with (
        SearchEngine.open(tmp_path / "index") as engine,
        pytest.raises(IndexModelError, match="--re-embed"),
    ):
        engine.search("anything")


def test_an_example_in_an_empty_index_has_no_hits(tmp_path: Path) -> None:
    with SearchEngine.open(tmp_path / "index") as engine:
        assert engine.similar(jpeg(1)) == []
        assert engine.search("anything") == []


def test_the_package_says_what_it_has_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = searchengine.Nothing


def test_marked_hits_move_the_others(engine: SearchEngine) -> None:
    text = "a red boat at dusk"
    plain = engine.search(text)
    assert engine.search(text, more=[], less=()) == plain
    first, *_, last = (hit.id for hit in plain)
    marked = engine.search(text, more=[last], less=(first,))
    assert {hit.id: hit.score for hit in marked} == pytest.approx(
        {hit.id: hit.score for hit in plain}, abs=1e-3
    )
    assert engine.search(text, less=[first], more=[last]) == marked


@pytest.mark.parametrize(
    "marked", [{"more": [999]}, {"less": [0]}, {"more": [1], "less": [1]}, {"more": [1, 1]}]
)
def test_marks_that_cannot_be_are_an_error_of_one_line(engine: SearchEngine, marked: Any) -> None:
    with pytest.raises(QueryError) as caught:
        engine.search("a boat", **marked)
    assert len(str(caught.value).splitlines()) == 1


def test_marks_need_something_that_was_searched_for(engine: SearchEngine) -> None:
    with pytest.raises(QueryError, match="alone are no query"):
        engine.search(more=[1])
    assert engine.search(minus=[Part("a boat")], more=[1])


def test_a_keyword_that_is_not_there_is_an_error(engine: SearchEngine) -> None:
    with pytest.raises(TypeError):
        engine.search("a boat", moer=[1])  # type: ignore[call-arg]
