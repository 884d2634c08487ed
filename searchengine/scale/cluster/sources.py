"""Where pictures are: local folders, addresses, and shards in either."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote

from searchengine import images
from searchengine.catalog.paths import inside, is_url, outermost
from searchengine.errors import ImageError
from searchengine.images import EXTENSIONS, UnreadableFolder
from searchengine.scale.cluster import addresses
from searchengine.scale.cluster.addresses import RemoteEntry, SourceError
from searchengine.scale.cluster.shards import SHARD, ShardMember, members
from searchengine.types import ImageFile, Scope

_WANTED: Final = EXTENSIONS | {SHARD}


def name_folder(folder: str | Path) -> str:
    """The name by which an index knows a folder: an absolute path, or an address."""
    text = os.fspath(folder)
    if match := re.match(r"(?i)file://(localhost)?(?=/)", text):
        text = unquote(text[match.end() :])
    if is_url(text):
        return addresses.normalise(text)
    return os.path.abspath(os.path.expanduser(text))


def list_folders(folders: Iterable[str | Path]) -> dict[str, bool]:
    """Folders by the names that an index has for them, and whether there is anything in each.

    Those that lie inside another one are left out. Raises `ImageError` or `SourceError` where one
    cannot be listed. An address with nothing below it cannot be told from a mistyped one.
    """
    return {name: _has_entries(name) for name in outermost(map(name_folder, folders))}


def _has_entries(folder: str) -> bool:
    if is_url(folder):
        try:
            if next(addresses.list_folder(folder), None) is not None:
                return True
            reason = "it is empty"
        except (FileNotFoundError, NotADirectoryError) as error:
            reason = _reason(error)
        raise ImageError(
            f"there is nothing at {folder} ({reason}); nothing was changed. If it is meant to be "
            f"so: searchengine roots remove {folder}"
        )
    try:
        return bool(os.listdir(folder))
    except OSError as error:
        raise ImageError(
            f"cannot list the folder {folder}: {error.strerror}; nothing was changed"
        ) from error


def walk(root: str, under: str, scope: Scope) -> Iterator[ImageFile | UnreadableFolder]:
    """Yield the picture files of the folder `under` a root, and the pictures inside of shards.

    `.searchignore` files count in local folders only. Raises `ImageError` at the first item where
    the folder cannot be listed.
    """
    if is_url(root):
        found = _RemoteWalk(root, scope).run(under)
    else:
        found = images.walk(
            root,
            under=under,
            include_hidden=scope.include_hidden,
            exclude=scope.exclude,
            extensions=_WANTED,
        )
    excludes = _Excludes(scope)
    for each in found:
        if isinstance(each, UnreadableFolder) or not each.path.lower().endswith(SHARD):
            yield each
            continue
        try:
            listed = members_of(each)
        except (ImageError, OSError, SourceError) as error:
            yield _unreadable(each.path, error)
        else:
            yield from (member for member in listed if excludes.takes(member.path))


def open_local(file: ImageFile) -> BinaryIO:
    """Open a file of this machine. Raises OSError."""
    return open(file.absolute, "rb")


def members_of(
    shard: ImageFile, open_file: Callable[[ImageFile], BinaryIO] = open_local
) -> list[ShardMember]:
    """The pictures inside of a shard; `open_file` opens one of this machine.

    Raises `ImageError` or OSError where it cannot be read, `SourceError` where its store fails.
    """
    if not is_url(shard.root):
        with open_file(shard) as archive:
            return list(members(shard, archive))
    return addresses.read_with(
        shard.root, shard.path, lambda archive: list(members(shard, archive))
    )


def in_shards(files: Iterable[ImageFile]) -> Iterator[ImageFile]:
    """The same files, with where in its shard each is that lies in one: an index has its path only.

    What its shard does not hold any more stays as it is: it cannot be read. Raises `SourceError`
    where that cannot be told.
    """
    held = cache(_held)
    for file in files:
        shards = () if isinstance(file, ShardMember) else shards_above(file.path)
        found = (held(file.root, shard).get(file.path) for shard in shards)
        yield next(filter(None, found), file)


def shards_above(path: str) -> Iterator[str]:
    """The paths of what may be the shard that a picture lies in, by their names."""
    folders = path.split("/")[:-1]
    for depth, name in enumerate(folders, 1):
        if name.lower().endswith(SHARD):
            yield "/".join(folders[:depth])


def _held(root: str, path: str) -> dict[str, ShardMember]:
    """The pictures inside of a shard by their paths; none where it is no shard any more."""
    try:
        if is_url(root):
            _, is_folder, size, _ = addresses.look_at(root, path)
        else:
            is_folder, size = False, os.path.getsize(os.path.join(root, path))
        listed = [] if is_folder else members_of(ImageFile(root, path, size, 0))
    except (ImageError, OSError):
        return {}
    return {each.path: each for each in listed}


class _Excludes:
    """What a scope leaves out, by a path and whether it is a folder's (it ends in "/")."""

    def __init__(self, scope: Scope) -> None:
        self.include_hidden = scope.include_hidden
        self.rules = images.compile_patterns(scope.exclude, "exclude") if scope.exclude else None

    def takes(self, path: str) -> bool:
        """Whether to take what is at a path relative to the root, or to a shard."""
        if not self.include_hidden and any(part.startswith(".") for part in path.split("/")):
            return False
        return not (self.rules and self.rules.check_file(path).include)


class _RemoteWalk:
    """A walk below an address, depth first, in sorted order."""

    def __init__(self, root: str, scope: Scope) -> None:
        self.root = root
        self.excludes = _Excludes(scope)

    def run(self, under: str) -> Iterator[ImageFile | UnreadableFolder]:
        try:
            pending = self._list(under)
        except OSError as error:
            raise ImageError(
                f"cannot list {inside(self.root, under)}: {_reason(error)}; nothing was changed"
            ) from error
        while pending:
            path, entry = pending.pop()
            if not entry.is_folder:
                yield ImageFile(self.root, path, entry.size, entry.mtime_ns)
                continue
            try:
                pending += self._list(path)
            except (OSError, SourceError) as error:
                yield _unreadable(path, error)

    def _list(self, folder: str) -> list[tuple[str, RemoteEntry]]:
        """The pictures, shards and folders of a folder, the last one first."""
        found = []
        for entry in addresses.list_folder(self.root, folder):
            path = inside(folder, entry.name) if folder else entry.name
            is_wanted = entry.is_folder or entry.name[entry.name.rfind(".") :].lower() in _WANTED
            if is_wanted and self.excludes.takes(f"{path}/" if entry.is_folder else path):
                found.append((path, entry))
        return sorted(found, reverse=True)


def _unreadable(path: str, error: Exception) -> UnreadableFolder:
    """What cannot be listed while the rest can; where the whole store is at fault, raise."""
    if isinstance(error, SourceError) and not isinstance(error.__cause__, PermissionError):
        raise error
    return UnreadableFolder(path, _reason(error))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()
    return str(error)
