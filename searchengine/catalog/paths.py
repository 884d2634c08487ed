"""Paths below folders, and patterns of paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # one letter is a drive
_SPECIAL = re.compile(r"[\\\[\]!*#?]")


def below(path: str, folder: str) -> str | None:
    """The path relative to a folder, POSIX separators, "" for the folder itself; None outside."""
    if not PurePath(path).is_relative_to(folder):
        return None
    under = PurePath(path).relative_to(folder).as_posix()
    return "" if under == "." else under


def outermost(folders: Iterable[str]) -> list[str]:
    """Those that lie inside no other one, sorted."""
    names = set(folders)
    return sorted(n for n in names if not any(n != m and below(n, m) is not None for m in names))


def lift(patterns: Iterable[str], under: str) -> tuple[str, ...]:
    """Gitignore patterns of a folder, as a folder around it has them; `under` is its path there."""
    return tuple(_lifted(patterns, under)) if under else tuple(patterns)


def _lifted(patterns: Iterable[str], under: str) -> Iterator[str]:
    place = "/" + _SPECIAL.sub(r"\\\g<0>", under)
    for pattern in patterns:
        if pattern.strip() in ("", "/") or pattern.startswith("#"):
            continue  # it says nothing
        bare = pattern.removeprefix("!")
        sign = "!" if bare != pattern else ""
        # One without a slash, but for that at its end, is meant at any depth.
        depth = "" if "/" in bare.rstrip()[:-1] else "**/"
        below_it = "**" if bare.strip() == "*" else depth + bare.removeprefix("/")
        yield f"{sign}{place}/{below_it}"


def is_url(folder: str | PurePath) -> bool:
    """Whether a root is an address such as `s3://bucket/photos`, not a folder of this machine."""
    return isinstance(folder, str) and _ADDRESS.match(folder) is not None


def inside(root: str, under: str) -> str:
    """The path or address of what lies at a relative path below a root, "" for the root itself."""
    return posixpath.join(root, under) if under else root
