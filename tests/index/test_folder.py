import shutil

import numpy as np
import pytest

from searchengine.errors import IndexFolderError, IndexModelError, ModelError, QueryError
from searchengine.index import Changes, Index
from searchengine.types import EncoderSpec, Failure, ImageFile
from tests.index.toys import DIM, INFO, ROOT, SPEC, found, picture, pictures, unit


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


def test_a_moved_folder_is_the_same_index(index, folder, tmp_path):
    index.write(Changes(added=pictures(4)))
    index.close()
    shutil.move(folder, tmp_path / "caf\udce9?#%20")
    with Index.open(tmp_path / "caf\udce9?#%20") as moved:
        assert found(moved, unit(4)[1]) == [2]
