"""The linear probe on embeddings whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from searchengine.errors import EvaluationError
from searchengine.evaluation import extras, probe
from searchengine.evaluation.splits import Numbers, Split, split
from tests.evaluation.toys import blobs, unit


def test_separable_classes_are_learnt_from_few_pictures_too() -> None:
    embeddings, labels = blobs(4, 20, noise=0.2)
    steps: list[tuple[int, int]] = []
    found = probe.probe(
        embeddings, labels, split(labels, 0), (1, 16), lambda *step: steps.append(step)
    )
    assert found.accuracy == found.mean_per_class == 100
    assert found.classes == 4
    assert [each.shots for each in found.few_shot] == [1, 16]
    assert all(len(each.accuracies) == len(probe.SEEDS) for each in found.few_shot)
    assert [each.short for each in found.few_shot] == [0, 4]  # 12 of each class to train
    assert min(found.few_shot[1].accuracies) > 95
    assert steps == [(n, 7 * probe.FITS) for n in range(1, 7 * probe.FITS + 1)]
    json = found.as_json()
    assert (json["train"], json["validation"], json["test"]) == (48, 16, 16)
    assert json["few_shot"][1]["short_classes"] == 4


def test_labels_without_meaning_are_guessed() -> None:
    embeddings, _ = blobs(1, 600, noise=1.0)
    labels = np.random.default_rng(1).integers(0, 3, 600)
    found = probe.probe(embeddings, labels, split(labels, 0))
    assert 18 < found.accuracy < 48  # far below what is fitted on itself


def test_nothing_of_the_test_split_is_learnt_or_tuned_on(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = blobs(3, 30, noise=1.5)
    parts = split(labels, 0)
    fits: list[tuple[set[int], set[int]]] = []
    genuine = probe._Fits.predict

    def spy(self: probe._Fits, train: Numbers, c: float, asked: Numbers) -> Numbers:
        fits.append((set(train.tolist()), set(asked.tolist())))
        return genuine(self, train, c, asked)

    monkeypatch.setattr(probe._Fits, "predict", spy)
    probe.probe(embeddings, labels, parts, (2,))
    train, validation, test = (set(each.tolist()) for each in vars(parts).values())
    assert not any(learnt & (asked | test) for learnt, asked in fits)
    last = [learnt for learnt, asked in fits if asked & test]
    assert len(last) == 1 + len(probe.SEEDS)
    assert last[0] == train | validation
    assert all(len(learnt) == 2 * 3 and learnt <= train for learnt in last[1:])
    searched = [(learnt, asked) for learnt, asked in fits if not asked & test]
    assert all(learnt <= train and asked <= validation for learnt, asked in searched)
    assert all(len(asked) == 2 * 3 for learnt, asked in searched if len(learnt) == 2 * 3)


def test_penalty_is_chosen_by_validation_alone() -> None:
    embeddings, labels = blobs(3, 30, noise=1.5)
    parts = split(labels, 0)
    fits = probe._Fits(embeddings.astype(np.float64), labels, lambda done, total: None, 0)
    chosen = probe._search(fits, parts.train, parts.validation)
    best = fits.accuracy(parts.train, chosen, parts.validation)
    for exponent in range(-6, 7, 2):
        assert fits.accuracy(parts.train, 10.0**exponent, parts.validation) <= best
    assert np.log10(chosen) * 8 == pytest.approx(round(np.log10(chosen) * 8))


def test_embeddings_far_from_the_origin_are_learnt() -> None:
    # As those of CLIP: all within a narrow cone, where plain gradients are tiny.
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 10)
    offsets = 1e-4 * random.standard_normal((20, 64))[labels]
    embeddings = unit(np.ones(64) + offsets + 2e-5 * random.standard_normal((200, 64)))
    assert probe.probe(embeddings, labels, split(labels, 0)).accuracy == 100


def test_what_cannot_be_measured_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, labels = blobs(2, 5, noise=0.1)
    with pytest.raises(EvaluationError, match="two classes"):
        probe.probe(embeddings[:5], labels[:5], split(labels[:5], 0))
    parts = split(labels, 0, parts=2)
    with pytest.raises(EvaluationError, match="measure on"):
        probe.probe(embeddings, labels, parts)
    with pytest.raises(EvaluationError, match="unit vectors"):
        probe.probe(embeddings * np.nan, labels, Split(parts.train, parts.validation, parts.train))
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EvaluationError, match=r"scikit-learn.*pip install 'searchengine\[evaluate"):
        probe.require_probe()
