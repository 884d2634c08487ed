"""Validation measures what `evaluate recall` measures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from searchengine import encoders
from searchengine.encoders import ModelFolder
from searchengine.errors import TrainingError
from searchengine.evaluation.recall import evaluate_recall
from searchengine.finetune.towers import Towers
from searchengine.finetune.validation import Validation
from searchengine.types import CaptionedImage


def count(images: Tensor, texts: Tensor, fits: Tensor) -> Tensor:
    """A loss that tells the shape of its batch."""
    assert images.shape == texts.shape
    assert fits.shape == (len(texts), len(images))
    assert fits.diagonal().all()
    return torch.tensor(float(len(images)))


def test_recall_is_that_of_the_folder(
    clip_folder: ModelFolder, colours: list[CaptionedImage]
) -> None:
    towers = Towers(clip_folder, "cpu")
    towers.model.eval()
    with torch.no_grad():
        found = Validation(colours, 5).measure(towers, count)
    expected, _ = evaluate_recall(encoders.load(clip_folder, "cpu"), colours)
    assert found.recall.images == expected.images == 16
    assert found.recall.captions == expected.captions == 32
    assert found.recall.mean_recall == pytest.approx(expected.mean_recall, abs=7)
    assert found.loss == 5  # three batches of five; the image left over has none beside it


def test_pictures_that_cannot_be_read_are_left_out(
    clip_folder: ModelFolder, colours: list[CaptionedImage], tmp_path: Path
) -> None:
    broken = CaptionedImage("broken", ("a",), str(tmp_path / "nothing.png"))
    towers = Towers(clip_folder, "cpu")
    towers.model.eval()
    with torch.no_grad():
        validation = Validation([broken, *colours[:2]], 4)
        assert validation.recall(towers).images == 2
        assert set(validation.broken) == {"broken"}
        with pytest.raises(TrainingError, match="fewer than two"):
            Validation([broken, colours[0]], 4).recall(towers)
