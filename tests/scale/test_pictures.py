"""Pictures behind addresses and inside of shards, without a cluster: read, gone, damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from searchengine.errors import ImageError
from searchengine.scale import pictures
from searchengine.scale.cluster import addresses, sources
from searchengine.scale.cluster.addresses import SourceError
from searchengine.scale.cluster.sources import open_local
from searchengine.types import ImageFile, Scope
from tests.pictures import jpeg
from tests.scale.cluster.test_sources import write_shard
from tests.scale.parts import require

ADDRESS = "memory://bucket/photos"


@pytest.fixture
def system() -> Iterator[Any]:
    """A store of objects in memory; a shard of two pictures is in it, and one by itself."""
    system = require("fsspec", "ray").filesystem("memory")
    system.pipe_file("/bucket/photos/deep/a.jpg", jpeg(1))
    yield system
    system.store.clear()
    system.pseudo_dirs.clear()


def read(root: str, path: str) -> bytes | None:
    copy = pictures.open_copy(ImageFile(root, path, 0, 0), open_local)
    if copy is None:
        return None
    with copy:
        return copy.read()


def test_a_picture_behind_an_address_is_copied_with_its_state(system: Any) -> None:
    (listed,) = sources.walk(ADDRESS, "", Scope())
    assert isinstance(listed, ImageFile)
    with pictures.open_copy(listed, open_local) as copy:
        state = os.fstat(copy.fileno())
        assert (state.st_size, state.st_mtime_ns) == (listed.size, listed.mtime_ns)
        assert copy.read() == jpeg(1)
    assert pictures.is_elsewhere(listed)


@pytest.mark.parametrize("is_local", [True, False])
def test_a_picture_inside_of_a_shard_is_found_wherever_it_lies_by_now(
    is_local: bool, tmp_path: Path, system: Any
) -> None:
    def write(members: dict[str, bytes]) -> None:
        write_shard(tmp_path / "sub" / "0.tar", members)
        if not is_local:
            shard = (tmp_path / "sub" / "0.tar").read_bytes()
            system.pipe_file("/bucket/photos/sub/0.tar", shard)

    root = str(tmp_path) if is_local else ADDRESS
    write({"x/a.jpg": jpeg(2), "b.jpg": jpeg(3)})
    assert read(root, "sub/0.tar/x/a.jpg") == jpeg(2)
    assert read(root, "sub/0.tar/b.jpg") == jpeg(3)
    write({"c.jpg": jpeg(5), "more.jpg": jpeg(6), "b.jpg": jpeg(4)})
    assert read(root, "sub/0.tar/b.jpg") == jpeg(4)
    with pytest.raises(ImageError, match=r"sub/0\.tar holds no such picture any more"):
        read(root, "sub/0.tar/x/a.jpg")
    assert pictures.is_elsewhere(ImageFile(root, "sub/0.tar/b.jpg", 0, 0))


def test_a_shard_is_listed_once_for_all_of_its_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "0.tar", {f"{n}.jpg": jpeg(n) for n in range(5)})
    listed: list[ImageFile] = []
    members_of = sources.members_of

    def counted(shard: ImageFile, *rest: Any) -> Any:
        listed.append(shard)
        return members_of(shard, *rest)

    monkeypatch.setattr(sources, "members_of", counted)
    assert [read(str(tmp_path), f"0.tar/{n}.jpg") for n in range(5)] == [*map(jpeg, range(5))]
    assert len(listed) == 1


def test_a_file_of_this_machine_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "folder.tar" / "a.jpg").write_bytes(jpeg(1))
    for path in ("folder.tar/a.jpg", "missing.jpg", "missing.tar/a.jpg"):
        assert read(str(tmp_path), path) is None
        assert not pictures.is_elsewhere(ImageFile(str(tmp_path), path, 0, 0))


def test_what_is_gone_damaged_or_too_large_says_so(
    tmp_path: Path, system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImageError, match="no such picture"):
        read(ADDRESS, "deep/b.jpg")
    (tmp_path / "0.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ImageError, match="not a plain tar archive"):
        read(str(tmp_path), "0.tar/a.jpg")
    monkeypatch.setattr(pictures, "_LARGEST", 100)
    with pytest.raises(ImageError, match="too many for a picture"):
        read(ADDRESS, "deep/a.jpg")


def test_a_store_that_fails_is_told_from_a_picture_that_is_gone(
    system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(type(system), "info", fails)
    with pytest.raises(SourceError, match="no answer in time"):
        read(ADDRESS, "deep/a.jpg")


def test_an_address_of_no_known_kind_is_one_error() -> None:
    require("fsspec", "ray")
    with pytest.raises(SourceError, match="is no kind of address"):
        read("nothing://bucket", "a.jpg")
    addresses.open_root.cache_clear()
