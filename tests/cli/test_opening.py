"""Opening a file with a viewer that the test puts in the way."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from searchengine.cli import opening
from searchengine.errors import SearchEngineError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no shell script is run there")


def _viewer(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("xdg-open", "open"):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_the_viewer_gets_the_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _viewer(tmp_path, f'printf %s "$1" > {tmp_path}/opened', monkeypatch)
    monkeypatch.chdir(tmp_path)
    opening.open_file("-a b.jpg")
    assert (tmp_path / "opened").read_text() == f"{tmp_path}/-a b.jpg"


def test_a_viewer_that_stays_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _viewer(tmp_path, "sleep 30", monkeypatch)
    monkeypatch.setattr(opening, "_PATIENCE", 0.1)
    started = time.monotonic()
    opening.open_file("a.jpg")
    assert time.monotonic() - started < 15


def test_a_viewer_that_fails_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _viewer(tmp_path, "exit 3", monkeypatch)
    monkeypatch.setattr(opening, "_PATIENCE", 30)
    with pytest.raises(SearchEngineError, match=r"a\.jpg.*ended with 3"):
        opening.open_file("a.jpg")


def test_no_viewer_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SearchEngineError, match="is not there"):
        opening.open_file("a.jpg")
