"""Local folders, addresses and shards: what is found in them, and what cannot be."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from searchengine.errors import ClusterError, ImageError, SearchEngineError
from searchengine.images import UnreadableFolder
from searchengine.scale.cluster import addresses, sources
from searchengine.scale.cluster.shards import ShardMember
from searchengine.types import ImageFile, Scope
from tests.pictures import fill, jpeg
from tests.scale.parts import require


@pytest.fixture(autouse=True)
def fsspec() -> Any:
    return require("fsspec", "ray")


def write_shard(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def found(root: str, under: str = "", scope: Scope = Scope()) -> dict[str, int]:  # noqa: B008
    files = sources.walk(root, under, scope)
    return {each.path: each.size for each in files if not isinstance(each, UnreadableFolder)}


def unlisted(root: str) -> dict[str, str]:
    files = sources.walk(root, "", Scope())
    return {each.path: each.reason for each in files if isinstance(each, UnreadableFolder)}


@pytest.fixture
def store(fsspec: Any) -> Iterator[str]:
    """An address with pictures, a hidden one, a text and an empty object as folders have it."""
    system = fsspec.filesystem("memory")
    for name in ("a.jpg", "deep/er/b.PNG", "deep/note.txt", ".trash/c.jpg", "deep/raw/d.jpg"):
        system.pipe_file(f"/bucket/photos/{name}", b"x" * len(name))
    yield "memory://bucket/photos"
    system.store.clear()
    system.pseudo_dirs.clear()


def test_names_of_folders() -> None:
    assert sources.name_folder("s3://bucket/photos//") == "s3://bucket/photos"
    assert sources.name_folder("S3://Bucket") == "s3://Bucket"
    assert sources.name_folder("file:///photos/a%20b") == "/photos/a b"
    assert sources.name_folder("file://localhost/photos") == "/photos"
    assert sources.name_folder("photos") == os.path.abspath("photos")
    assert sources.name_folder(Path("/photos")) == "/photos"


@pytest.mark.parametrize("folder", ["memory://bucket/photos", "s3://", "local://x"])
def test_what_no_worker_could_read_is_refused(folder: str) -> None:
    with pytest.raises(ClusterError):
        sources.name_folder(folder)


def test_pictures_behind_an_address(store: str) -> None:
    assert list(found(store)) == ["a.jpg", "deep/er/b.PNG", "deep/raw/d.jpg"]
    assert list(found(store, "deep")) == ["deep/er/b.PNG", "deep/raw/d.jpg"]
    assert list(found(store, "", Scope(("raw/", "/a.*")))) == ["deep/er/b.PNG"]
    assert ".trash/c.jpg" in found(store, "", Scope(include_hidden=True))
    assert unlisted(store) == {}


def test_what_is_not_there_is_no_empty_folder(store: str) -> None:
    with pytest.raises(ImageError, match="cannot list memory://bucket/nothing: "):
        found("memory://bucket/nothing")


def test_a_folder_that_may_not_be_listed_is_reported_and_a_dead_store_ends_the_walk(
    store: str, fsspec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = type(fsspec.filesystem("memory"))
    listing, error = system.ls, PermissionError("Access Denied")

    def deny(self: object, path: str, **options: object) -> object:
        if path.endswith("deep"):
            raise error
        return listing(self, path, **options)

    monkeypatch.setattr(system, "ls", deny)
    assert list(found(store)) == ["a.jpg"]
    assert "Access Denied" in unlisted(store)["deep"]
    error = RuntimeError("connection lost")
    with pytest.raises(addresses.SourceError, match=r"memory://bucket/photos: connection lost"):
        found(store)


def test_an_unknown_kind_of_address_is_one_line() -> None:
    with pytest.raises(SearchEngineError, match="no kind of address that fsspec knows"):
        sources.list_folders(["nix://bucket/photos"])


def test_an_address_whose_library_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    addresses.open_root.cache_clear()
    with pytest.raises(SearchEngineError, match=r"s3:// needs a library: Install s3fs"):
        sources.list_folders(["s3://bucket/photos"])


def test_outermost_folders_are_kept(tmp_path: Path) -> None:
    fill(tmp_path / "a" / "b", 1)
    (tmp_path / "empty").mkdir()
    listed = sources.list_folders([tmp_path / "a" / "b", tmp_path / "a", tmp_path / "empty"])
    assert listed == {str(tmp_path / "a"): True, str(tmp_path / "empty"): False}
    with pytest.raises(ImageError, match="nothing was changed"):
        sources.list_folders([tmp_path / "missing"])


def test_a_shard_counts_as_a_folder(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    members = {"0001.jpg": jpeg(1), "0001.txt": b"a caption", "0001.json": b"{}"}
    members |= {"./sub/0002.PNG": b"png", ".hidden.jpg": b"h", "../up.jpg": b"u"}
    write_shard(tmp_path / "shards" / "000.tar", members)
    inside = "shards/000.tar"
    expected = {"0000.jpg", f"{inside}/0001.jpg", f"{inside}/sub/0002.PNG"}
    assert found(str(tmp_path)).keys() == expected
    assert found(str(tmp_path), "", Scope(("sub/",))).keys() == expected - {
        f"{inside}/sub/0002.PNG"
    }
    shard = (tmp_path / inside).read_bytes()
    for each in sources.walk(str(tmp_path), "shards", Scope()):
        assert isinstance(each, ShardMember)
        assert each.shard == inside
        assert each.mtime_ns == (tmp_path / inside).stat().st_mtime_ns
        content = members.get(each.path.removeprefix(f"{inside}/"), b"png")
        assert shard[each.offset : each.offset + each.size] == content


def test_a_shard_that_is_damaged_cut_off_or_compressed_is_reported(tmp_path: Path) -> None:
    write_shard(tmp_path / "good.tar", {"a.jpg": jpeg(1), "b.jpg": jpeg(2)})
    whole = (tmp_path / "good.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:2000])
    (tmp_path / "text.tar").write_text("hello " * 200)
    (tmp_path / "empty.tar").write_bytes(b"")
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(tmp_path / "good.tar")
    assert unlisted(str(tmp_path)).keys() == {"cut.tar", "text.tar", "empty.tar", "packed.tar"}
    assert found(str(tmp_path)).keys() == {"good.tar/a.jpg", "good.tar/b.jpg"}


def test_a_shard_behind_an_address(store: str, fsspec: Any, tmp_path: Path) -> None:
    write_shard(tmp_path / "000.tar", {"a.jpg": jpeg(1)})
    content = (tmp_path / "000.tar").read_bytes()
    fsspec.filesystem("memory").pipe_file("/bucket/photos/000.tar", content)
    [member] = [f for f in sources.walk(store, "", Scope()) if isinstance(f, ShardMember)]
    span = (member.offset, member.size)
    assert addresses.read_bytes(store, member.shard, span) == jpeg(1)


def test_what_an_index_has_of_shards_is_found_in_them_again(store: str, tmp_path: Path) -> None:
    members = {"a.jpg": jpeg(1), "deep.tar/b.jpg": jpeg(2)}
    write_shard(tmp_path / "sub" / "000.tar", members)
    (tmp_path / "text.tar").write_text("hello " * 200)
    fill(tmp_path / "folder.tar", 1)
    system, top = addresses.open_root(store)
    system.put_file(str(tmp_path / "sub" / "000.tar"), f"{top}/sub/000.tar")
    system.pipe_file(f"{top}/folder.tar/0000.jpg", jpeg(0))
    for root in (str(tmp_path), store):
        paths = [f"sub/000.tar/{name}" for name in (*members, "gone.jpg")]
        paths += ["folder.tar/0000.jpg", "text.tar/a.jpg", "gone.tar/a.jpg", "a.jpg"]
        files = [ImageFile(root, path, 1, 1) for path in paths]
        located = list(sources.in_shards(files))
        assert located[2:] == files[2:]
        walked = list(sources.walk(root, "sub", Scope()))
        assert located[:2] == [replace(each, mtime_ns=0) for each in walked]
        assert list(sources.in_shards(walked)) == walked


def test_a_folder_that_is_called_as_a_shard_is_never_opened(
    store: str, fsspec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, top = addresses.open_root(store)
    system.pipe_file(f"{top}/folder.tar/0000.jpg", jpeg(0))
    monkeypatch.setattr(type(system), "open", None)
    file = ImageFile(store, "folder.tar/0000.jpg", 1, 1)
    assert list(sources.in_shards([file])) == [file]


def test_a_store_that_does_not_answer_is_no_lack_of_pictures(
    store: str, fsspec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("connection lost")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", fail)
    with pytest.raises(addresses.SourceError, match="connection lost"):
        list(sources.in_shards([ImageFile(store, "000.tar/a.jpg", 1, 1)]))


def test_the_time_of_an_object_without_one_changes_with_its_tag() -> None:
    first, second = (
        addresses._entry("b", {"name": "b/x.jpg", "type": "file", "size": 1, "ETag": tag}).mtime_ns
        for tag in ("one", "two")
    )
    assert first != second
    assert 0 < first < 2**62
