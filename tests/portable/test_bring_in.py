"""Embeddings that were computed before become an index; nothing is encoded but a sample."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from searchengine.errors import ExchangeError
from searchengine.index import Changes, Index
from searchengine.ingest import ingest
from searchengine.portable import bring_in, check_origin, export, open_source
from searchengine.portable.origin import Locator, normalised
from tests.fakes import FakeEncoder
from tests.index.toys import unit
from tests.pictures import fill, jpeg

COUNT = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    fill(tmp_path / "photos" / "below", COUNT)
    return tmp_path / "photos"


@pytest.fixture
def original(photos: Path, tmp_path: Path) -> Index:
    index = Index.create(tmp_path / "original", FakeEncoder().spec)
    ingest(index, FakeEncoder, [photos])
    index.write(Changes(captions={1: ("one", "two")}))
    return index


def new(tmp_path: Path) -> Index:
    return Index.create(tmp_path / "new", FakeEncoder().spec)


def contents(index: Index) -> list[tuple[Any, ...]]:
    entries = [entry for block in index.entries() for entry in block]
    return [
        (e.image.file.path, e.image.digest, e.image.info, e.image.embedding.tolist(), e.captions)
        for e in entries
    ]


def clip_retrieval(
    folder: Path,
    paths: list[str],
    vectors: np.ndarray,
    captions: list[str] | None = None,
    n: int = 0,
) -> Path:
    """A folder as clip-retrieval's inference writes it."""
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / f"img_emb_{n}.npy", vectors)
    columns = {"image_path": paths, **({"caption": captions} if captions else {})}
    pq.write_table(pa.table(columns), folder / "metadata" / f"metadata_{n}.parquet")
    return folder


def rows_of(index: Index) -> tuple[list[str], np.ndarray]:
    entries = [entry for block in index.entries() for entry in block]
    vectors = np.stack([entry.image.embedding for entry in entries]).astype(np.float16)
    return [entry.image.file.absolute for entry in entries], vectors


@pytest.mark.parametrize("format_", ["parquet", "npy"])
@pytest.mark.parametrize("moved", [False, True])
def test_an_export_comes_back_as_it_was(
    original: Index, photos: Path, tmp_path: Path, format_: Any, moved: bool
) -> None:
    export(original, tmp_path / "out", format_)
    if moved:
        photos = photos.rename(tmp_path / "other name")
    source = open_source(tmp_path / "out")
    assert (source.model, source.count, source.refused) == ("fake", COUNT, ())
    encoder = FakeEncoder()
    assert check_origin(source, encoder, photos) > 0.999
    with new(tmp_path) as index:
        report = bring_in(index, encoder, source, photos)
        assert (report.added, encoder.encoded) == (COUNT, 8)
        assert contents(index) == contents(original)
        assert index.check() == []
        again = ingest(index, FakeEncoder, [photos])
        assert (again.unchanged, again.added, again.changed) == (COUNT, 0, 0)
        repeated = bring_in(index, encoder, source, photos)
        assert (repeated.added, repeated.known) == (0, COUNT)
        assert contents(index) == contents(original)


def test_clip_retrieval_in_several_files_from_another_machine(
    original: Index, photos: Path, tmp_path: Path
) -> None:
    paths, vectors = rows_of(original)
    paths = [path.replace(str(tmp_path), "/data/server") for path in paths]
    scaled = vectors * np.float16(3)  # not every model normalises
    out = clip_retrieval(tmp_path / "out", paths[:12], scaled[:12], ["a text", ""] * 6)
    clip_retrieval(out, paths[12:], vectors[12:].astype(np.float32), None, 1)
    source = open_source(out)
    check_origin(source, FakeEncoder(), photos)
    with new(tmp_path) as index:
        assert bring_in(index, FakeEncoder(), source, photos).added == COUNT
        captions = index.captions()
        assert len(captions) == 6
        assert set(captions.values()) == {("a text",)}
        np.testing.assert_allclose(rows_of(index)[1], vectors, atol=2e-3)


def test_rows_that_are_of_no_use_are_left_out_and_counted(
    original: Index, photos: Path, tmp_path: Path
) -> None:
    paths, vectors = rows_of(original)
    vectors[0], vectors[1, 3], vectors[2, 5] = 0, np.nan, np.inf
    os.remove(paths[3])
    Path(paths[4]).write_text("no picture")
    out = clip_retrieval(
        tmp_path / "out", [*paths, paths[9]], np.concatenate([vectors, vectors[:1] + 1])
    )
    with new(tmp_path) as index:
        report = bring_in(index, FakeEncoder(), open_source(out), photos)
        assert (report.added, report.known, report.unusable) == (COUNT - 5, 1, 3)
        assert (report.missing, report.failed) == (1, 1)
        assert report.examples == {"unusable": paths[0], "missing": paths[3], "failed": paths[4]}
        assert [each.file.absolute for each in index.failures()] == [paths[4]]


def test_a_picture_that_is_another_one_by_now_gets_no_old_vector(
    original: Index, photos: Path, tmp_path: Path
) -> None:
    export(original, tmp_path / "out")
    (photos / "below" / "0003.jpg").write_bytes(jpeg(99))
    with new(tmp_path) as index:
        report = bring_in(index, FakeEncoder(), open_source(tmp_path / "out"), photos)
        assert (report.added, report.changed) == (COUNT - 1, 1)


def test_misaligned_files_are_refused_with_both_counts(
    original: Index, photos: Path, tmp_path: Path
) -> None:
    paths, vectors = rows_of(original)
    out = clip_retrieval(tmp_path / "out", paths[:9], vectors[:10])
    with pytest.raises(ExchangeError, match=r"img_emb_0.npy has 10 vectors and .* 9 rows"):
        open_source(out)
    clip_retrieval(out, paths[10:], vectors[10:], None, 1)
    np.save(out / "img_emb" / "img_emb_2.npy", vectors)
    (out / "img_emb" / "img_emb_3.npy").write_bytes(b"garbage")
    source = open_source(out)
    assert source.count == 10
    refused = " ".join(source.refused)
    assert len(source.refused) == 3
    assert "10 vectors" in refused
    assert "img_emb_2.npy: there is no metadata" in refused
    assert "img_emb_3.npy: damaged" in refused


def test_a_line_too_few_in_our_own_arrays_is_refused(original: Index, tmp_path: Path) -> None:
    export(original, tmp_path / "out", "npy")
    metadata = tmp_path / "out" / "metadata.jsonl"
    metadata.write_text("\n".join(metadata.read_text().splitlines()[:-1]))
    with pytest.raises(ExchangeError, match=f"{COUNT} vectors and metadata.jsonl {COUNT - 1} rows"):
        open_source(tmp_path / "out")


def test_vectors_of_another_model_are_refused_with_the_figure(
    original: Index, photos: Path, tmp_path: Path
) -> None:
    paths, vectors = rows_of(original)
    out = clip_retrieval(tmp_path / "shuffled", paths, np.roll(vectors, 1, axis=1))
    with pytest.raises(ExchangeError, match=r"mean cosine -?0\.\d\d over 8 of them, at least 0.9"):
        check_origin(open_source(out), FakeEncoder(), photos)
    out = clip_retrieval(tmp_path / "narrow", paths, vectors[:, :32])
    with pytest.raises(ExchangeError, match="have 32 dimensions, those of fake 48"):
        check_origin(open_source(out), FakeEncoder(), photos)
    export(original, tmp_path / "out")
    with pytest.raises(ExchangeError, match=r"exported from an index of fake .*not other"):
        check_origin(open_source(tmp_path / "out"), FakeEncoder("other"), photos)


def test_no_picture_found_is_an_error(original: Index, photos: Path, tmp_path: Path) -> None:
    paths, vectors = rows_of(original)
    out = clip_retrieval(tmp_path / "out", [f"{path}.gone" for path in paths], vectors)
    with pytest.raises(ExchangeError, match="none has its picture below"):
        check_origin(open_source(out), FakeEncoder(), photos)


@pytest.mark.parametrize("content", ["nothing", "no column", "not parquet", "bad line"])
def test_what_is_no_export_is_one_clear_line(original: Index, tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    if content == "no column":
        clip_retrieval(out, ["a"], np.zeros((1, 48), np.float16))
        pq.write_table(pa.table({"key": ["a"]}), out / "metadata" / "metadata_0.parquet")
    elif content == "bad line":
        export(original, out, "npy")
        lines = (out / "metadata.jsonl").read_text().splitlines()
        (out / "metadata.jsonl").write_text("\n".join([json.dumps({}), *lines[1:]]))
        with pytest.raises(ExchangeError, match=r"img_emb_0\.npy: damaged"):
            list(open_source(out).rows())
        return
    else:
        out.mkdir()
        if content == "not parquet":
            (out / "part-00000.parquet").write_bytes(b"PAR1 garbage PAR1")
    with pytest.raises(ExchangeError) as error:
        open_source(out)
    assert "\n" not in str(error.value)


def test_stopping_keeps_what_is_done_and_the_next_run_completes_it(
    original: Index, photos: Path, tmp_path: Path
) -> None:
    export(original, tmp_path / "out")
    source = open_source(tmp_path / "out")
    stop = threading.Event()
    stop.set()
    with new(tmp_path) as index:
        report = bring_in(index, FakeEncoder(), source, photos, stop=stop)
        assert (report.interrupted, report.added) == (True, 0)
        assert bring_in(index, FakeEncoder(), source, photos).added == COUNT


def test_paths_are_found_by_what_follows_the_folder_they_were_in(photos: Path) -> None:
    locate = Locator(str(photos))
    assert locate("/server/data/photos/below/0001.jpg") == "below/0001.jpg"
    assert locate("/server/data/photos/below/0002.jpg") == "below/0002.jpg"
    assert locate("/elsewhere/below/0003.jpg") is None
    assert locate(str(photos / "below" / "0004.jpg")) == "below/0004.jpg"
    assert locate("/server/data/photos/below/9999.jpg") is None
    relative = Locator(str(photos))
    assert relative("below/0001.jpg") == "below/0001.jpg"
    assert relative("") is None
    assert Locator(str(photos / "below"))("../photos/../../0001.jpg") == "0001.jpg"


def test_vectors_are_normalised_whatever_their_size() -> None:
    rows = np.array([[3, 4], [0, 0], [np.nan, 1], [1e-3, 0], [6e4, 6e4]], np.float16)
    embeddings, good = normalised(rows)
    assert good.tolist() == [True, False, False, True, True]
    np.testing.assert_allclose(np.linalg.norm(embeddings[good], axis=1), 1, rtol=1e-6)
    assert embeddings.dtype == np.float32
    np.testing.assert_array_equal(normalised(unit(200))[0], unit(200))  # float16 already
