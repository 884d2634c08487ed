"""Paths below folders."""

from __future__ import annotations

from pathlib import PurePath


def below(path: str, folder: str) -> str | None:
    """The path relative to a folder, POSIX separators, "" for the folder itself; None outside."""
    if not PurePath(path).is_relative_to(folder):
        return None
    under = PurePath(path).relative_to(folder).as_posix()
    return "" if under == "." else under
