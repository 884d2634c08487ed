"""Zero-shot accuracy, its confusion matrix, and ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from searchengine.errors import EvaluationError
from searchengine.evaluation import zeroshot
from searchengine.evaluation.labelled import read_labelled
from searchengine.evaluation.zeroshot import accuracy, evaluate_zeroshot
from tests.evaluation.toys import blobs, fill_classes, unit
from tests.fakes import FakeEncoder

NAMES = [f"class {n}" for n in range(8)]


def test_figures_equal_those_of_the_full_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zeroshot, "_ROWS", 7)
    pictures, labels = blobs(8, 25, noise=1.2)
    labels = labels[: (keep := 180)]  # the last class has fewer
    pictures = pictures[:keep]
    classes = unit([pictures[labels == each].mean(axis=0) for each in range(8)])
    found = accuracy(pictures, labels, classes, NAMES)
    order = np.argsort(-(pictures.astype(np.float64) @ classes.T), axis=1)
    right = order[:, 0] == labels
    assert 30 < found.top1 < 95
    assert found.top1 == pytest.approx(100 * right.mean())
    assert found.top5 == pytest.approx(100 * (order[:, :5] == labels[:, None]).any(axis=1).mean())
    by_class = [100 * right[labels == each].mean() for each in range(8)]
    assert found.mean_per_class == pytest.approx(np.mean(by_class))
    assert [each.top1 for each in found.per_class()] == pytest.approx(by_class)
    assert [each.images for each in found.per_class()] == [25] * 7 + [5]
    for row, each in enumerate(found.per_class()):
        taken = [order[n, 0] for n in np.flatnonzero(labels == row) if not right[n]]
        counts = np.bincount(taken, minlength=8) if taken else np.zeros(8)
        assert found.confusion[row, row] == 25 * by_class[row] / 100 or row == 7
        assert (
            each.confused_with is None
            if not taken
            else counts[NAMES.index(str(each.confused_with))] == counts.max()
        )


def test_a_model_that_sees_no_difference_has_the_accuracy_of_guessing() -> None:
    found = accuracy(unit(np.ones((30, 4))), np.arange(30) % 8, unit(np.ones((8, 4))), NAMES)
    assert found.top1 == pytest.approx(100 / 8)
    assert found.mean_per_class == pytest.approx(100 / 8)
    assert found.top5 == pytest.approx(500 / 8)
    assert found.images == 30
    assert found.confusion.sum() == pytest.approx(30)


def test_cosines_that_differ_by_rounding_alone_are_ties() -> None:
    classes = unit([[1, 0], [1, 1e-3]])  # at most 5e-7 apart
    found = accuracy(classes, np.array([0, 1]), classes, ["a", "b"])
    assert found.confusion == pytest.approx(np.full((2, 2), 0.5))


def test_classes_without_a_picture_are_no_zero_in_the_mean() -> None:
    found = accuracy(unit([[1, 0, 0]]), np.array([0]), unit(np.eye(3)), ["a", "b", "c"])
    assert found.mean_per_class == 100
    assert [each.name for each in found.per_class()] == ["a"]
    assert found.per_class()[0].confused_with is None


def test_folders_of_colours_are_told_apart_by_an_encoder_that_knows_them(tmp_path: Path) -> None:
    fill_classes(tmp_path, 5)
    (tmp_path / "red" / "000.png").write_bytes(b"broken")

    class Colours(FakeEncoder):
        def encode_texts(self, texts):  # type: ignore[no-untyped-def]
            channels = [["red", "green", "blue"].index(text) for text in texts]
            return unit([np.repeat(np.eye(3)[channel] - 0.4, 16) for channel in channels])

    steps: list[tuple[int, int]] = []
    found, broken = evaluate_zeroshot(
        Colours(), read_labelled(tmp_path), ["{}"], lambda *step: steps.append(step)
    )
    assert found.as_json() == {
        "top1": 100.0,
        "top5": 100.0,
        "mean_per_class": 100.0,
        "images": 14,
        "per_class": [
            {"class": name, "images": count, "top1": 100.0, "confused_with": None}
            for name, count in (("blue", 5), ("green", 5), ("red", 4))
        ],
    }
    assert [each.name for each in broken] == ["red/000.png"]
    assert steps[-1] == (18, 18)


def test_no_readable_picture_is_an_error(tmp_path: Path) -> None:
    fill_classes(tmp_path, 1)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(EvaluationError, match="none of the pictures"):
        evaluate_zeroshot(FakeEncoder(), read_labelled(tmp_path), ["{}"])
