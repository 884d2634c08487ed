"""Changing an index to another encoder: staged beside the old embeddings, then switched."""

import numpy as np
import pytest

from searchengine.catalog import Writer
from searchengine.errors import IndexChangedError, IndexModelError, ModelError
from searchengine.index import Changes, Index
from searchengine.types import EncoderSpec, ImageFile
from tests.index.toys import ROOT, SPEC, corrupt, found, paths, picture, snapshots, unit

NEW = EncoderSpec("other", "e" * 64, 8)
OLD_ROWS, NEW_ROWS = unit(4), unit(4, seed=1, dim=NEW.dim)
DIGESTS = [bytes([number]) * 16 for number in range(4)]


@pytest.fixture
def index(index):
    """Four images, `0` to `3`, with ids 1 to 4."""
    each = zip(OLD_ROWS, DIGESTS, strict=True)
    index.write(Changes(added=[picture(f"{n}", *both) for n, both in enumerate(each)]))
    index.save_snapshot()
    index.begin_staging(NEW)
    return index


def stage(index, *numbers, spec=NEW):
    index.stage(spec, [DIGESTS[n] for n in numbers], NEW_ROWS[list(numbers)])


def test_searches_answer_from_the_old_until_the_switch(index, folder):
    before = snapshots(folder)
    with Index.open(folder) as other:
        stage(index, 0, 1, 2, 3)
        for each in (index, other):
            assert [found(each, row) for row in OLD_ROWS] == [[1], [2], [3], [4]]
    assert snapshots(folder) == before
    assert (index.spec, index.unstaged(NEW)) == (SPEC, [])

    index.switch(NEW)
    with Index.open(folder, NEW) as other:
        for each in (index, other):
            assert (each.spec, each.check()) == (NEW, [])
            assert [found(each, row) for row in NEW_ROWS] == [[1], [2], [3], [4]]
            np.testing.assert_array_equal(each.embeddings([1, 2, 3, 4]), NEW_ROWS)
    (after,) = snapshots(folder)
    assert after not in before


def test_after_the_switch_the_same_object_writes(index):
    stage(index, 0, 1, 2, 3)
    index.switch(NEW)
    row = unit(1, seed=5, dim=NEW.dim)[0]
    index.write(Changes(added=[picture("new", row)]))
    assert found(index, row) == [5]
    with pytest.raises(ModelError):
        index.write(Changes(added=[picture("old", OLD_ROWS[0])]))
    index.begin_staging(SPEC)
    assert index.unstaged(SPEC) == [5]  # of the others there is what was there before


def test_images_without_a_new_embedding_leave(index):
    stage(index, 1, 3)
    assert index.unstaged(NEW) == [1, 3]
    index.switch(NEW)
    assert paths(index) == {"1": 2, "3": 4}
    assert index.check() == []


def test_what_is_staged_follows_the_content(index):
    stage(index, 0, 1, 2, 3)
    row = unit(1, seed=7)[0]
    index.write(
        Changes(
            removed=[1],
            changed={2: picture("1", row, b"new content")},
            moved={3: ImageFile(ROOT, "elsewhere", 1, 1)},
            added=[picture("copy", OLD_ROWS[3], DIGESTS[3])],
        )
    )
    assert index.unstaged(NEW) == [2, 5]
    stage(index, 1, 3)  # read before the change, staged after it
    assert index.unstaged(NEW) == [2]
    index.stage(NEW, [b"new content"], unit(1, seed=8, dim=NEW.dim))
    index.switch(NEW)
    assert paths(index) == {"1": 2, "elsewhere": 3, "3": 4, "copy": 5}
    expected = np.concatenate([unit(1, seed=8, dim=NEW.dim), NEW_ROWS[[2, 3, 3]]])
    np.testing.assert_array_equal(index.embeddings([2, 3, 4, 5]), expected)


def test_the_same_encoder_goes_on_and_another_starts_anew(index, folder):
    stage(index, 0, 1)
    with Index.open(folder) as later:
        later.begin_staging(NEW)
        assert later.unstaged(NEW) == [3, 4]
        third = EncoderSpec("third", "d" * 64, NEW.dim)
        later.begin_staging(third)
        assert later.unstaged(third) == [1, 2, 3, 4]
    for act in (lambda: stage(index, 2), lambda: index.unstaged(NEW), lambda: index.switch(NEW)):
        with pytest.raises(IndexChangedError, match="another process"):
            act()
    assert [found(index, row) for row in OLD_ROWS] == [[1], [2], [3], [4]]


def test_an_index_that_was_open_before_the_switch_says_so(index, folder):
    with Index.open(folder) as other, Index.open(folder) as searched:
        found(searched, OLD_ROWS[0])
        stage(index, 0, 1, 2, 3)
        index.switch(NEW)
        for act in (
            lambda: found(searched, OLD_ROWS[0]),
            lambda: found(other, OLD_ROWS[0]),
            lambda: found(other, NEW_ROWS[0]),
            lambda: other.embeddings([1]),
            lambda: other.add_root(ROOT),
            other.save_snapshot,
            other.check,
            other.repair,
            lambda: other.begin_staging(NEW),
            lambda: stage(other, 0),
            lambda: other.switch(NEW),
        ):
            with pytest.raises(IndexModelError, match="changed to the model other; open it again"):
                act()
        with pytest.raises(IndexChangedError):
            other.write(Changes(added=[picture("late", OLD_ROWS[0])]))
    assert index.check() == []
    assert index.count == 4


def test_a_writer_between_two_batches_is_stopped_by_the_switch(index, folder):
    same_dim = EncoderSpec("same dim", "c" * 64, SPEC.dim)
    with Index.open(folder) as writer:
        writer.write(Changes(added=[picture("4", unit(1, seed=3)[0])]))
        index.begin_staging(same_dim)
        index.stage(same_dim, DIGESTS, unit(4, seed=2))
        index.switch(same_dim)
        with pytest.raises(IndexChangedError):
            writer.write(Changes(added=[picture("5", unit(1, seed=4)[0])]))
    np.testing.assert_array_equal(index.embeddings([1, 2, 3, 4]), unit(4, seed=2))
    assert index.count == 4


def test_a_bad_embedding_stages_nothing(index):
    bad = NEW_ROWS.copy()
    bad[2] = np.nan
    for rows in (bad, OLD_ROWS):
        with pytest.raises(ModelError):
            index.stage(NEW, DIGESTS, rows)
    assert index.unstaged(NEW) == [1, 2, 3, 4]


def test_a_switch_that_fails_changes_nothing(index, monkeypatch):
    stage(index, 0, 1)
    with monkeypatch.context() as patch:
        patch.setattr(Writer, "restamp_all", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            index.switch(NEW)
    assert (index.spec, index.unstaged(NEW), index.check()) == (SPEC, [3, 4], [])
    assert [found(index, row) for row in OLD_ROWS] == [[1], [2], [3], [4]]
    index.switch(NEW)
    assert index.count == 2


def test_staged_vectors_of_missing_images_are_mended(index):
    stage(index, 0, 1, 2, 3)
    corrupt(index, "DELETE FROM images WHERE id = 2")
    assert any("embeddings" in line for line in index.check())
    index.repair()
    assert index.check() == []
    index.switch(NEW)
    assert sorted(paths(index).values()) == [1, 3, 4]


def test_another_object_follows_there_and_back(index, folder):
    with Index.open(folder) as other:
        assert found(other, OLD_ROWS[0]) == [1]
        stage(index, 0, 1, 2, 3)
        index.switch(NEW)
        with pytest.raises(IndexModelError):
            found(other, OLD_ROWS[0])
        late = unit(1, seed=5, dim=NEW.dim)[0]
        index.write(Changes(added=[picture("late", late, b"late")], removed=[2]))
        index.write(Changes(changed={1: picture("0", late, b"replaced")}))
        index.begin_staging(SPEC)
        assert index.unstaged(SPEC) == [1, 5]
        replaced = unit(2, seed=9)
        index.stage(SPEC, [b"late", b"replaced"], replaced)
        index.switch(SPEC)
        for each in (index, other):
            assert [found(each, row) for row in (*OLD_ROWS[2:], *replaced)] == [[3], [4], [5], [1]]
            assert sorted(found(each, OLD_ROWS[1], 9)) == [1, 3, 4, 5]
            assert each.check() == []
