"""Embedding on a cluster: what it makes of pictures, of lost machines, and of interruptions."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from searchengine import encoders
from searchengine.errors import ClusterError
from searchengine.index import Index
from searchengine.ingest import Report, ingest
from searchengine.reembedding import re_embed
from searchengine.scale.cluster.driver import ClusterWorkers
from tests.ingest.collection import counts
from tests.pictures import fill, jpeg
from tests.scale.cluster.clusters import at_most, cluster, fill_slowly, retrained
from tests.scale.cluster.test_sources import write_shard
from tests.scale.parts import require

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets, files and processes to the end of the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
]


@pytest.fixture(autouse=True)
def _no_hanging() -> Iterator[None]:
    require("ray.data", "ray")
    with at_most(180):
        yield


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    require("ray.data", "ray")
    with cluster(2) as nodes:
        yield nodes


class Library:
    """A photo folder, its index with the built-in model, and what works for it."""

    def __init__(self, home: Path, address: str):
        self.folder = home / "photos"
        self.folder.mkdir()
        self.model = encoders.find("builtin")
        self.index = Index.create(home / "index", self.model.spec)
        self.workers = ClusterWorkers(self.model, address)

    def run(self, **options: Any) -> Report:
        self.workers.embedded.clear()
        return ingest(self.index, self.workers, [self.folder], **options)

    def paths(self) -> set[str]:
        return set(self.index.files(str(self.folder)))

    def embeddings(self) -> dict[str, Any]:
        return {
            each.image.file.path: each.image.embedding
            for block in self.index.entries()
            for each in block
        }

    def is_complete(self, count: int) -> bool:
        return self.index.count == len(self.paths()) == count and self.index.check() == []


@pytest.fixture
def library(tmp_path: Path, two_nodes: Any) -> Iterator[Library]:
    made = Library(tmp_path, two_nodes.address)
    yield made
    made.index.close()


def test_both_nodes_work_and_a_second_run_adds_nothing(library: Library) -> None:
    fill_slowly(library.folder, 60)
    assert counts(library.run()) == {"added": 60}
    assert len(library.workers.embedded) == 2
    assert sum(library.workers.embedded.values()) == 60
    assert library.is_complete(60)
    assert counts(library.run()) == {"unchanged": 60}
    assert not library.workers.embedded


def test_embeddings_and_facts_are_those_of_this_machine(library: Library, tmp_path: Path) -> None:
    fill(library.folder, 12)
    (library.folder / "broken.jpg").write_bytes(jpeg(1)[:300])
    (library.folder / "text.jpg").write_text("not a picture")
    (library.folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(40))
    assert counts(library.run()) == {"added": 13, "failed": 2}
    encoder = encoders.load(library.model, "cpu")
    with Index.create(tmp_path / "here", library.model.spec) as here:
        ingest(here, lambda: encoder, [library.folder])
        for index in (library.index, here):
            assert index.check() == []
        ours, theirs = (
            {each.image.file.path: each.image for block in index.entries() for each in block}
            for index in (library.index, here)
        )
        assert ours.keys() == theirs.keys()
        for path, image in ours.items():
            assert (image.file, image.digest) == (theirs[path].file, theirs[path].digest)
            assert image.info == theirs[path].info
            assert np.dot(image.embedding, theirs[path].embedding) > 0.999
        assert library.index.failures() == here.failures()


def test_known_content_is_only_hashed_and_what_moved_keeps_its_id(library: Library) -> None:
    fill(library.folder / "old", 10)
    library.run()
    ids = {state[0] for state in library.index.files(str(library.folder)).values()}
    (library.folder / "old").rename(library.folder / "new")
    assert counts(library.run()) == {"moved": 10}
    assert {state[0] for state in library.index.files(str(library.folder)).values()} == ids
    (library.folder / "copy.jpg").write_bytes(jpeg(3))
    (library.folder / "new" / "0004.jpg").write_bytes(jpeg(90))
    assert counts(library.run()) == {"added": 1, "changed": 1, "unchanged": 9}
    assert library.is_complete(11)


def test_a_stopped_run_keeps_what_is_done_and_the_next_goes_on(library: Library) -> None:
    fill_slowly(library.folder, 60)
    stop = threading.Event()

    def stop_early(done: int, total: int) -> None:
        if done >= 10:
            stop.set()

    report = library.run(progress=stop_early, stop=stop)
    assert report.interrupted
    assert 10 <= report.added < 60
    assert library.index.count == report.added
    assert counts(library.run()) == {"added": 60 - report.added, "unchanged": report.added}
    assert library.is_complete(60)


def test_a_lost_machine_loses_no_picture(tmp_path: Path) -> None:
    with cluster(2) as nodes:
        library = Library(tmp_path, nodes.address)
        fill_slowly(library.folder, 60)
        (library.folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        [victim] = nodes.worker_nodes
        lost = threading.Event()

        def lose(done: int, total: int) -> None:
            if not lost.is_set() and victim.node_id in library.workers.embedded:
                nodes.remove_node(victim, allow_graceful=False)
                lost.set()

        assert counts(library.run(progress=lose)) == {"added": 60, "failed": 1}
        assert lost.is_set()
        assert library.is_complete(60)
        assert [each.file.path for each in library.index.failures()] == ["broken.png"]
        assert counts(library.run()) == {"failed": 1, "unchanged": 60}
        library.index.close()


def test_readers_for_few_that_embed_give_the_same(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchengine.scale.cluster import driver as module
    from searchengine.scale.cluster.plan import Plan

    fill(library.folder, 20)
    (library.folder / "broken.jpg").write_text("not a picture")
    library.run()
    before = library.index.embeddings(sorted(library.index.ids().tolist()))
    library.index.remove_root(library.folder)
    split = Plan(actors=1, cpus=0.5, gpus=0, readers=True)
    monkeypatch.setattr(module, "plan", lambda *_: split)
    assert counts(library.run()) == {"added": 20, "failed": 1}
    after = library.index.embeddings(sorted(library.index.ids().tolist()))
    order = [int(np.argmax(before @ each)) for each in after]  # they come in any order
    assert sorted(order) == list(range(20))
    assert all(np.dot(before[n], each) > 0.999 for n, each in zip(order, after, strict=True))


def test_all_is_embedded_anew_for_another_model_that_travels_there(
    library: Library, two_nodes: Any, tmp_path: Path
) -> None:
    fill(library.folder, 10)
    write_shard(library.folder / "s.tar", {f"{n}.jpg": jpeg(50 + n) for n in range(5)})
    library.run()
    before = library.embeddings()
    (library.folder / "0000.jpg").unlink()
    (library.folder / "0001.jpg").write_bytes(jpeg(90))
    model = retrained(tmp_path / "other")
    workers = ClusterWorkers(model, two_nodes.address)
    told: list[tuple[int, int]] = []
    assert re_embed(library.index, model.spec, workers, lambda *at: told.append(at))
    assert (library.index.spec, library.index.check()) == (model.spec, [])
    after = library.embeddings()  # the model only says that it is another one
    assert after.keys() == before.keys() - {"0000.jpg", "0001.jpg"}
    assert all(np.dot(after[path], before[path]) > 0.999 for path in after)
    assert (told[0], told[-1]) == ((0, 15), (15, 15))
    workers.embedded.clear()
    assert counts(ingest(library.index, workers, [library.folder])) == {"added": 1, "unchanged": 13}
    assert sum(workers.embedded.values()) == 1


def test_re_embedding_that_was_stopped_goes_on(
    library: Library, two_nodes: Any, tmp_path: Path
) -> None:
    fill_slowly(library.folder, 40)
    ingest(library.index, lambda: encoders.load(library.model, "cpu"), [library.folder])
    model = retrained(tmp_path / "other")
    workers = ClusterWorkers(model, two_nodes.address)
    stop = threading.Event()

    def stop_early(done: int, total: int) -> None:
        if done >= 10:
            stop.set()

    assert not re_embed(library.index, model.spec, workers, stop_early, stop)
    assert library.index.spec == library.model.spec
    left = len(library.index.unstaged(model.spec))
    assert 0 < left <= 30
    workers.embedded.clear()
    assert re_embed(library.index, model.spec, workers)
    assert sum(workers.embedded.values()) == left
    assert library.is_complete(40)


def test_a_folder_that_a_machine_does_not_see_is_said(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from searchengine.scale.cluster.worker import look

    fill(library.folder, 2)

    def elsewhere(roots: list[str], model: Any) -> Any:
        return look(["/not/mounted"], model)

    monkeypatch.setattr("searchengine.scale.cluster.worker.look", elsewhere)
    with pytest.raises(ClusterError, match=r"sees nothing in /not/mounted; mount it"):
        library.run()
    assert library.index.count == 0


def test_what_kills_its_worker_every_time_ends_the_run(
    library: Library, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from searchengine.scale.cluster import stream

    class Stream(stream.Stream):
        def start(self, blocks: Any) -> None:
            from searchengine.scale.cluster import stream

            class Deadly(stream.Embedder):
                """Its process dies, as one does that runs out of memory."""

                def _embed(self, rows: Any) -> Any:
                    os.kill(os.getpid(), 9)

            stream.Embedder = Deadly  # type: ignore[misc]
            super().start(blocks)

    fill(library.folder, 1)
    monkeypatch.setattr(stream, "Stream", Stream)
    with pytest.raises(ClusterError, match=r"4 processes .* died .* 0000.jpg or one"):
        library.run()
    assert capfd.readouterr().out == ""
