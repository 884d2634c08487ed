"""Find the picture files below a folder, each once, in sorted order."""

from __future__ import annotations

import errno
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from searchengine.errors import ImageError
from searchengine.images.formats import EXTENSIONS, extension
from searchengine.types import ImageFile

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".searchignore"


@dataclass(frozen=True, slots=True)
class UnreadableFolder:
    """A folder that could not be examined, relative to its root ("" is the root), and why.

    What lies below it is unknown, so nothing there may be taken for deleted.
    """

    path: str
    reason: str


_Rules: TypeAlias = "tuple[tuple[int, GitIgnoreSpec], ...]"
"""Ignore patterns, in order of precedence; each sees a path from that many characters on."""

_Step: TypeAlias = "tuple[str, os.DirEntry[str] | _Rules]"
"""What to visit: a file, or a folder (its path ends in "/") with the rules of those above it."""


def walk(
    root: str,
    *,
    under: str = "",
    include_hidden: bool = False,
    exclude: Sequence[str] = (),
    extensions: Set[str] = EXTENSIONS,
) -> Iterator[ImageFile | UnreadableFolder]:
    """Yield every supported picture file below `root`, lazily, sorted by relative path.

    `root` is an absolute path; `under` a folder relative to it at which to start. Dot files are
    skipped unless `include_hidden`. `exclude` holds gitignore patterns relative to `root`; they
    prevail over those of the `.searchignore` files, each of which rules its folder and below.

    A link whose target lies inside `root`, or is a folder around it, is not followed; any other
    link is. A folder is visited once, however many links lead to it. No picture is opened.

    Raises `ImageError` at the first item where the starting folder cannot be listed.
    """
    return _Walk(root, include_hidden, exclude, extensions).run(under)


class _Walk:
    """One walk: what stays the same, or is remembered, from folder to folder."""

    def __init__(
        self, root: str, include_hidden: bool, exclude: Sequence[str], extensions: Set[str]
    ) -> None:
        self.root = root
        self.real_root = os.path.join(os.path.realpath(root), "")
        self.include_hidden = include_hidden
        self.extensions = extensions
        self.exclude: _Rules = ((0, compile_patterns(exclude, "exclude")),) if exclude else ()
        self.visited: set[tuple[int, int]] = set()

    def run(self, under: str) -> Iterator[ImageFile | UnreadableFolder]:
        """Walk depth first: the stack holds what is left of every folder on the way down."""
        steps = self._first(under)
        denied = set()  # a folder full of forbidden files is one record, not thousands
        while steps:
            path, what = steps.pop()
            if isinstance(what, tuple):
                try:
                    steps += self._list(path, what)
                except (OSError, ImageError) as error:
                    yield UnreadableFolder(path[:-1], _reason(error))
                continue
            try:
                state = what.stat()
            except OSError as error:
                folder = path.rpartition("/")[0]
                if not (_is_dangling(error) and what.is_symlink()) and folder not in denied:
                    denied.add(folder)
                    yield UnreadableFolder(folder, _reason(error))
                continue
            if stat.S_ISREG(state.st_mode):
                yield ImageFile(self.root, path, state.st_size, state.st_mtime_ns)

    def _first(self, under: str) -> list[_Step]:
        """The steps of the starting folder, under the ignore files of those above it."""
        start = "" if posixpath.normpath(under) == "." else posixpath.normpath(under) + "/"
        if start.startswith(("/", "../")):
            raise ImageError(f"{under} is not below {self.root}; name a folder inside it")
        rules, above = self.exclude, ""
        try:
            for name in start.split("/")[:-1]:
                rules = self._add_ignore_file(above, rules)
                above += name + "/"
            return self._list(start, rules)
        except OSError as error:
            folder = os.path.join(self.root, start)
            raise ImageError(
                f"cannot list the folder {folder}: {_reason(error)}; "
                "check that it is there and that you may read it"
            ) from error

    def _list(self, path: str, rules: _Rules) -> list[_Step]:
        """The pictures and folders in the folder `path`, last one first."""
        absolute = os.path.join(self.root, path)
        state = os.stat(absolute)
        if (state.st_dev, state.st_ino) in self.visited:
            return []
        self.visited.add((state.st_dev, state.st_ino))
        with os.scandir(absolute) as listing:
            entries = list(listing)
        rules = self._add_ignore_file(path, rules)
        steps: list[_Step] = []
        for entry in entries:
            name = entry.name
            if name[0] == "." and not self.include_hidden:
                continue
            if entry.is_symlink() and self._is_around_or_inside(entry.path):
                continue
            if _is_folder(entry):
                step: _Step = (f"{path}{name}/", rules)
            elif extension(name) in self.extensions:
                step = (path + name, entry)
            else:
                continue
            if not (rules and _is_excluded(step[0], rules)):
                steps.append(step)
        # Folders sort with their slash, so that the walk yields paths in plain string order.
        steps.sort(key=itemgetter(0), reverse=True)
        return steps

    def _add_ignore_file(self, path: str, rules: _Rules) -> _Rules:
        """The rules that hold in the folder `path`, given those of the folder above it."""
        file = os.path.join(self.root, path, IGNORE_FILE)
        if not os.path.isfile(file):
            return rules
        # Surrogate escapes: a pattern in another encoding still equals the same bytes in a name.
        with open(file, encoding="utf-8-sig", errors="surrogateescape") as lines:
            own = (len(path), compile_patterns(lines.read().split("\n"), file))
        return (*self.exclude, own, *rules[len(self.exclude) :])

    def _is_around_or_inside(self, link: str) -> bool:
        """Whether a link leads into the root, which is walked anyway, or to a folder around it."""
        target = os.path.join(os.path.realpath(link), "")
        return target.startswith(self.real_root) or self.real_root.startswith(target)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether to list this entry; a link to a forbidden place counts, so that it is reported."""
    try:
        return entry.is_dir()
    except OSError as error:
        return not _is_dangling(error)


def _is_dangling(error: OSError) -> bool:
    """Whether a link failed because it leads nowhere."""
    return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def _is_excluded(path: str, rules: _Rules) -> bool:
    """Whether `path` is excluded: the first rule with a matching pattern decides."""
    for start, spec in rules:
        verdict = spec.check_file(path[start:]).include
        if verdict is not None:
            return verdict
    return False


def compile_patterns(lines: Iterable[str], where: str) -> GitIgnoreSpec:
    """Patterns of gitignore syntax, ready to match; raises `ImageError` that names `where`."""
    from pathspec import GitIgnoreSpec  # needed by few walks

    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error) as error:
        raise ImageError(f"bad pattern in {where}: {error}; mend or remove it") from error


def _reason(error: OSError | ImageError) -> str:
    return error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
