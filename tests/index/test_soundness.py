import numpy as np
import pytest

from searchengine.errors import IndexFolderError
from searchengine.index import Changes, Index
from searchengine.vectors import VectorIndex
from tests.index.toys import DIM, corrupt, found, paths, picture, pictures, snapshots, unit

UPDATE = "UPDATE embeddings SET vector = :vector WHERE image_id = 2"


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("DELETE FROM embeddings WHERE image_id = 2", {}),
        (UPDATE, {"vector": b"\1\2"}),
        (UPDATE, {"vector": bytes(2 * DIM)}),
        (UPDATE, {"vector": b"\xff\x7f" * DIM}),
    ],
)
def test_an_image_without_a_usable_vector_is_dropped(index, statement, values):
    index.write(Changes(added=pictures(4)))
    index.save_snapshot()
    corrupt(index, statement, **values)
    assert any("image 2" in line for line in index.check())
    assert len(index.repair()) == 2
    assert index.check() == []
    assert sorted(paths(index)) == ["0", "2", "3"]
    assert sorted(found(index, unit(1)[0], 9)) == [1, 3, 4]
    index.write(Changes(added=[picture("1", unit(4)[1])]))
    assert found(index, unit(4)[1]) == [5]


def test_orphans_are_removed(index):
    index.write(Changes(added=pictures(4)))
    corrupt(index, "DELETE FROM images WHERE id = 2")
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


def test_damaged_vectors_name_the_repair(index):
    index.write(Changes(added=pictures(4)))
    corrupt(index, UPDATE, vector=bytes(2 * DIM))
    with pytest.raises(IndexFolderError, match="check --repair"):
        index.search(unit(1), 1)


@pytest.mark.sqlite
def test_a_damaged_database_is_one_clear_line(index, folder):
    index.write(Changes(added=pictures(500)))
    index.close()
    with (folder / "catalog.db").open("r+b") as file:
        file.seek(16384)
        file.write(b"\xff" * 16384 * 3)
    with pytest.raises(IndexFolderError, match="malformed"), Index.open(folder) as broken:
        broken.search(unit(1), 1)
