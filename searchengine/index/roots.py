"""Which root folders may take the place of which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from searchengine.catalog import below
from searchengine.catalog.paths import is_url
from searchengine.errors import IndexFolderError


def known(roots: Sequence[str], root: str | Path) -> str:
    """The root that a person means.

    Raises:
        IndexFolderError: there is no such root.
    """
    path = absolute(root)
    if path not in roots:
        listed = ", ".join(roots) or "none"
        raise IndexFolderError(f"{path} is not a root folder of the index; they are: {listed}")
    return path


def free(roots: Sequence[str], old: str | Path, new: str | Path) -> str:
    """The folder that takes the place of the root `old`.

    Raises:
        IndexFolderError: it is no folder, or overlaps a root that stays.
    """
    path = absolute(new)
    if not (is_url(path) or os.path.isdir(path)):
        raise IndexFolderError(f"{path} is not a folder; is its drive mounted?")
    for root in roots:
        overlaps = below(path, root) is not None or below(root, path) is not None
        if overlaps and root != absolute(old):
            raise IndexFolderError(
                f"{path} overlaps the root folder {root}; move or remove that one first"
            )
    return path


def absolute(path: str | Path) -> str:
    """The path by which an index knows a folder; an address stays what it is."""
    return str(path) if is_url(path) else os.path.abspath(os.path.expanduser(path))
