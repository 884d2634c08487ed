"""What a test needs beside the package: it is skipped where that is not installed.

With SEARCHENGINE_REQUIRE=all in the environment it fails instead.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NoReturn

import pytest


def require(module: str, extra: str) -> Any:
    """A module of an optional part."""
    try:
        return import_module(module)
    except ImportError as error:
        missing(f"{module} ({error})", f"pip install 'searchengine[{extra}]'")


def missing(part: str, how: str) -> NoReturn:
    """Skip the test for want of a part, and say how to have it."""
    reason = f"needs {part}, which is not here; {how}"
    if os.environ.get("SEARCHENGINE_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)
