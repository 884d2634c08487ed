"""A small domain to train on: flat colours with their names."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from searchengine.types import CaptionedImage

COLOURS = ("red", "lime", "blue", "cyan", "pink", "gold", "gray", "navy")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> list[CaptionedImage]:
    """Sixteen pictures of eight colours, two captions each."""
    folder = tmp_path_factory.mktemp("colours")
    found = []
    for number in range(16):
        colour = COLOURS[number % 8]
        path = folder / f"{number}.png"
        Image.new("RGB", (40 + number, 32), colour).save(path)
        found.append(CaptionedImage(path.name, (f"{colour} {number}", f"a {colour}"), str(path)))
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the new model goes."""
    return tmp_path / "model"
