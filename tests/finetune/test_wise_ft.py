"""Mixtures of the weights before and after, and the choice among them."""

from __future__ import annotations

import torch

from searchengine.evaluation.recall import Recall, RetrievalRecall
from searchengine.finetune.wise_ft import Mixture, choose, interpolate


def recall(percent: float) -> RetrievalRecall:
    one = Recall(dict.fromkeys((1, 5, 10), percent), 1.0)
    return RetrievalRecall(one, one, 10, 10)


def mixture(alpha: float, domain: float, general: float | None = None) -> Mixture:
    return Mixture(alpha, recall(domain), None if general is None else recall(general))


def test_the_ends_are_the_models_themselves_and_counters_are_not_mixed() -> None:
    before = {"w": torch.randn(3), "n": torch.tensor(4)}
    after = {"w": torch.randn(3), "n": torch.tensor(9)}
    assert torch.equal(interpolate(before, after, 0.0)["w"], before["w"])
    assert torch.equal(interpolate(before, after, 1.0)["w"], after["w"])
    half = interpolate(before, after, 0.5)
    assert torch.allclose(half["w"], (before["w"] + after["w"]) / 2)
    assert half["n"] == 9


def test_the_best_that_loses_at_most_two_points_in_general() -> None:
    found = [mixture(0, 20, 70), mixture(0.4, 40, 68.5), mixture(0.7, 50, 67.9), mixture(1, 60, 50)]
    assert choose(found).alpha == 0.4


def test_without_general_photographs_the_best_on_the_domain() -> None:
    assert choose([mixture(0, 20), mixture(0.5, 45), mixture(1, 40)]).alpha == 0.5


def test_of_equals_the_one_nearer_to_the_model_before() -> None:
    assert choose([mixture(0, 20), mixture(0.5, 45), mixture(1, 45)]).alpha == 0.5
