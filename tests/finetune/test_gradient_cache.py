"""Encoding in parts gives the gradients of the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from searchengine.finetune import losses
from searchengine.finetune.gradient_cache import PartwiseEncoding


def gradients(parts: int, *, cached: bool, dropout: float = 0.0) -> list[Tensor]:
    """The gradients of a small tower for one batch of 12, encoded in so many parts."""
    torch.manual_seed(0)
    tower = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 4))
    images, texts = torch.randn(12, 6), torch.randn(12, 4)
    torch.manual_seed(1)
    encoding = PartwiseEncoding(tower, images.chunk(parts), "cpu", trained=True, cached=cached)
    fits = torch.eye(12, dtype=torch.bool)
    losses.info_nce(encoding.embeddings, texts, fits, torch.tensor(10.0)).backward()
    encoding.backward()
    found = [parameter.grad for parameter in tower.parameters()]
    assert all(gradient is not None for gradient in found)
    return [gradient for gradient in found if gradient is not None]


@pytest.mark.parametrize("parts", [1, 2, 3, 12])
def test_equal_to_the_whole_batch(parts: int) -> None:
    whole = gradients(1, cached=False)
    for expected, found in zip(whole, gradients(parts, cached=True), strict=True):
        assert torch.allclose(expected, found, rtol=1e-4, atol=1e-6)


def test_dropout_drops_the_same_in_both_passes() -> None:
    kept = gradients(3, cached=False, dropout=0.5)
    for expected, found in zip(kept, gradients(3, cached=True, dropout=0.5), strict=True):
        assert torch.allclose(expected, found, rtol=1e-4, atol=1e-6)


def test_what_is_not_trained_keeps_no_activations() -> None:
    tower = nn.Linear(6, 4)
    encoding = PartwiseEncoding(tower, [torch.randn(5, 6)], "cpu", trained=False, cached=False)
    assert not encoding.embeddings.requires_grad
    encoding.backward()
    assert tower.weight.grad is None
