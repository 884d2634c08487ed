import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from searchengine import index as module
from searchengine.errors import (
    IndexChangedError,
    IndexFolderError,
    IndexModelError,
    ModelError,
    QueryError,
)
from searchengine.index import Changes, Index, NewImage
from searchengine.types import EncoderSpec, Failure, ImageFile, ImageInfo
from searchengine.vectors import VectorIndex

DIM = 16
SPEC = EncoderSpec("toy", "f" * 64, DIM)
INFO = ImageInfo(640, 480, "JPEG")
ROOT = "/photos"


def unit(n, seed=0, dim=DIM):
    """Random embeddings that float16 holds exactly."""
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def picture(path, embedding, digest=b"d" * 32):
    return NewImage(ImageFile(ROOT, path, 10, 20), digest, INFO, embedding)


def pictures(n, seed=0, prefix=""):
    return [picture(f"{prefix}{i}", row) for i, row in enumerate(unit(n, seed))]


def paths(index):
    return {path: image_id for path, (image_id, _, _) in index.files(ROOT).items()}


def snapshots(folder):
    return sorted(path.name for path in Path(folder).glob("*.faiss*"))


def found(index, query, k=1):
    return [hit.id for hit in index.search(query[np.newaxis], k)[0]]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "an index"


@pytest.fixture
def index(folder):
    with Index.create(folder, SPEC) as index:
        index.add_root(ROOT)
        yield index


# --- Opening ---


def test_created_then_opened(folder):
    assert not Index.exists(folder)
    Index.create(folder, SPEC).close()
    assert Index.exists(folder)
    with Index.open(folder) as index:
        assert (index.spec, index.count, index.kind, index.roots()) == (SPEC, 0, "exact", [])
        assert index.search(unit(2), 5) == [[], []]
        assert index.check() == []
    with pytest.raises(IndexFolderError, match="already holds"):
        Index.create(folder, SPEC)


def test_opening_a_missing_folder_says_how_to_make_one(folder):
    with pytest.raises(IndexFolderError, match="searchengine index FOLDER --index"):
        Index.open(folder)
    assert not folder.exists()


def test_an_index_remembers_its_model(folder):
    Index.create(folder, SPEC).close()
    Index.open(folder, EncoderSpec("renamed", SPEC.fingerprint, DIM)).close()
    with pytest.raises(IndexModelError, match=r"toy.*other.*--re-embed --index .* --model other"):
        Index.open(folder, EncoderSpec("other", "e" * 64, DIM))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(IndexFolderError, match="cannot make an index"):
        Index.create(tmp_path / "file" / "index", SPEC)


# --- Writing and reading ---


def test_what_was_written_is_found(index):
    index.write(Changes(added=pictures(10)))
    assert index.count == 10
    assert [found(index, row)[0] for row in unit(10)] == list(range(1, 11))
    (hit,) = index.search(unit(10)[3:4], 1)[0]
    assert (hit.path, hit.image.info) == ("/photos/3", INFO)
    assert hit.score == pytest.approx(1, abs=1e-3)
    assert hit.score <= 1
    assert len(index.search(unit(1), 50)[0]) == 10
    assert found(index, unit(1)[0], 3)[0] == 1
    assert [hit.id for hit in index.search(unit(1), 5, np.array([7, 4, 99]))[0]] in ([4, 7], [7, 4])


def test_reading(index):
    index.write(Changes(added=pictures(4), failed=[Failure(ImageFile(ROOT, "x", 1, 2), "cut")]))
    assert index.files(ROOT)["2"] == (3, 10, 20)
    assert index.files("/elsewhere") == {}
    assert index.known_failures(ROOT) == {"x": (1, 2)}
    assert index.failures("/elsewhere") == []
    assert index.failures()[0].reason == "cut"
    assert [image.id for image in index.images([3, 1, 99, 3])] == [3, 1, 3]
    assert index.image(2).path == "/photos/1"
    assert len(index.by_digest([b"d" * 32])[b"d" * 32]) == 4
    np.testing.assert_array_equal(index.embeddings([4, 1]), unit(4)[[3, 0]])
    for read in (lambda: index.image(99), lambda: index.embeddings([1, 99])):
        with pytest.raises(QueryError, match="no image 99"):
            read()


def test_a_file_that_became_garbage_is_no_longer_found(index):
    index.write(Changes(added=pictures(3)))
    assert found(index, unit(3)[1]) == [2]
    index.write(Changes(failed=[Failure(ImageFile(ROOT, "1", 5, 6), "cut short")]))
    assert 2 not in found(index, unit(3)[1], 3)
    assert index.count == 2
    assert index.check() == []


@pytest.mark.parametrize(
    "embedding",
    [np.full(DIM, np.nan, np.float32), unit(1)[0] * 3, unit(1, dim=8)[0], unit(1)[0].astype(float)],
)
def test_a_bad_embedding_writes_nothing(index, embedding):
    with pytest.raises(ModelError, match="/photos/bad"):
        index.write(Changes(added=[*pictures(2), picture("bad", embedding)]))
    assert index.count == 0


def test_roots(index):
    index.write(Changes(added=pictures(2, prefix="a/")))
    assert index.add_root(ROOT) == (ROOT, "")
    assert index.add_root("/photos/a/b/") == (ROOT, "a/b")
    assert index.add_root("/") == ("/", "")
    assert index.roots() == ["/"]
    assert index.files("/")["photos/a/1"] == (2, 10, 20)
    index.write(Changes(removed=[1]))
    assert found(index, unit(2)[1]) == [2]
    assert index.search(unit(2)[1:], 1)[0][0].path == "/photos/a/1"


# --- The snapshot ---


def test_the_snapshot_follows_the_last_write(index, folder):
    index.write(Changes(added=pictures(3)))
    assert index.save_snapshot()
    (first,) = snapshots(folder)
    (folder / "old.faiss.1.tmp").touch()
    os.utime(folder / "old.faiss.1.tmp", (0, 0))
    index.write(Changes(added=pictures(3, seed=1, prefix="b")))
    assert snapshots(folder) != []
    assert index.save_snapshot()
    (second,) = snapshots(folder)
    assert first != second


def damage(path, how):
    data = path.read_bytes()
    if how == "lost":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif how == "garbage":
        path.write_bytes(b"\xff" * len(data))
    elif how == "fewer":
        vectors = VectorIndex.load(path)
        vectors.remove(vectors.ids[:1])
        vectors.save(path)
    else:
        other = VectorIndex(8)
        other.add(np.arange(5), unit(5, dim=8))
        other.save(path)


@pytest.mark.parametrize("how", ["lost", "empty", "truncated", "garbage", "fewer", "wrong dim"])
def test_a_bad_snapshot_is_rebuilt(index, folder, how):
    index.write(Changes(added=pictures(5)))
    index.save_snapshot()
    (name,) = snapshots(folder)
    damage(folder / name, how)
    assert bool(index.check()) == (how != "lost")
    with Index.open(folder) as other:
        assert [found(other, row)[0] for row in unit(5)] == [1, 2, 3, 4, 5]
        assert other.check() == []
    assert snapshots(folder) == [name]
    assert VectorIndex.load(folder / name).count == 5


def test_a_good_snapshot_is_not_rebuilt(index, folder, monkeypatch):
    index.write(Changes(added=pictures(5)))
    index.save_snapshot()
    monkeypatch.setattr(module, "decode", None)
    with Index.open(folder) as other:
        assert found(other, unit(5)[2]) == [3]


def test_a_full_disk_does_not_stop_answers(index, folder, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    index.write(Changes(added=pictures(5)))
    monkeypatch.setattr(VectorIndex, "save", full)
    with Index.open(folder) as other:
        assert found(other, unit(5)[2]) == [3]
        assert not other.save_snapshot()


def test_a_read_only_folder_is_searched(index, folder, monkeypatch):
    index.write(Changes(added=pictures(5)))
    index.close()
    before = sorted(os.listdir(folder))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr(VectorIndex, "save", lambda self, path: (folder / "no" / "x").touch())
    with Index.open(folder) as other:
        assert found(other, unit(5)[2]) == [3]
        assert sorted(os.listdir(folder)) == before
        with pytest.raises(IndexFolderError, match="writable"):
            other.write(Changes(removed=[1]))


def test_the_kind_of_search_is_recorded(index, folder, monkeypatch):
    monkeypatch.setattr("searchengine.vectors.EXACT_LIMIT", 100)
    index.write(Changes(added=pictures(100)))
    index.save_snapshot()
    assert index.kind == "exact"
    index.write(Changes(added=pictures(20, seed=1, prefix="b")))
    index.save_snapshot()
    assert index.kind == "ivf44"
    with Index.open(folder) as other:
        assert found(other, unit(100)[50]) == [51]
        assert other.check() == []


# --- Several at once ---


def test_another_index_sees_what_was_written(index, folder):
    with Index.open(folder) as other:
        assert found(other, unit(1)[0]) == []
        index.write(Changes(added=pictures(3)))
        assert found(other, unit(3)[2]) == [3]
        changed = {3: picture("2", unit(1, seed=7)[0])}
        index.write(Changes(removed=[1], changed=changed, added=pictures(2, 5, "new")))
        assert found(other, unit(1, seed=7)[0]) == [3]
        assert sorted(found(other, unit(1)[0], 9)) == [2, 3, 4, 5]
        index.save_snapshot()
        assert sorted(found(other, unit(1)[0], 9)) == [2, 3, 4, 5]


def test_an_interrupted_search_leaves_nothing_half_done(index, monkeypatch):
    def interrupt(vectors):
        raise KeyboardInterrupt

    index.write(Changes(added=pictures(3)))
    found(index, unit(1)[0])
    index.write(Changes(added=pictures(3, prefix="b"), removed=[1]))
    with monkeypatch.context() as patch:
        patch.setattr(VectorIndex, "settle", interrupt)
        with pytest.raises(KeyboardInterrupt):
            found(index, unit(1)[0])
    assert sorted(found(index, unit(1)[0], 9)) == [2, 3, 4, 5, 6]
    index.save_snapshot()
    assert index.check() == []


def test_the_second_writer_is_told(index, folder):
    with Index.open(folder) as other:
        other.write(Changes(added=pictures(2)))
        with pytest.raises(IndexChangedError, match="run the same command again"):
            index.write(Changes(added=pictures(3, prefix="late")))
        assert index.count == 2
        other.write(Changes(added=pictures(2, prefix="more")))
        index.add_root(ROOT)
        index.write(Changes(removed=[1]))
        assert (index.count, other.count) == (3, 3)
        assert index.check() == []


def test_a_hit_that_vanished_meanwhile_is_left_out(index, monkeypatch):
    index.write(Changes(added=pictures(3)))
    search = VectorIndex.search

    def search_then_remove(self, *query):
        result = search(self, *query)
        index.write(Changes(removed=[2]))
        return result

    monkeypatch.setattr(VectorIndex, "search", search_then_remove)
    assert 2 not in found(index, unit(3)[1], 3)


def test_threads_share_an_index(index):
    def searches(_):
        return [len(index.search(unit(1), 1000)[0]) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        counts = pool.map(searches, range(4))
        for batch in range(20):
            index.write(Changes(added=pictures(5, prefix=f"{batch}/")))
    assert all(seen == sorted(seen) for seen in counts)
    assert len(index.search(unit(1), 1000)[0]) == 100


PROCESS = """
import sys
import numpy as np
from searchengine.errors import IndexChangedError
from searchengine.index import Changes, Index, NewImage
from searchengine.types import ImageFile, ImageInfo

folder, role = sys.argv[1:]
index = Index.open(folder)
root, _ = index.add_root("/photos")
row = np.eye(16, dtype=np.float32)[0]
batch = 0
while True:
    if role == "reader":
        print(len(index.search(row[np.newaxis], 10**6)[0]), flush=True)
        continue
    batch += 1
    images = [
        NewImage(ImageFile(root, f"{role}/{batch}/{n}", 1, 1), b"d", ImageInfo(1, 1, "PNG"), row)
        for n in range(8)
    ]
    try:
        index.write(Changes(added=images))
    except IndexChangedError:
        sys.exit("changed")
    print(f"{role}/{batch}", flush=True)
    if batch % 5 == 0 and role != "loser":
        index.save_snapshot()
"""


def start(folder, role):
    command = [sys.executable, "-c", PROCESS, str(folder), role]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_kills_lose_nothing_that_was_acknowledged(folder):
    Index.create(folder, SPEC).close()
    acknowledged = set()
    for life in range(10):
        with start(folder, f"life{life}") as writer:
            acknowledged.add(writer.stdout.readline().strip())
            time.sleep(random.uniform(0, 0.2))
            writer.send_signal(signal.SIGKILL)
            acknowledged.update(line.strip() for line in writer.stdout if line.endswith("\n"))
        with Index.open(folder) as index:
            assert index.check() == []
            written = [path.rpartition("/")[0] for path in index.files(ROOT)]
            assert acknowledged <= set(written)
            assert set(map(written.count, set(written))) == {8}  # no batch in part
    assert len(acknowledged) >= 10
    with Index.open(folder) as index:
        assert len(index.search(np.eye(1, DIM, dtype=np.float32), 10**6)[0]) == len(written)


def test_one_of_two_writers_finishes_and_a_reader_answers(folder):
    Index.create(folder, SPEC).close()
    with start(folder, "loser") as loser, start(folder, "reader") as reader:
        try:
            loser.stdout.readline()
            assert int(reader.stdout.readline()) >= 0
            with Index.open(folder) as winner:
                winner.add_root(ROOT)
                while True:  # until the stamp is still ours at the next write
                    try:
                        winner.write(Changes(added=pictures(8, prefix="winner/")))
                        break
                    except IndexChangedError:
                        winner.add_root(ROOT)
                assert loser.wait(10) == 1
                assert loser.stderr.read().strip() == "changed"
                winner.write(Changes(added=pictures(8, prefix="again/")))
                winner.save_snapshot()
                deadline = time.monotonic() + 10
                while int(reader.stdout.readline()) < winner.count:
                    assert time.monotonic() < deadline
                assert winner.check() == []
        finally:
            reader.kill()
            loser.kill()


# --- Against a plain oracle ---

CHANGES = ["add", "add", "remove", "move", "change", "copy", "fail"]
EVENTS = ["search", "save", "reopen", "lose", "corrupt"]
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(CHANGES + EVENTS), st.integers(0, 2**16)), max_size=25
)


def agrees(index, oracle, query):
    """Check the top 7 against brute force over path -> embedding."""
    ids = {image_id: path for path, image_id in paths(index).items()}
    assert set(ids.values()) == set(oracle)
    (hits,) = index.search(query[np.newaxis], 7)
    scores = {path: min(float(query @ row), 1) for path, row in oracle.items()}
    best = sorted(scores.values(), reverse=True)[:7]
    np.testing.assert_allclose([hit.score for hit in hits], best, atol=1e-6)
    for hit in hits:
        assert hit.image.file.path == ids[hit.id]
        assert hit.score == pytest.approx(scores[ids[hit.id]], abs=1e-6)
    assert len({hit.id for hit in hits}) == len(hits)
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.id))


def change(operation, number, oracle, ids):
    """Make a batch, and do the same to the oracle."""
    new = {f"{number}-{i}": row for i, row in enumerate(unit(number % 4 + 1, number))}
    if operation == "add":
        fresh = {path: row for path, row in new.items() if path not in oracle}
        oracle.update(fresh)
        return Changes(added=[picture(path, row) for path, row in fresh.items()])
    if not oracle:
        return Changes()
    path = sorted(oracle)[number % len(oracle)]
    row = unit(1, number)[0]
    target = ImageFile(ROOT, f"moved-{number}", 1, 1)
    if operation == "change":
        oracle[path] = row
        return Changes(changed={ids[path]: picture(path, row)})
    if operation in ("move", "copy") and target.path in oracle:
        return Changes()
    if operation == "copy":
        oracle[target.path] = oracle[path]
        return Changes(copied=[(target, ids[path])])
    row = oracle.pop(path)
    if operation == "move":
        oracle[target.path] = row
        return Changes(moved={ids[path]: target})
    if operation == "fail":
        return Changes(failed=[Failure(ImageFile(ROOT, path, 1, 1), "garbage")])
    return Changes(removed=[ids[path]])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OPERATIONS)
def test_any_history_searches_like_brute_force(operations):
    with tempfile.TemporaryDirectory() as folder:
        oracle = {}
        index = Index.create(folder, SPEC)
        index.add_root(ROOT)
        for operation, number in operations:
            if operation == "search":
                agrees(index, oracle, unit(1, number + 1)[0])
            elif operation == "save":
                assert index.save_snapshot()
            elif operation in ("reopen", "lose", "corrupt"):
                index.close()
                for name in snapshots(folder) if operation != "reopen" else []:
                    damage(Path(folder) / name, "lost" if operation == "lose" else "truncated")
                index = Index.open(folder)
                agrees(index, oracle, unit(1, number + 1)[0])
            else:
                index.write(change(operation, number, oracle, paths(index)))
        agrees(index, oracle, unit(1)[0])
        index.save_snapshot()
        assert index.check() == []
        index.close()


# --- Soundness ---


def corrupt(folder, statement, *values):
    db = sqlite3.connect(folder / "catalog.db")
    db.execute(statement, values)
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM embeddings WHERE image_id = 2",
        "UPDATE embeddings SET vector = x'0102' WHERE image_id = 2",
        f"UPDATE embeddings SET vector = zeroblob({2 * DIM}) WHERE image_id = 2",
        f"UPDATE embeddings SET vector = x'{'ff7f' * DIM}' WHERE image_id = 2",
    ],
)
def test_an_image_without_a_usable_vector_is_dropped(index, folder, statement):
    index.write(Changes(added=pictures(4)))
    index.save_snapshot()
    corrupt(folder, statement)
    assert any("image 2" in line for line in index.check())
    assert len(index.repair()) == 2
    assert index.check() == []
    assert sorted(paths(index)) == ["0", "2", "3"]
    assert sorted(found(index, unit(1)[0], 9)) == [1, 3, 4]
    index.write(Changes(added=[picture("1", unit(4)[1])]))
    assert found(index, unit(4)[1]) == [5]


def test_orphans_are_removed(index, folder):
    index.write(Changes(added=pictures(4)))
    corrupt(folder, "DELETE FROM images WHERE id = 2")
    assert any("embeddings" in line for line in index.check())
    assert 2 not in found(index, unit(4)[1], 9)
    assert any("1 rows" in line for line in index.repair())
    assert index.check() == []


def test_a_snapshot_with_other_vectors_is_rebuilt(index, folder):
    index.write(Changes(added=pictures(4)))
    index.save_snapshot()
    (name,) = snapshots(folder)
    other = VectorIndex(DIM)
    other.add(np.arange(1, 5), unit(4, seed=9))
    other.save(folder / name)
    assert any(name in line for line in index.check())
    assert index.repair() == ["rebuilt the snapshot of 4 vectors"]
    assert index.check() == []
    assert found(index, unit(4)[1]) == [2]


def test_a_sound_index_needs_no_repair(index):
    index.write(Changes(added=pictures(4)))
    index.save_snapshot()
    assert index.repair() == []


def test_damaged_vectors_name_the_repair(index, folder):
    index.write(Changes(added=pictures(4)))
    corrupt(folder, f"UPDATE embeddings SET vector = zeroblob({2 * DIM}) WHERE image_id = 2")
    with pytest.raises(IndexFolderError, match="check --repair"):
        index.search(unit(1), 1)


def test_a_damaged_database_is_one_clear_line(index, folder):
    index.write(Changes(added=pictures(500)))
    index.close()
    with (folder / "catalog.db").open("r+b") as file:
        file.seek(16384)
        file.write(b"\xff" * 16384 * 3)
    with pytest.raises(IndexFolderError, match="malformed"), Index.open(folder) as broken:
        broken.search(unit(1), 1)


def test_a_moved_folder_is_the_same_index(index, folder, tmp_path):
    index.write(Changes(added=pictures(4)))
    index.close()
    shutil.move(folder, tmp_path / "caf\udce9?#%20")
    with Index.open(tmp_path / "caf\udce9?#%20") as moved:
        assert found(moved, unit(4)[1]) == [2]
