import os

import pytest

from searchengine.errors import IndexFolderError
from searchengine.index import Changes, Index, snapshot
from searchengine.vectors import VectorIndex
from tests.index.toys import damage, found, pictures, snapshots, unit


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
    monkeypatch.setattr(snapshot, "decode", None)
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


@pytest.mark.sqlite
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
    monkeypatch.setattr("searchengine.vectors.index.EXACT_LIMIT", 100)
    index.write(Changes(added=pictures(100)))
    index.save_snapshot()
    assert index.kind == "exact"
    index.write(Changes(added=pictures(20, seed=1, prefix="b")))
    index.save_snapshot()
    assert index.kind == "ivf11"
    with Index.open(folder) as other:
        assert found(other, unit(100)[50]) == [51]
        assert other.check() == []
