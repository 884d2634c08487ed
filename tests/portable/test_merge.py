"""Two indexes of one model become one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchengine.errors import ExchangeError, IndexModelError
from searchengine.index import Changes, Index, NewImage
from searchengine.portable import Merged, merge
from searchengine.types import EncoderSpec, Failure, ImageFile, Scope
from tests.index.toys import DIM, INFO, SPEC, found, unit

VECTORS = unit(40)


def image(path: str, number: int, mtime_ns: int = 20, root: str = "/photos") -> NewImage:
    digest = number.to_bytes(16)
    return NewImage(ImageFile(root, path, 10, mtime_ns), digest, INFO, VECTORS[number])


def make(folder: Path, *added: NewImage) -> Index:
    index = Index.create(folder, SPEC)
    for root in dict.fromkeys(each.file.root for each in added):
        index.add_root(root)
    index.write(Changes(added=list(added)))
    return index


def held(index: Index) -> dict[str, tuple[int, str, tuple[str, ...]]]:
    """Path -> mtime, digest and captions of all images; paths must not occur twice."""
    entries = [entry for block in index.entries() for entry in block]
    shown = {
        e.image.file.absolute: (e.image.file.mtime_ns, e.image.digest.hex(), e.captions)
        for e in entries
    }
    assert len(shown) == len(entries)
    return shown


def test_images_come_with_embedding_facts_and_captions(tmp_path: Path) -> None:
    other = make(tmp_path / "other", image("a", 1), image("b", 2, root="/more"))
    other.write(Changes(captions={1: ("two", "one")}))
    into = make(tmp_path / "into", image("c", 3))
    assert merge(other, into) == Merged(added=2)
    assert held(into)["/photos/a"] == held(other)["/photos/a"]
    assert into.roots() == ["/photos", "/more"]
    assert [into.image(found(into, VECTORS[n])[0]).path for n in (1, 2, 3)] == [
        *("/photos/a", "/more/b", "/photos/c")
    ]
    assert into.check() == []
    assert other.count == 2


def test_the_later_state_of_a_file_wins_and_captions_are_united(tmp_path: Path) -> None:
    other = make(tmp_path / "other", image("a", 1, 20), image("b", 2, 30), image("c", 5))
    into = make(tmp_path / "into", image("a", 3, 30), image("b", 4, 20), image("c", 5))
    other.write(Changes(captions={1: ("x",), 2: ("x", "y"), 3: ("z", "x")}))
    into.write(Changes(captions={1: ("x",), 3: ("x",)}))
    assert merge(other, into) == Merged(same=1, replaced=1, kept=1, captioned=2)
    shown = held(into)
    assert shown["/photos/a"] == (30, (3).to_bytes(16).hex(), ("x",))
    assert shown["/photos/b"] == (30, (2).to_bytes(16).hex(), ("x", "y"))
    assert shown["/photos/c"][2] == ("x", "z")
    assert found(into, VECTORS[2]) == [2]


def test_roots_inside_one_another_are_united(tmp_path: Path) -> None:
    other = make(tmp_path / "other", image("b/c", 1, root="/a"), image("x", 2, root="/z/y"))
    into = make(tmp_path / "into", image("c", 1, root="/a/b"), image("y/x", 2, root="/z"))
    assert merge(other, into) == Merged(same=2)
    assert sorted(into.roots()) == ["/a", "/z"]
    assert into.count == 2


def test_new_roots_bring_what_is_left_out_of_them(tmp_path: Path) -> None:
    other = make(tmp_path / "other", image("a", 1), image("b", 2, root="/more"))
    into = make(tmp_path / "into", image("c", 3), image("d", 4, root="/more/inside"))
    for index, root, pattern in (
        (other, "/photos", "theirs/"),
        (other, "/more", "raw/"),
        (into, "/photos", "ours/"),
        (into, "/more/inside", "*.tmp"),
    ):
        index.set_scope(root, Scope((pattern,), include_hidden=index is other))
    merge(other, into)
    expected = {
        "/photos": Scope(("ours/",)),
        "/more": Scope(("raw/", "/inside/**/*.tmp"), include_hidden=True),
    }
    assert into.scopes() == expected
    merge(other, into)
    assert into.scopes() == expected


def test_a_file_that_one_could_not_read_is_taken_from_the_other(tmp_path: Path) -> None:
    other = make(tmp_path / "other", image("a", 1), image("b", 2))
    into = make(tmp_path / "into", image("c", 3))
    failed = [ImageFile("/photos", "a", 10, 20), ImageFile("/photos", "b", 5, 99)]
    into.write(Changes(failed=[Failure(file, "broken") for file in failed]))
    assert merge(other, into) == Merged(added=1, kept=1)
    assert [each.file.path for each in into.failures()] == ["b"]


def test_another_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    other = make(tmp_path / "other", image("a", 1))
    into = Index.create(tmp_path / "into", EncoderSpec("newer", "e" * 64, DIM))
    with pytest.raises(IndexModelError, match=r"--re-embed --index .*other --model newer"):
        merge(other, into)
    with pytest.raises(ExchangeError, match="itself"):
        merge(other, other)
    assert into.roots() == []


STATES = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(st.integers(0, 3), st.lists(st.sampled_from("xyz"), unique=True, max_size=2)),
)


@settings(max_examples=8, deadline=None)
@given(STATES, STATES, st.integers(0, 4))
def test_a_merge_that_was_cut_short_is_completed_by_the_next(
    tmp_path_factory: pytest.TempPathFactory,
    mine: dict[str, tuple[int, list[str]]],
    theirs: dict[str, tuple[int, list[str]]],
    survives: int,
) -> None:
    home = tmp_path_factory.mktemp("merge")
    made = []
    for name, states in (("into", mine), ("other", theirs)):
        # Of one path and mtime, content is one: what it is depends on these two alone.
        index = make(
            home / name, *(image(p, 8 * m + ord(p) % 8, m) for p, (m, _) in states.items())
        )
        texts = {n: tuple(each) for n, (_, each) in enumerate(states.values(), 1)}
        index.write(Changes(captions=texts))
        made.append(index)
    into, other = made
    real, writes = into.write, []

    def write(changes: Changes) -> None:
        if len(writes) == survives:
            raise KeyboardInterrupt
        writes.append(1)
        real(changes)

    into.write = write  # type: ignore[method-assign]
    try:
        merge(other, into)
    except KeyboardInterrupt:
        into.write = real  # type: ignore[method-assign]
        merge(other, into)
    shown = held(into)
    assert {path[-1:] for path in shown} == mine.keys() | theirs.keys()
    for path, (mtime, _, texts) in shown.items():
        both = [states[path[-1:]] for states in (mine, theirs) if path[-1:] in states]
        assert mtime == max(each[0] for each in both)
        assert set(texts) == {text for each in both for text in each[1]}
    for index in made:
        index.close()
