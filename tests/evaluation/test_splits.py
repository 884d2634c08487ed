"""Splits are stratified, the same for the same seed, and share no file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from searchengine.evaluation.labelled import read_labelled
from searchengine.evaluation.splits import draw, embed_split, split
from tests.evaluation.toys import fill_classes
from tests.fakes import FakeEncoder


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(0, 3), st.sampled_from([2, 3]))
def test_every_class_is_in_every_part_and_nothing_in_two(
    classes: list[int], seed: int, parts: int
) -> None:
    labels = np.array(classes, np.int64)
    found = split(labels, seed, parts)
    together = np.concatenate([found.train, found.validation, found.test])
    assert len(np.unique(together)) == len(together)
    kept = {each for each in classes if classes.count(each) >= parts}
    assert set(together) == {n for n, each in enumerate(classes) if each in kept}
    assert set(labels[found.train]) == set(labels[found.validation]) == kept
    assert set(labels[found.test]) == (kept if parts == 3 else set())
    again = split(labels, seed, parts)
    assert np.array_equal(found.train, again.train)
    assert np.array_equal(found.test, again.test)


def test_a_fifth_is_measured_on_and_the_seed_says_which() -> None:
    labels = np.repeat([0, 1], [50, 10])
    first, second = split(labels, 0), split(labels, 1)
    for part, sizes in ((first.train, [30, 6]), (first.validation, [10, 2]), (first.test, [10, 2])):
        assert np.bincount(labels[part]).tolist() == sizes
    assert set(first.test) != set(second.test)


def test_shots_are_drawn_from_what_is_given() -> None:
    labels = np.repeat([0, 1, 2], [10, 10, 2])
    chosen = np.arange(3, 22)
    drawn = draw(chosen, labels, 4, seed=0)
    assert set(drawn) <= set(chosen)
    assert np.bincount(labels[drawn]).tolist() == [4, 4, 2]
    assert np.array_equal(drawn, draw(chosen, labels, 4, seed=0))
    assert not np.array_equal(drawn, draw(chosen, labels, 4, seed=1))


def test_copies_count_once_and_broken_pictures_not_at_all(tmp_path: Path) -> None:
    fill_classes(tmp_path, 6)
    for number in range(20):
        shutil.copy(tmp_path / "blue" / "000.png", tmp_path / "blue" / f"copy{number}.png")
    shutil.copy(tmp_path / "blue" / "001.png", tmp_path / "red" / "other label.png")
    (tmp_path / "green" / "003.png").write_bytes(b"broken")
    found = embed_split(FakeEncoder(), read_labelled(tmp_path), None, seed=0)
    assert found.copies == 21
    assert [each.name for each in found.broken] == ["green/003.png"]
    assert len(found.embeddings) == len(found.labels) == 17
    assert np.bincount(found.labels).tolist() == [6, 5, 6]
    assert found.left_out == ()
    rows = found.embeddings @ found.embeddings.T
    assert (rows[np.ix_(found.split.test, found.split.train)] < 1 - 1e-6).all()


def test_small_classes_are_left_out_by_name(tmp_path: Path) -> None:
    fill_classes(tmp_path, 4)
    for number in (1, 2, 3):
        (tmp_path / "green" / f"{number:03}.png").unlink()
    shutil.copy(tmp_path / "green" / "000.png", tmp_path / "green" / "same.png")
    found = embed_split(FakeEncoder(), read_labelled(tmp_path), None, seed=0)
    assert found.left_out == ("green",)


def test_a_test_folder_stays_whole_and_leaves_the_training(tmp_path: Path) -> None:
    fill_classes(tmp_path / "train", 6)
    fill_classes(tmp_path / "test", 3, first=50)
    shutil.copytree(tmp_path / "test" / "red", tmp_path / "test" / "a stranger")
    shutil.copy(tmp_path / "test" / "red" / "050.png", tmp_path / "test" / "red" / "same.png")
    shutil.copy(tmp_path / "test" / "red" / "050.png", tmp_path / "train" / "red" / "leak.png")
    labelled, tested = read_labelled(tmp_path / "train"), read_labelled(tmp_path / "test")
    found = embed_split(FakeEncoder(), labelled, tested, seed=0)
    assert found.copies == 1
    assert found.left_out == ("a stranger",)
    assert len(found.split.train) + len(found.split.validation) == 18
    assert np.bincount(found.labels[found.split.test]).tolist() == [3, 3, 4]
    assert not set(found.split.test) & {*found.split.train, *found.split.validation}
    # Numbered as the classes of training are, whatever other classes the test folder has.
    red = labelled.keys.index("red")
    centre = found.embeddings[found.split.train][found.labels[found.split.train] == red].mean(
        axis=0
    )
    tested_red = found.split.test[found.labels[found.split.test] == red]
    assert (found.embeddings[tested_red] @ centre > 0.9).all()
