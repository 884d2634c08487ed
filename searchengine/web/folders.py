"""Whether the folders of an index are there."""

from __future__ import annotations

import os


def has_entries(folder: str) -> bool | None:
    """Whether a folder holds anything; that of an unmounted drive may not. None: no listing it."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return None
