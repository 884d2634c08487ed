"""Labels and texts for a picture."""

from __future__ import annotations

import numpy as np
import pytest

from searchengine.errors import EvaluationError, ModelError
from searchengine.evaluation import recognition
from searchengine.evaluation.recognition import (
    best_labels,
    best_texts,
    check_labels,
    distinct,
    probabilities,
    scale_of,
)
from tests.evaluation.toys import unit
from tests.fakes import FakeEncoder


def test_probabilities_are_a_softmax_and_never_overflow() -> None:
    scores = np.array([[0.3, 0.29, 0.1], [1.0, -1.0, 0.0]], np.float32)
    found = probabilities(scores, 100)
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, 0] / found[0, 1] == pytest.approx(np.e, rel=1e-4)
    assert np.isfinite(probabilities(scores, 1e6)).all()


def test_best_labels_come_first_with_their_share_of_all() -> None:
    pictures, classes = unit([[1, 0], [0.6, 0.8]]), unit([[0, 1], [1, 0], [1, 1]])
    found = best_labels(pictures, classes, ["up", "right", "both"], 10, top=2)
    assert [[label.name for label in row] for row in found] == [["right", "both"], ["both", "up"]]
    assert found[0][0].score == pytest.approx(1)
    every = best_labels(pictures, classes, ["up", "right", "both"], 10, top=9)
    assert sum(label.probability for label in every[1]) == pytest.approx(1)
    assert every[1][:2] == found[1]
    with pytest.raises(EvaluationError, match="unit"):
        best_labels(pictures * np.nan, classes, ["a", "b", "c"], 10, top=2)


def test_best_texts_equal_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "_TEXTS", 7)
    encoder = FakeEncoder()
    texts = [f"text {n}" for n in range(40)]
    picture = encoder.encode_texts(["text 11"])
    steps: list[tuple[int, int]] = []
    found = best_texts(encoder, picture, texts, 3, lambda *step: steps.append(step))
    scores = encoder.encode_texts(texts) @ picture[0]
    assert found[0][0] == "text 11"
    assert [text for text, _ in found] == [texts[n] for n in np.argsort(-scores)[:3]]
    assert [score for _, score in found] == pytest.approx(np.sort(scores)[::-1][:3])
    assert steps[-1] == (40, 40)


def test_lines_are_trimmed_and_each_is_kept_once() -> None:
    assert distinct(["a dog\n", "", "  cat ", "a dog", " \t"]) == ["a dog", "cat"]
    for labels in ([], ["cat"]):
        with pytest.raises(EvaluationError, match="two or more"):
            check_labels(labels)
    check_labels(["cat", "dog"])


@pytest.mark.parametrize("bad", [0, -3, "100", None, float("nan"), float("inf")])
def test_the_card_may_give_the_scale(bad: object) -> None:
    assert scale_of({}) == 100
    assert scale_of({"logit_scale": 14}) == 14
    with pytest.raises(ModelError, match="logit_scale"):
        scale_of({"logit_scale": bad})
