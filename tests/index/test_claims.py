"""Several objects write to one index: to different roots freely, to the same one in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from searchengine.errors import IndexChangedError, IndexFolderError
from searchengine.index import Changes, Index, NewImage
from searchengine.types import Failure, ImageFile
from tests.index.toys import ROOT, pictures, unit

ELSE = "/elsewhere"


def elsewhere(n: int, prefix: str = "") -> list[NewImage]:
    each = pictures(n, prefix=prefix)
    return [replace(one, file=replace(one.file, root=ELSE)) for one in each]


@pytest.fixture
def two(index: Index, folder: Path) -> Iterator[tuple[Index, Index]]:
    """One writes below `/photos`, the other below `/elsewhere`; three images are in each."""
    with Index.open(folder) as other:
        other.add_root(ELSE)
        index.write(Changes(added=pictures(3)))
        other.write(Changes(added=elsewhere(3)))
        yield index, other


def test_two_writers_of_different_roots_both_succeed(two: tuple[Index, Index]) -> None:
    one, other = two
    for number in range(3):
        stamp = one.stamp
        one.write(Changes(added=pictures(2, prefix=f"{number}/"), removed=[number + 1]))
        assert one.stamp != stamp
        other.write(Changes(added=elsewhere(2, prefix=f"{number}/"), captions={5: (f"{number}",)}))
    assert (one.count, other.root_counts()) == (15, {ROOT: 6, ELSE: 9})
    assert len(one.search(unit(1), 99)[0]) == len(other.search(unit(1), 99)[0]) == 15
    assert one.check() == []


@pytest.mark.parametrize(
    "late",
    [
        Changes(added=pictures(1, prefix="late")),
        Changes(removed=[1]),
        Changes(moved={1: ImageFile(ROOT, "moved", 1, 1)}),
        Changes(changed={1: pictures(1)[0]}),
        Changes(captions={1: ("a dog",)}),
        Changes(failed=[Failure(ImageFile(ROOT, "x", 1, 1), "cut")]),
        Changes(forgotten=[ImageFile(ROOT, "x", 1, 1)]),
    ],
)
def test_the_second_writer_of_a_root_is_told_whatever_he_writes(
    two: tuple[Index, Index], late: Changes
) -> None:
    one, other = two
    other.add_root(ROOT)
    one.write(Changes(added=pictures(1, prefix="more")))
    with pytest.raises(IndexChangedError, match="run the same command again"):
        other.write(late)
    other.write(Changes(added=elsewhere(1, prefix="fine")))
    other.add_root(ROOT)
    other.write(late)
    with pytest.raises(IndexChangedError):
        one.write(Changes(added=pictures(1, prefix="now I am late")))


def test_a_vanished_image_that_another_writer_moved_is_not_removed(
    two: tuple[Index, Index],
) -> None:
    one, other = two
    other.write(Changes(moved={2: ImageFile(ELSE, "found again", 10, 20)}))
    one.write(Changes(removed=[1, 2]))
    assert sorted(one.files(ROOT)) == ["2"]
    assert one.files(ELSE)["found again"] == (2, 10, 20)
    one.write(Changes(removed=[2]))  # that alone is no change, and no error
    assert one.count == 5
    assert one.check() == []


def test_an_image_that_another_writer_removed_is_not_moved(two: tuple[Index, Index]) -> None:
    one, other = two
    one.write(Changes(removed=[1]))
    with pytest.raises(IndexChangedError):
        other.write(Changes(moved={1: ImageFile(ELSE, "found again", 10, 20)}))
    assert other.count == 5


def test_a_writer_that_claimed_nothing_builds_upon_all_that_it_saw(
    two: tuple[Index, Index], folder: Path
) -> None:
    one, other = two
    with Index.open(folder) as third:
        one.write(Changes(captions={1: ("a dog",)}))
        with pytest.raises(IndexChangedError):
            third.write(Changes(captions={4: ("a cat",)}))
    with Index.open(folder) as third:
        third.write(Changes(captions={4: ("a cat",)}))
        third.write(Changes(captions={1: ("a boat",)}))
    for each, change in ((one, Changes(removed=[1])), (other, Changes(removed=[4]))):
        with pytest.raises(IndexChangedError):
            each.write(change)


def test_a_root_that_went_meanwhile_is_not_written_to(two: tuple[Index, Index]) -> None:
    one, other = two
    other.remove_root(ROOT)
    with pytest.raises(IndexChangedError):
        one.write(Changes(added=pictures(1, prefix="late")))
    other.add_root("/")
    with pytest.raises(IndexChangedError):
        one.write(Changes(added=pictures(1, prefix="late")))
    other.write(Changes(removed=[4]))
    with pytest.raises(IndexFolderError, match="not a root"):
        other.write(Changes(added=elsewhere(1, prefix="late")))


def test_what_is_written_to_a_root_that_was_not_claimed_is_seen_by_who_did(
    two: tuple[Index, Index],
) -> None:
    one, other = two
    other.write(Changes(captions={1: ("a dog",)}))
    with pytest.raises(IndexChangedError):
        one.write(Changes(captions={1: ("a cat",)}))
