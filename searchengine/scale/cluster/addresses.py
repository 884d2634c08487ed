"""Folders behind addresses such as `s3://bucket/photos`, through fsspec."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any, BinaryIO, Final, NamedTuple, ParamSpec, TypeVar, cast

from searchengine.catalog.paths import inside
from searchengine.errors import ClusterError, SearchEngineError

_TIMES: Final = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_P = ParamSpec("_P")
_R = TypeVar("_R")


class RemoteEntry(NamedTuple):
    """What a folder holds: a name, and of a file its size in bytes and its time of change."""

    name: str
    is_folder: bool
    size: int
    mtime_ns: int


class SourceError(ClusterError):
    """A store of files cannot be used at all: nothing is known of what is in it."""


def normalise(address: str) -> str:
    """The name by which an index knows an address: without a slash at its end.

    Raises `SourceError` for one that only exists in one process, or names no bucket.
    """
    scheme, _, rest = address.partition("://")
    if scheme in ("memory", "local"):
        raise SourceError(f"{address}: what is in the memory of this process no worker can read")
    rest = re.sub(r"/+$", "", rest)
    if not rest:
        raise SourceError(f"{address} names no place; write {scheme}://BUCKET/FOLDER")
    return f"{scheme.lower()}://{rest}"


def _plainly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn what a store's library raises into one line.

    Their errors share no base class, so all are taken, but for what means the file is not there.
    """

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except (FileNotFoundError, SearchEngineError):
            raise
        except Exception as error:
            raise SourceError(f"{args[0]}: {_words(error, str(args[0]))}") from error

    return guarded


@_plainly
def list_folder(root: str, under: str = "") -> Iterator[RemoteEntry]:
    """What is in a folder of a root. Raises FileNotFoundError where there is none."""
    system, top = open_root(root)
    folder = inside(top, under)
    system.invalidate_cache(folder)
    entries = system.ls(folder, detail=True)
    system.invalidate_cache(folder)  # it would keep the listing of every folder
    return iter([_entry(folder, each) for each in entries if _is_below(folder, each)])


@_plainly
def look_at(root: str, path: str) -> RemoteEntry:
    """What is at a path of a root. Raises FileNotFoundError where there is nothing."""
    system, top = open_root(root)
    return _entry(top, system.info(inside(top, path)))


@_plainly
def read_bytes(root: str, path: str, span: tuple[int, int] | None = None) -> bytes:
    """The content of a file of a root, or of its part of (offset, size)."""
    system, top = open_root(root)
    if span is None:
        return cast(bytes, system.cat_file(inside(top, path)))
    start, size = span
    return cast(bytes, system.cat_file(inside(top, path), start=start, end=start + size))


@_plainly
def read_with(root: str, path: str, read: Callable[[BinaryIO], _R]) -> _R:
    """Have a file of a root read here and there."""
    system, top = open_root(root)
    with system.open(inside(top, path), "rb", cache_type="readahead") as file:
        return read(file)


@_plainly
def guarded(address: str, act: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """Do something with what is at an address; what goes wrong is a `SourceError`."""
    try:
        return act(*args, **kwargs)
    except FileNotFoundError as error:
        raise SourceError(f"there is no {address}: {' '.join(str(error).split())}") from error


@_plainly
def has_entries(root: str) -> bool:
    """Whether there is anything in a folder or behind an address, which need not be there."""
    system, top = open_root(root)
    system.invalidate_cache()
    try:
        return any(_is_below(top, each) for each in system.ls(top, detail=True))
    except FileNotFoundError:
        return False


@lru_cache(maxsize=64)
def open_root(root: str) -> tuple[Any, str]:
    """The file system behind a root, and the root's path in it."""
    from fsspec.core import url_to_fs

    system, path = url_to_fs(root)
    return system, path.rstrip("/")


def _is_below(folder: str, info: dict[str, Any]) -> bool:
    name = str(info["name"]).rstrip("/")
    return name != folder  # an object store may have an empty object in the folder's place


def _entry(folder: str, info: dict[str, Any]) -> RemoteEntry:
    name = str(info["name"]).rstrip("/").rpartition("/")[2]
    return RemoteEntry(name, info["type"] == "directory", int(info.get("size") or 0), _time(info))


def _time(info: dict[str, Any]) -> int:
    """When a file changed, ns since 1970; where only a tag tells, a number that changes with it."""
    for key in _TIMES:
        value = info.get(key)
        if isinstance(value, datetime):
            return round(value.timestamp() * 1000) * 1_000_000
        if isinstance(value, int | float):
            return int(value * 1_000_000_000)
        if isinstance(value, str) and (found := _parsed(value)):
            return found
    tag = str(info.get("ETag") or info.get("etag") or "")
    return int.from_bytes(hashlib.sha256(tag.encode()).digest()[:6]) if tag else 0


def _parsed(text: str) -> int:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000
    except ValueError:
        return 0


def _words(error: Exception, address: str) -> str:
    """What is wrong, and what to do about it."""
    scheme = address.partition("://")[0]
    kind, text = type(error).__name__, " ".join(str(error).split())
    if isinstance(error, ImportError):
        return f"{scheme}:// needs a library: {text}"
    if isinstance(error, ValueError) and "rotocol not known" in text:
        return f"{scheme}:// is no kind of address that fsspec knows"
    if kind in ("NoCredentialsError", "PartialCredentialsError"):
        return "no credentials; set them on every machine (for S3: AWS_ACCESS_KEY_ID or a role)"
    if isinstance(error, PermissionError):
        return f"not allowed to read it: {text}; look at the credentials and their rights"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "no answer in time; is the network there?"
    return f"{text or kind}; is the address right, and can this machine reach it?"
