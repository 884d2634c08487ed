"""Changing an index to another model, with files, stops, kills and a folder in motion."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from searchengine import encoders, reembedding
from searchengine.catalog.paths import is_url
from searchengine.engine import SearchEngine
from searchengine.errors import ImageError, IndexModelError
from searchengine.index import Index
from searchengine.ingest import LocalWorkers, Selection, ingest
from searchengine.types import Embeddings, EncoderSpec, Pixels, Progress
from tests.fakes import FakeEncoder
from tests.ingest.collection import write_as_cluster
from tests.pictures import fill, jpeg

COUNT = 30
OLD = FakeEncoder("old")


class Projection(FakeEncoder):
    """A fixed random projection of the fake encoder's embeddings to another dimension."""

    def __init__(self, name: str = "new", dim: int = 20, batch_size: int = 4):
        super().__init__(name, batch_size)
        self.spec = EncoderSpec(name, self.spec.fingerprint, dim)
        self.matrix = np.random.default_rng(dim).standard_normal((48, dim)).astype(np.float32)

    def encode_images(self, pixels: Pixels) -> Embeddings:
        return self.project(super().encode_images(pixels))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return self.project(super().encode_texts(texts))

    def project(self, rows: Embeddings) -> Embeddings:
        rows = rows @ self.matrix
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    fill(tmp_path / "photos", COUNT)
    return tmp_path / "photos"


@pytest.fixture
def index(tmp_path: Path, photos: Path) -> Iterator[Index]:
    with Index.create(tmp_path / "index", OLD.spec) as index:
        refresh(index, photos, OLD)
        yield index


def refresh(index: Index, photos: Path, encoder: FakeEncoder, **options: bool) -> dict[str, int]:
    report = ingest(index, lambda: encoder, [photos], Selection(**options))
    names = ("added", "changed", "moved", "removed", "failed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def re_embed(
    index: Index,
    encoder: FakeEncoder,
    progress: Progress = lambda done, total: None,
    stop: threading.Event | None = None,
) -> bool:
    workers = LocalWorkers(lambda: encoder)
    return reembedding.re_embed(index, encoder.spec, workers, progress, stop)


def ids(index: Index) -> dict[str, int]:
    (root,) = index.roots()
    return {path: state[0] for path, state in index.files(root).items()}


def assert_holds(index: Index, photos: Path, encoder: FakeEncoder) -> None:
    """Every image has this encoder's embedding of what its file is now, and is found by it."""
    assert index.check() == []
    assert index.spec == encoder.spec
    with Index.create(photos.parent / f"fresh {random.random()}", encoder.spec) as fresh:
        refresh(fresh, photos, encoder)
        there, here = ids(fresh), ids(index)
        assert set(here) == set(there)
        rows = fresh.embeddings([there[path] for path in here])
    np.testing.assert_allclose(index.embeddings(list(here.values())), rows, atol=1e-3)
    assert all(hits[0].score > 0.999 for hits in index.search(rows, 1))


def run_for(index: Index, encoder: FakeEncoder, batches: int) -> list[tuple[int, int]]:
    """Re-embed until that many batches are staged; returns what the progress function was told."""
    stop, told = threading.Event(), []

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        if len(told) > batches:
            stop.set()

    assert not re_embed(index, encoder, progress, stop)
    return told


def test_ids_are_kept_and_the_model_is_another(index: Index, photos: Path) -> None:
    before = ids(index)
    assert re_embed(index, Projection())
    assert ids(index) == before
    assert_holds(index, photos, Projection())
    assert refresh(index, photos, Projection()) == {}


def test_searches_answer_from_the_old_meanwhile(index: Index, photos: Path) -> None:
    rows = index.embeddings(list(range(1, COUNT + 1)))
    told = []
    with Index.open(index.folder) as other:

        def search(done: int, total: int) -> None:
            told.append((done, total))
            for each in (index, other):
                assert [hits[0].id for hits in each.search(rows, 1)] == list(range(1, COUNT + 1))

        assert re_embed(index, Projection(), search)
        with pytest.raises(IndexModelError, match="changed to the model new; open it again"):
            other.search(rows, 1)
    assert told[0] == (0, COUNT)
    assert told[-1] == (COUNT, COUNT)
    assert len(told) == 1 + -(-COUNT // 4)


def test_a_stopped_run_is_resumed(index: Index, photos: Path) -> None:
    assert run_for(index, Projection(), batches=3)[-1] == (12, COUNT)
    assert_holds(index, photos, OLD)

    again, told = Projection(), []
    assert re_embed(index, again, lambda *at: told.append(at))
    assert told[0] == (12, COUNT)
    assert again.encoded == COUNT - 12
    assert_holds(index, photos, again)


def test_another_model_starts_anew(index: Index, photos: Path) -> None:
    run_for(index, Projection(), batches=3)
    third = Projection("third", dim=48)
    assert re_embed(index, third)
    assert third.encoded == COUNT
    assert_holds(index, photos, third)


def change(photos: Path) -> None:
    """One file gets other content, one vanishes, one moves, one is copied, one is cut short."""
    (photos / "0000.jpg").write_bytes(jpeg(100))
    (photos / "0001.jpg").unlink()
    (photos / "0002.jpg").rename(photos / "moved.jpg")
    shutil.copy(photos / "0003.jpg", photos / "copy.jpg")
    (photos / "0004.jpg").write_bytes(jpeg(4)[:100])


@pytest.mark.parametrize("batches", [0, 3, 7])
def test_changes_indexed_before_the_switch(index: Index, photos: Path, batches: int) -> None:
    before = ids(index)
    run_for(index, Projection(), batches)
    change(photos)
    counts = {"added": 1, "changed": 1, "moved": 1, "removed": 1, "failed": 1}
    assert refresh(index, photos, OLD) == counts
    assert re_embed(index, Projection())
    after = ids(index)
    assert after["0000.jpg"] == before["0000.jpg"]
    assert after["moved.jpg"] == before["0002.jpg"]
    assert_holds(index, photos, Projection())


@pytest.mark.parametrize("batches", [0, 3, 7])
def test_changes_not_yet_indexed_are_found_after_the_switch(
    index: Index, photos: Path, batches: int
) -> None:
    run_for(index, Projection(), batches)
    change(photos)
    assert re_embed(index, Projection())
    assert index.check() == []
    refresh(index, photos, Projection())
    assert_holds(index, photos, Projection())


def test_content_that_took_the_place_of_another_is_not_mistaken(index: Index, photos: Path) -> None:
    (photos / "0000.jpg").rename(photos / "kept.jpg")
    (photos / "0000.jpg").write_bytes(jpeg(100))
    assert re_embed(index, Projection())
    assert "0000.jpg" not in ids(index)
    refresh(index, photos, Projection())
    assert_holds(index, photos, Projection())


def test_images_that_come_meanwhile_are_embedded_too(index: Index, photos: Path) -> None:
    def add(done: int, total: int) -> None:
        if (done, total) == (12, COUNT):
            fill(photos, 5, first=COUNT)
            with Index.open(index.folder) as other:
                assert refresh(other, photos, OLD) == {"added": 5}

    assert re_embed(index, Projection(), add)
    assert len(ids(index)) == COUNT + 5
    assert_holds(index, photos, Projection())


def test_going_back_encodes_nothing_but_what_came_since(index: Index, photos: Path) -> None:
    rows = index.embeddings(list(range(1, COUNT + 1)))
    re_embed(index, Projection())
    back = FakeEncoder("old")
    assert re_embed(index, back)
    assert back.encoded == 0
    np.testing.assert_array_equal(index.embeddings(list(range(1, COUNT + 1))), rows)
    assert_holds(index, photos, OLD)

    again = Projection()
    change(photos)
    refresh(index, photos, OLD)
    fill(photos, 1, first=COUNT)
    refresh(index, photos, OLD)
    assert re_embed(index, again)
    assert again.encoded == 3  # the file with other content, the copy and the new one
    assert_holds(index, photos, again)


def test_only_the_model_before_is_kept(index: Index, photos: Path) -> None:
    for encoder in (Projection(), Projection("third", dim=48)):
        assert re_embed(index, encoder)
    back = FakeEncoder("old")
    assert re_embed(index, back)
    assert back.encoded == COUNT
    assert_holds(index, photos, OLD)


def test_a_missing_drive_changes_nothing(index: Index, photos: Path) -> None:
    photos.rename(photos.parent / "elsewhere")
    for act in (lambda: None, photos.mkdir):
        act()
        with pytest.raises(ImageError, match="is its drive mounted"):
            re_embed(index, Projection())
    assert (index.spec, index.count, index.check()) == (OLD.spec, COUNT, [])


def test_a_drive_that_goes_away_meanwhile_changes_nothing(index: Index, photos: Path) -> None:
    def unplug(done: int, total: int) -> None:
        if done == 12:
            photos.rename(photos.parent / "elsewhere")

    with pytest.raises(ImageError, match="is its drive mounted"):
        re_embed(index, Projection(), unplug)
    assert (index.spec, index.count) == (OLD.spec, COUNT)
    (photos.parent / "elsewhere").rename(photos)
    assert re_embed(index, Projection())
    assert_holds(index, photos, Projection())


@pytest.mark.parametrize("root", ["s3://bucket/photos", "photos"])
def test_what_only_a_cluster_reads_is_never_dropped(index: Index, photos: Path, root: str) -> None:
    (photos / "000.tar").write_bytes(b"an archive")
    root = root if is_url(root) else str(photos)
    write_as_cluster(index, root, "000.tar/a.jpg", jpeg(50))
    encoder = Projection()
    with pytest.raises(ImageError, match=rf"^1 of the pictures of {root} .*add --ray"):
        re_embed(index, encoder)
    assert (index.spec, index.count, encoder.encoded) == (OLD.spec, COUNT + 1, 0)


def test_an_address_with_nothing_behind_it_is_what_the_workers_say(index: Index) -> None:
    class Cluster(LocalWorkers):
        def out_of_sight(self, root: str, paths: Iterable[str]) -> set[str]:
            return set()

    write_as_cluster(index, "s3://bucket/photos", "a.jpg", jpeg(50))
    workers = Cluster(Projection)
    with pytest.raises(ImageError, match="s3://bucket/photos is not a folder of this machine"):
        reembedding.re_embed(index, Projection().spec, workers)
    assert (index.spec, index.count) == (OLD.spec, COUNT + 1)


def test_a_shard_that_is_gone_leaves_with_its_pictures(index: Index, photos: Path) -> None:
    write_as_cluster(index, str(photos), "000.tar/a.jpg", jpeg(50))
    assert re_embed(index, Projection())
    assert_holds(index, photos, Projection())


def test_an_index_larger_than_what_is_handed_over_at_a_time(
    index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembedding, "_WAVE", 7)
    (photos / "0003.jpg").unlink()
    encoder, told = Projection(), []
    assert re_embed(index, encoder, lambda *at: told.append(at))
    assert told == sorted(told)
    assert told[-1] == (COUNT, COUNT)
    assert encoder.encoded == COUNT - 1
    assert_holds(index, photos, encoder)


def test_an_empty_index_changes_its_model(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", OLD.spec) as index:
        assert re_embed(index, Projection())
    Index.open(tmp_path / "index", Projection().spec).close()


CHILD = """
import os, signal, sys
from searchengine.catalog import Writer
from searchengine.index import Index
from searchengine.index.snapshot import Snapshot
from tests.test_reembedding import Projection, re_embed

folder, moment = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if moment == "inside the switch":
    Writer.restamp_all = die
elif moment == "before the snapshot":
    Snapshot.save = die
with Index.open(folder) as index:
    print("ready", flush=True)
    re_embed(index, Projection(), lambda done, total: print(done, flush=True))
    print("switched", flush=True)
"""


def kill(folder: Path, moment: str) -> list[str]:
    """Re-embed in another process that dies at a moment; returns the lines it printed."""
    command = [sys.executable, "-c", CHILD, str(folder), moment]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().strip()]
        if moment == "random":
            time.sleep(random.uniform(0, 0.3))
            child.kill()
        return lines + child.stdout.read().split()


@pytest.mark.slow
@pytest.mark.parametrize("moment", [*["random"] * 5, "inside the switch", "before the snapshot"])
def test_a_kill_leaves_the_old_or_the_new(index: Index, photos: Path, moment: str) -> None:
    lines = kill(index.folder, moment)
    assert lines[0] == "ready"
    with Index.open(index.folder) as left:
        is_new = left.spec == Projection().spec
        assert_holds(left, photos, Projection() if is_new else OLD)
        assert ids(left) == {f"{number:04}.jpg": number + 1 for number in range(COUNT)}
        if moment != "random":
            assert is_new == (moment == "before the snapshot")
            assert lines[-1] == str(COUNT)
        if not is_new:
            encoder = Projection()
            assert re_embed(left, encoder)
            acknowledged = max([int(line) for line in lines[1:]], default=0)
            assert encoder.encoded <= COUNT - acknowledged
            assert_holds(left, photos, encoder)


def test_the_engine_changes_the_model_once(
    index: Index, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name = {each.spec.name: each for each in (OLD, Projection())}
    folders = {
        name: SimpleNamespace(spec=each.spec, path=photos, card={})
        for name, each in by_name.items()
    }
    monkeypatch.setattr(encoders, "find", folders.__getitem__)
    monkeypatch.setattr(encoders, "load", lambda found, device: by_name[found.spec.name])
    with SearchEngine(index) as engine:
        assert len(engine.search("a boat", k=3)) == 3
        for _ in range(2):
            assert SearchEngine.re_embed(index.folder, "new")
        assert by_name["new"].encoded == COUNT
        with pytest.raises(IndexModelError, match="open it again"):
            engine.search("a boat")
    with SearchEngine.open(index.folder) as engine:
        assert len(engine.search("a boat", k=3)) == 3
