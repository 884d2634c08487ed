"""Every picture once, in order; nothing unknown is taken for deleted."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchengine.errors import ImageError
from searchengine.images import EXTENSIONS, UnreadableFolder, walk
from searchengine.types import ImageFile


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def paths(root: Path, **options: object) -> list[str]:
    found = list(walk(str(root), **options))  # type: ignore[arg-type]
    assert all(isinstance(item, ImageFile) for item in found), found
    return [item.path for item in found]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_yields_pictures_with_their_state(root: Path) -> None:
    put(root, "a.jpg", "notes.txt", "sub/B.PNG", "jpg", "x.jpg.txt")
    first, second = walk(str(root))
    state = (root / "a.jpg").stat()
    assert first == ImageFile(str(root), "a.jpg", 1, state.st_mtime_ns)
    assert isinstance(second, ImageFile)
    assert second.path == "sub/B.PNG"
    assert os.path.samefile(second.absolute, root / "sub" / "B.PNG")


def test_order_is_that_of_the_paths(root: Path) -> None:
    put(root, "b/1.jpg", "b.jpg", "b-/1.jpg", "a/z/1.jpg", "a/b.jpg", "c.jpg", "B.jpg")
    assert paths(root) == sorted(paths(root))
    assert len(paths(root)) == 7


def test_is_lazy(root: Path) -> None:
    put(root, "a/1.jpg", "b/1.jpg")
    found = walk(str(root))
    next(found)
    (root / "b" / "1.jpg").rename(root / "b" / "2.jpg")
    assert [item.path for item in found] == ["b/2.jpg"]


names = st.text("ab.é *[\n", min_size=1, max_size=4).filter(lambda n: n not in (".", ".."))
trees = st.lists(
    st.tuples(st.lists(names, max_size=3), st.sampled_from((".jpg", ".PNG", ".txt", ""))),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(trees, st.booleans())
def test_equals_a_naive_walk(tree: list[tuple[list[str], str]], hidden: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, (parents, suffix) in enumerate(tree):
            try:
                put(Path(folder), "/".join([*parents, f"{number}{suffix}"]))
            except (FileExistsError, NotADirectoryError):
                continue
        naive = [
            os.path.relpath(os.path.join(base, name), folder)
            for base, _, files in os.walk(folder)
            for name in files
            if os.path.splitext(name)[1].lower() in EXTENSIONS
        ]
        expected = [p for p in naive if hidden or not any(x[0] == "." for x in p.split("/"))]
        assert paths(Path(folder), include_hidden=hidden) == sorted(expected)


def test_hidden_files_and_folders_on_demand(root: Path) -> None:
    put(root, ".a.jpg", ".hidden/b.jpg", "c.jpg")
    assert paths(root) == ["c.jpg"]
    assert paths(root, include_hidden=True) == [".a.jpg", ".hidden/b.jpg", "c.jpg"]


def test_a_folder_may_be_named_like_a_picture(root: Path) -> None:
    put(root, "holiday.jpg/a.jpg")
    assert paths(root) == ["holiday.jpg/a.jpg"]


def test_pipes_are_left_alone(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    os.mkfifo(root / ".searchignore")
    put(root, "a.jpg")
    assert paths(root) == ["a.jpg"]


def test_names_that_are_not_utf8(root: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \xff.jpg")
    try:
        put(root, name, "line\nbreak.jpg", "🌳.jpg")
    except OSError:
        pytest.skip("this file system insists on UTF-8")
    assert set(paths(root)) == {name, "line\nbreak.jpg", "🌳.jpg"}
    (root / ".searchignore").write_bytes(b"caf\xe9*\n")
    assert name not in paths(root)


# --- patterns


def test_exclude_has_gitignore_syntax(root: Path) -> None:
    put(root, "a.png", "keep.png", "b.jpg", "cache/c.jpg", "deep/cache/d.jpg", "top/e.jpg")
    assert paths(root, exclude=["*.png", "!keep.png", "cache/", "/top"]) == ["b.jpg", "keep.png"]
    assert paths(root, exclude=["deep/**", "# a comment", ""])[-1] == "top/e.jpg"


def test_an_ignore_file_rules_its_folder_and_below(root: Path) -> None:
    put(root, "a.png", "sub/a.png", "sub/deep/a.png", "sub/deep/b.png", "sub/x.jpg")
    (root / "sub" / ".searchignore").write_text("*.png\r\n/x.jpg\n")
    (root / "sub" / "deep" / ".searchignore").write_text("!b.png")
    assert paths(root) == ["a.png", "sub/deep/b.png"]
    assert paths(root, exclude=["b.png"]) == ["a.png"]
    assert paths(root, exclude=["!sub/a.png"]) == ["a.png", "sub/a.png", "sub/deep/b.png"]


def test_an_ignore_file_need_not_be_text(root: Path) -> None:
    put(root, "a.png", "b.jpg")
    (root / ".searchignore").write_bytes(b"\xef\xbb\xbf*.png\n\xff\xfe\x00\n")
    assert paths(root) == ["b.jpg"]


def test_a_bad_pattern_is_reported_and_nothing_below_is_guessed(root: Path) -> None:
    put(root, "a.jpg", "sub/b.jpg", "sub/.searchignore")
    (root / "sub" / ".searchignore").write_text("!\n")
    _, report = walk(str(root))
    assert isinstance(report, UnreadableFolder)
    assert report.path == "sub"
    assert "pattern" in report.reason
    with pytest.raises(ImageError, match="pattern"):
        next(walk(str(root), exclude=["!"]))


# --- starting below the root


def test_under_keeps_paths_and_rules_of_the_root(root: Path) -> None:
    put(root, "a.jpg", "sub/b.jpg", "sub/b.png", "sub/deep/c.jpg", "sub2/d.jpg")
    (root / ".searchignore").write_text("*.png\n/sub/deep\n")
    assert paths(root, under="sub") == ["sub/b.jpg"]
    assert paths(root, under="./sub/") == ["sub/b.jpg"]
    assert paths(root, under="sub/deep") == []
    assert paths(root, under=".") == paths(root)


@pytest.mark.parametrize("under", ["..", "../x", "/tmp", "sub/../.."])
def test_under_stays_below_the_root(root: Path, under: str) -> None:
    with pytest.raises(ImageError, match="not below"):
        next(walk(str(root), under=under))


# --- links


def test_links_into_the_root_and_around_it_are_not_followed(root: Path) -> None:
    put(root, "a.jpg", "sub/b.jpg")
    for number, target in enumerate([root, root.parent, root / "sub", "/", root / "a.jpg"]):
        (root / f"link{number}.jpg").symlink_to(target)
    (root / "sub" / "self").symlink_to(".")
    (root / "sub" / "up").symlink_to("..")
    assert paths(root) == ["a.jpg", "sub/b.jpg"]


def test_links_elsewhere_are_followed_once(root: Path) -> None:
    outside = root.parent / "outside"
    put(outside, "x.jpg", "deep/y.jpg")
    (outside / "back").symlink_to(root)
    (outside / "cycle").symlink_to(outside)
    for name, target in (("a", "deep"), ("b", "."), ("c", "."), ("d.jpg", "x.jpg")):
        (root / name).symlink_to(outside / target)
    assert paths(root) == ["a/y.jpg", "b/x.jpg", "d.jpg"]


def test_a_linked_root_is_a_root(root: Path) -> None:
    put(root, "a.jpg", "sub/b.jpg")
    (root / "sub" / "up").symlink_to("..")
    link = root.parent / "link"
    link.symlink_to(root)
    assert paths(link) == ["a.jpg", "sub/b.jpg"]


def test_links_that_lead_nowhere_are_skipped(root: Path) -> None:
    (root / "gone.jpg").symlink_to(root.parent / "gone.jpg")
    (root / "gone").symlink_to(root.parent / "gone")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    assert paths(root) == []


# --- what cannot be read is not deleted


def test_a_folder_that_cannot_be_listed_is_reported(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "a/1.jpg", "locked/2.jpg", "z/3.jpg")
    scandir = os.scandir

    def forbidding(path: str) -> object:
        if path.rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    found = list(walk(str(root)))
    assert [item.path for item in found] == ["a/1.jpg", "locked", "z/3.jpg"]
    assert found[1] == UnreadableFolder("locked", "permission denied")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may list everything")
def test_permissions(root: Path) -> None:
    put(root, "a.jpg", "no list/1.jpg", "no search/2.jpg", "no search/3.jpg", "rules/4.jpg")
    put(root.parent, "outside/inner/5.jpg")
    put(root, "rules/.searchignore")
    (root / "x").symlink_to(root.parent / "outside" / "inner")
    modes = {
        root / "no list": 0o300,
        root / "no search": 0o400,
        root / "rules" / ".searchignore": 0,
        root.parent / "outside": 0,
    }
    for path, mode in modes.items():
        path.chmod(mode)
    try:
        found = [item.path for item in walk(str(root))]
        reports = {item.path for item in walk(str(root)) if isinstance(item, UnreadableFolder)}
    finally:
        for path in modes:
            path.chmod(0o700)
    assert found == ["a.jpg", "no list", "no search", "rules", "x"]
    assert reports == {"no list", "no search", "rules", "x"}


def test_a_file_that_cannot_be_examined_makes_its_folder_unreadable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(root, "a/1.jpg", "a/2.jpg", "b/3.jpg")
    found = walk(str(root))
    assert next(found).path == "a/1.jpg"
    (root / "a" / "2.jpg").unlink()  # or its disk was unplugged: not for the walk to say
    assert next(found) == UnreadableFolder("a", "no such file or directory")


@pytest.mark.parametrize("under", ["", "sub"])
def test_a_missing_or_mistaken_start_is_an_error(root: Path, under: str) -> None:
    for start in (root / "missing", root / "file.jpg"):
        put(root, "file.jpg")
        with pytest.raises(ImageError, match=r"cannot list the folder .*; check"):
            next(walk(str(start), under=under))


def test_extensions_have_one_form() -> None:
    assert all(e == e.lower() and e.startswith(".") for e in EXTENSIONS)
    assert all(a != b for a, b in itertools.pairwise(sorted(EXTENSIONS)))
