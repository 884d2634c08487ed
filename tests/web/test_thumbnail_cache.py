from __future__ import annotations

import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchengine.web import thumbnail_cache
from searchengine.web.thumbnail_cache import PictureCache


def webp(size: int, filling: bytes = b"x") -> bytes:
    """What passes for a WebP file of `size` bytes, 12 or more."""
    return (b"RIFF" + (size - 8).to_bytes(4, "little") + b"WEBP").ljust(size, filling)


def on_disk(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir()) if folder.exists() else 0


def use_at(folder: Path, key: str, seconds: int) -> None:
    os.utime(folder / f"{key}.webp", (seconds, seconds))


def test_what_is_put_is_there_also_for_another_cache_and_after_a_restart(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path / "deep" / "cache", 1000)
    assert cache.get("a") is None
    assert cache.put("a", webp(100))
    assert cache.get("a") == webp(100)
    assert PictureCache(tmp_path / "deep" / "cache", 1000).get("a") == webp(100)
    assert (tmp_path / "deep" / "cache").stat().st_mode & 0o077 == 0  # they are private pictures


@settings(max_examples=60, deadline=None)
@given(
    bound=st.integers(12, 2000),
    before=st.lists(st.integers(12, 900), max_size=5),
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(0, 9), st.integers(12, 900)), min_size=1, max_size=30
    ),
)
def test_the_bound_holds_whatever_is_asked(
    bound: int, before: list[int], steps: list[tuple[bool, int, int]]
) -> None:
    with TemporaryDirectory() as home:
        folder = Path(home)
        for number, size in enumerate(before):
            (folder / f"old{number}.webp").write_bytes(webp(size))
        cache = PictureCache(folder, bound)
        for puts, number, size in steps:
            key = f"k{number}"
            if puts:
                kept = cache.put(key, webp(size))
                assert kept == (size <= bound)
                if kept:
                    assert cache.get(key) == webp(size)
                    assert on_disk(folder) <= bound
            else:
                found = cache.get(key)
                assert found is None or found == webp(len(found))


def test_the_least_recently_used_go_first_and_several_at_once(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, 1000)
    for number in range(10):
        cache.put(f"k{number}", webp(100))
        use_at(tmp_path, f"k{number}", 1_000 + number)
    cache.get("k0")  # which makes it the last one used
    cache.put("new", webp(100))
    kept = {each.stem for each in tmp_path.iterdir()}
    assert kept == {
        "new",
        "k0",
        *(f"k{number}" for number in range(3, 10)),
    }  # two for a tenth of the bound
    cache.put("next", webp(50))
    assert kept < {each.stem for each in tmp_path.iterdir()}  # nothing had to go this time


def test_two_processes_that_share_a_folder_stay_near_the_bound(tmp_path: Path) -> None:
    one, other = PictureCache(tmp_path, 3200), PictureCache(tmp_path, 3200)
    for number in range(100):
        (one if number % 2 else other).put(f"k{number}", webp(100))
        assert on_disk(tmp_path) <= 3200 * (1 + 2 / 16)


def test_a_folder_is_not_listed_for_every_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = 0
    scandir = os.scandir

    def counted(path: str) -> object:
        nonlocal listed
        listed += 1
        return scandir(path)

    monkeypatch.setattr(thumbnail_cache.os, "scandir", counted)
    cache = PictureCache(tmp_path, 32_000)
    for number in range(640):
        cache.put(f"k{number}", webp(100))
    assert listed <= 640 / 10


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, 1000)
    for damaged in (b"", b"\0" * 100, webp(100)[:50]):
        cache.put("a", webp(100))
        (tmp_path / "a.webp").write_bytes(damaged)
        assert cache.get("a") is None
        assert not (tmp_path / "a.webp").exists()


def test_a_folder_that_cannot_be_written_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = PictureCache(tmp_path / "file" / "cache", 1000)
    assert not cache.put("a", webp(100))
    assert cache.get("a") is None


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cache = PictureCache(tmp_path, 1000)
    with monkeypatch.context() as patch:
        patch.setattr(thumbnail_cache.os, "replace", full)
        assert not cache.put("a", webp(100))
    assert list(tmp_path.iterdir()) == []
    assert cache.put("a", webp(100))


def test_what_a_killed_process_left_is_cleared_away_in_time(tmp_path: Path) -> None:
    for name in ("old.part", "new.part", "not ours.txt"):
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / "old.part", (1, 1))
    PictureCache(tmp_path, 1000).put("a", webp(100))
    assert {each.name for each in tmp_path.iterdir()} == {"new.part", "not ours.txt", "a.webp"}


@pytest.mark.parametrize("key", ["../escape", "", "a/b", "a.b", "a\0"])
def test_a_key_is_no_path(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        PictureCache(tmp_path, 1000).get(key)


def test_threads_share_a_cache(tmp_path: Path) -> None:
    cache = PictureCache(tmp_path, 2000)

    def work(seed: int) -> None:
        for number in range(50):
            cache.put(f"k{(number * seed) % 30}", webp(100 + seed))
            cache.get(f"k{number % 30}")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 7, 11, 13)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert on_disk(tmp_path) <= 2000
