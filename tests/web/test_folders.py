"""Whether a folder is there, empty, or gone."""

from __future__ import annotations

from pathlib import Path

from searchengine.web.folders import has_entries


def test_a_folder_is_full_empty_or_cannot_be_listed(tmp_path: Path) -> None:
    assert has_entries(str(tmp_path)) is False
    (tmp_path / "a.jpg").touch()
    assert has_entries(str(tmp_path)) is True
    assert has_entries(str(tmp_path / "a.jpg")) is None
    assert has_entries(str(tmp_path / "gone")) is None
