from __future__ import annotations

from pathlib import Path

import pytest

from tests.pictures import jpeg


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with `a.jpg`, `b.jpg` and `sub/c.jpg`."""
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "b.jpg", "sub/c.jpg")):
        (tmp_path / "photos" / name).write_bytes(jpeg(number))
    return tmp_path / "photos"
