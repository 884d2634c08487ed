"""Root folders that moved, or are no longer wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import IndexChangedError, IndexFolderError
from searchengine.index import Changes, Index
from searchengine.types import Failure, ImageFile, Scope
from tests.index.toys import ROOT, found, pictures, unit


@pytest.fixture
def filled(index: Index) -> Index:
    index.write(
        Changes(added=pictures(3), failed=[Failure(ImageFile(ROOT, "bad", 1, 2), "cut short")])
    )
    return index


def test_images_of_a_moved_root_keep_path_id_and_vector(filled: Index, tmp_path: Path) -> None:
    before, embeddings = filled.files(ROOT), filled.embeddings([1, 2, 3])
    filled.move_root(ROOT, tmp_path)
    assert filled.roots() == [str(tmp_path)]
    assert filled.files(str(tmp_path)) == before
    assert [each.file.path for each in filled.failures(str(tmp_path))] == ["bad"]
    np.testing.assert_array_equal(filled.embeddings([1, 2, 3]), embeddings)
    assert filled.image(2).path == str(tmp_path / "1")
    assert found(filled, unit(3)[2]) == [3]
    filled.write(Changes(removed=[1]))  # the object that moved it goes on writing
    assert filled.check() == []


def test_a_root_may_move_into_itself_and_to_where_it_is(index: Index, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    index.add_root(tmp_path / "a")
    index.move_root(f"{tmp_path}/a/", tmp_path / "a" / "b")
    index.move_root(tmp_path / "a" / "b", tmp_path)
    index.move_root(tmp_path, tmp_path)
    assert index.roots() == [ROOT, str(tmp_path)]


def test_a_root_does_not_move_where_it_cannot_be(filled: Index, tmp_path: Path) -> None:
    (tmp_path / "other" / "inside").mkdir(parents=True)
    (tmp_path / "file").touch()
    filled.add_root(tmp_path / "other")
    for old, new, says in (
        (ROOT, tmp_path / "gone", "is not a folder"),
        (ROOT, tmp_path / "file", "is not a folder"),
        ("/elsewhere", tmp_path, f"not a root folder of the index; they are: {ROOT}, {tmp_path}"),
        (f"{ROOT}/0", tmp_path, "not a root folder"),
        (ROOT, tmp_path, "overlaps the root folder .*/other"),
        (ROOT, tmp_path / "other", "overlaps"),
        (ROOT, tmp_path / "other" / "inside", "overlaps"),
    ):
        with pytest.raises(IndexFolderError, match=says):
            filled.move_root(old, new)
    assert filled.roots() == [ROOT, str(tmp_path / "other")]


def test_a_removed_root_is_forgotten_with_all_that_was_in_it(filled: Index, tmp_path: Path) -> None:
    photo = tmp_path / "x.jpg"
    photo.write_bytes(b"precious")
    filled.add_root(tmp_path)
    filled.write(Changes(captions={1: ("a dog",)}))
    assert filled.remove_root(ROOT) == 3
    assert filled.remove_root(f"{tmp_path}/.") == 0
    assert (filled.count, filled.roots(), filled.failures()) == (0, [], [])
    assert filled.search(unit(1), 5) == [[]]
    assert filled.words("dog", 5) == []
    assert filled.check() == []
    assert photo.read_bytes() == b"precious"
    with pytest.raises(IndexFolderError, match="they are: none"):
        filled.remove_root(ROOT)


def test_another_process_sees_it_and_must_look_again_before_it_writes(
    filled: Index, folder: Path, tmp_path: Path
) -> None:
    with Index.open(folder) as other:
        assert len(other.search(unit(1), 5)[0]) == 3
        filled.move_root(ROOT, tmp_path)
        assert {Path(hit.path).parent for hit in other.search(unit(1), 5)[0]} == {tmp_path}
        with pytest.raises(IndexChangedError):
            other.write(Changes(removed=[1]))
        filled.remove_root(tmp_path)
        assert other.search(unit(1), 5) == [[]]


def test_what_changed_meanwhile_is_not_taken_for_ones_own(
    filled: Index, folder: Path, tmp_path: Path
) -> None:
    with Index.open(folder) as other:
        other.write(Changes(removed=[1]))
    filled.move_root(ROOT, tmp_path)
    with pytest.raises(IndexChangedError):
        filled.write(Changes(removed=[1]))


def test_what_belongs_to_a_root_moves_with_it_and_is_forgotten_with_it(
    filled: Index, folder: Path, tmp_path: Path
) -> None:
    scope = Scope(("raw/", "*.tmp"), include_hidden=True)
    stamp = filled.stamp
    filled.set_scope(f"{ROOT}/", scope)
    assert filled.stamp == stamp
    filled.write(Changes(removed=[1]))  # the object that said it goes on writing
    filled.move_root(ROOT, tmp_path)
    with Index.open(folder) as other:
        assert other.scopes() == {str(tmp_path): scope}
    filled.remove_root(tmp_path)
    filled.add_root(tmp_path)
    assert filled.scopes() == {str(tmp_path): Scope()}
    with pytest.raises(IndexFolderError, match="not a root folder"):
        filled.set_scope(ROOT, scope)


def test_what_belongs_to_a_new_root_says_nothing_of_a_known_one(index: Index) -> None:
    index.add_root("/new", Scope(("raw/",)))
    index.add_root(ROOT, Scope(("raw/",)))
    index.add_root(f"{ROOT}/a", Scope(("raw/",)))
    assert index.scopes() == {ROOT: Scope(), "/new": Scope(("raw/",))}
