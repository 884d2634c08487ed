"""The confusion matrix as a PNG file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searchengine.errors import EvaluationError
from searchengine.evaluation import extras
from searchengine.evaluation.confusion import draw_confusion, require_drawing
from searchengine.evaluation.zeroshot import ZeroShotAccuracy


def test_odd_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = (r"$\no{formula$", "写真", "\udce9 not text", "x" * 300)
    draw_confusion(tmp_path / "a.png", ZeroShotAccuracy(names, np.eye(4) + 0.5, 100.0))
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 300


def test_many_classes_stay_one_picture_of_bounded_size(tmp_path: Path) -> None:
    found = ZeroShotAccuracy(tuple(map(str, range(600))), np.eye(600), 100.0)
    draw_confusion(tmp_path / "a.png", found)
    with Image.open(tmp_path / "a.png") as image:
        assert max(image.size) < 3000


def test_what_cannot_be_drawn_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_drawing(tmp_path / "fine.PNG")
    with pytest.raises(EvaluationError, match="PNG"):
        require_drawing(tmp_path / "a.pdf")
    with pytest.raises(EvaluationError, match="no folder"):
        require_drawing(tmp_path / "none" / "a.png")
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        EvaluationError, match=r"matplotlib.*pip install 'searchengine\[evaluate\]'"
    ):
        require_drawing(tmp_path / "a.png")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(EvaluationError, match="cannot write"):
        draw_confusion(tmp_path / "a.png", ZeroShotAccuracy(("a", "b"), np.eye(2), 100.0))
