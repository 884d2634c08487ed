"""Groups of exact copies, near copies and bursts."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from searchengine.duplicates import Kind, find_duplicates, leaders
from searchengine.duplicates.hamming import distances
from searchengine.duplicates.rules import MOST_BITS, NEAR_COSINE, as_hashes
from searchengine.errors import IndexChangedError
from searchengine.index import Changes, Index
from searchengine.types import BLANK_PHASH
from tests.duplicates.toys import HASH, flipped, image, put, towards


def groups(index: Index, *kinds: Kind) -> list[list[str]]:
    return [[each.file.path for each in group.images] for group in find_duplicates(index, kinds)]


def test_an_empty_index_has_none(index: Index) -> None:
    assert find_duplicates(index) == []


def test_same_bytes_are_exact_copies_whatever_their_hash(index: Index) -> None:
    put(index, image("a", None, content=b"same"), image("b", content=b"same"), image("c"))
    put(index, image("d", BLANK_PHASH, content=b"bl"), image("e", BLANK_PHASH, content=b"bl"))
    (first, second) = find_duplicates(index, ["exact"])
    assert (first.kind, first.similarity) == ("exact", 1.0)
    assert [each.file.path for each in first.images] == ["a", "b"]
    assert [each.file.path for each in second.images] == ["d", "e"]


def test_the_largest_comes_first_then_the_oldest_then_by_path(index: Index) -> None:
    put(
        index,
        *(image(path, HASH, taken_at="2024-01-02T00:00:00") for path in ("d", "c")),
        image("a", HASH),
        image("b", HASH, taken_at="2024-01-01T00:00:00"),
        image("z", HASH, width=641),
    )
    assert groups(index, "near") == [["z", "b", "c", "d", "a"]]


def test_near_copies_need_a_near_hash_and_a_near_embedding(index: Index) -> None:
    put(
        index,
        image("a", HASH),
        image("b", flipped(MOST_BITS), 50),
        image("c", flipped(MOST_BITS + 1, 20)),
        image("d", flipped(1), 65),
    )
    (group,) = find_duplicates(index, ["near"])
    assert [each.file.path for each in group.images] == ["a", "b"]
    assert group.similarity == pytest.approx(np.cos(np.radians(50)), abs=1e-3)


def test_blank_pictures_are_no_near_copies(index: Index) -> None:
    put(index, image("a", BLANK_PHASH), image("b", BLANK_PHASH), image("c", 1))
    assert groups(index, "near") == []


def test_of_exact_copies_only_the_first_is_among_the_near_ones(index: Index) -> None:
    put(
        index,
        image("a", HASH, content=b"one"),
        image("b", HASH, content=b"one"),
        image("c", flipped(2)),
    )
    assert groups(index, "near") == [["a", "c"]]
    assert groups(index) == []
    assert groups(index, "exact", "near") == [["a", "b"], ["a", "c"]]


def test_small_differences_do_not_chain(index: Index) -> None:
    """Each picture is near to the next; the last has nothing to do with the first."""
    put(index, *(image(f"{n:02}", flipped(5 * n), 10 * n) for n in range(12)))
    found = groups(index, "near")
    assert found[0] == ["00", "01"]
    assert sorted(path for group in found for path in group) == [f"{n:02}" for n in range(12)]
    assert max(map(len, found)) == 2


@pytest.mark.parametrize("together", [1, 3, 4096])
def test_every_member_is_near_to_the_first_as_in_a_plain_search(
    index: Index, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(leaders, "_TOGETHER", together)
    random = np.random.default_rng(together)
    hashes = [flipped(int(random.integers(0, 7)), int(random.integers(0, 8))) for _ in range(60)]
    angles = random.integers(0, 180, 60).tolist()
    put(index, *(image(f"{n:02}", hashes[n], angles[n]) for n in range(60)))
    bits = distances(as_hashes(hashes)[:, None], as_hashes(hashes)[None])
    vectors = np.array([towards(angle) for angle in angles])
    near = (bits <= MOST_BITS) & (vectors @ vectors.T >= NEAR_COSINE)
    expected, left = [], list(range(60))
    while left:
        members = [each for each in left if each == left[0] or near[left[0], each]]
        if len(members) > 1:
            expected.append([f"{each:02}" for each in members])
        left = [each for each in left if each not in members]
    assert groups(index, "near") == expected


def shot(path: str, second: int, degrees: float = 0, **info: Any) -> Any:
    facts = {"taken_at": f"2024-07-01T18:30:{second:02}+02:00", "camera": "Canon", **info}
    unlike = int(np.random.default_rng(list(path.encode())).integers(1, 2**63))
    return image(path, facts.pop("phash", unlike), degrees, **facts)


def test_a_burst_is_of_one_camera_in_quick_succession_and_alike(index: Index) -> None:
    put(
        index,
        *(shot("a", 0), shot("b", 3, 20), shot("c", 6, 40), shot("d", 7, 90)),  # d: turned away
        shot("e", 10),
        shot("f", 1, camera="Nikon"),
        *(shot("p", 30, camera=None), shot("q", 30, camera=None)),
        *(shot("r", 40, taken_at=None), shot("s", 40, taken_at=None)),
        *(shot("x", 50), shot("y", 54)),
    )
    (group,) = find_duplicates(index, ["burst"])
    assert [each.file.path for each in group.images] == ["a", "b", "c", "e"]
    assert group.similarity == pytest.approx(np.cos(np.radians(40)), abs=1e-3)


def test_of_a_burst_the_largest_comes_first(index: Index) -> None:
    put(index, shot("a", 0), shot("b", 1), shot("c", 2, width=641))
    assert groups(index, "burst") == [["c", "a", "b"]]


@pytest.mark.parametrize("together", [3, 5, 4096])
def test_bursts_do_not_depend_on_how_many_are_read_at_a_time(
    index: Index, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    monkeypatch.setattr(leaders, "_TOGETHER", together)
    put(index, *(shot(f"{10 * n + m}", 10 * n + m) for n in range(5) for m in range(3)))
    assert groups(index, "burst") == [[f"{10 * n + m}" for m in range(3)] for n in range(5)]


def test_shots_of_other_seconds_are_a_burst_and_no_copies(index: Index) -> None:
    facts = {"camera": "Canon", "phash": HASH}
    put(index, *(shot(f"{n}", n, **facts) for n in range(3)))
    assert groups(index, "near") == []
    assert groups(index, "burst") == [["0", "1", "2"]]


def test_a_near_copy_is_not_in_the_burst_too(index: Index) -> None:
    put(index, *(image(p, HASH, taken_at="2024-01-01T00:00:00", camera="C") for p in "ab"))
    assert groups(index, "near", "burst") == [["a", "b"]]


def test_a_group_may_come_in_pieces_larger_than_what_is_read_at_a_time(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaders, "_TOGETHER", 4)
    put(index, *(image(f"{n:02}", HASH) for n in range(30)))
    assert groups(index, "near") == [[f"{n:02}" for n in range(30)]]


def test_stop_gives_no_groups(index: Index) -> None:
    put(index, image("a", HASH), image("b", HASH))
    stop = threading.Event()
    stop.set()
    assert find_duplicates(index, stop=stop) == []


def test_images_removed_meanwhile_are_one_error(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(index, image("a", HASH), image("b", HASH))
    traits = index.traits()
    monkeypatch.setattr(index, "traits", lambda: traits)
    index.write(Changes(removed=[2]))
    with pytest.raises(IndexChangedError, match="again"):
        find_duplicates(index, ["near"])
