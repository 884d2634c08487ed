"""The losses against their definitions, written out pair by pair in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from searchengine.finetune import losses

Array = NDArray[np.float64]


def batch(seed: int, captions: list[int], dim: int = 8) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Random images and texts; image i has `captions[i]` texts."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(captions)), captions)
    fits = owner[:, None] == np.arange(len(captions))
    return rng.normal(size=(len(captions), dim)), rng.normal(size=(len(owner), dim)), fits


def tensors(*arrays: NDArray[np.generic]) -> list[torch.Tensor]:
    return [
        torch.from_numpy(array if array.dtype == bool else array.astype(np.float32))
        for array in arrays
    ]


def unit(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def info_nce(images: Array, texts: Array, fits: NDArray[np.bool_], scale: float) -> float:
    logits = scale * unit(texts) @ unit(images).T
    losses_of_images = []
    for i in range(len(images)):
        own = np.flatnonzero(fits[:, i])
        of_pairs = []
        for j in own:
            other_images = [i, *np.flatnonzero(~fits[j])]
            other_texts = [j, *np.flatnonzero(~fits[:, i])]
            of_pairs.append(-log_softmax(logits[j, other_images])[0])
            of_pairs.append(-log_softmax(logits[other_texts, i])[0])
        losses_of_images.append(np.mean(of_pairs))
    return float(np.mean(losses_of_images))


counts = st.lists(st.integers(1, 4), min_size=2, max_size=7)


@given(st.integers(0, 2**32 - 1), counts, st.floats(1, 100))
@settings(max_examples=60, deadline=None)
def test_info_nce_is_its_definition(seed: int, captions: list[int], scale: float) -> None:
    images, texts, fits = batch(seed, captions)
    found = losses.info_nce(*tensors(images, texts, fits), torch.tensor(scale))
    assert float(found) == pytest.approx(info_nce(images, texts, fits, scale), rel=1e-4, abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.floats(1, 100))
@settings(max_examples=30, deadline=None)
def test_with_one_caption_an_image_it_is_the_cross_entropy_of_clip(
    seed: int, count: int, scale: float
) -> None:
    images, texts, fits = tensors(*batch(seed, [1] * count))
    logits = scale * F.normalize(texts) @ F.normalize(images).T
    target = torch.arange(count)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    found = losses.info_nce(images, texts, fits, torch.tensor(scale))
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-5)


def test_a_text_that_fits_everything_has_no_negatives_and_no_bad_gradient() -> None:
    images, texts, _ = tensors(*batch(0, [1, 1]))
    texts.requires_grad_()
    loss = losses.info_nce(images, texts, torch.ones(2, 2, dtype=torch.bool), torch.tensor(10.0))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)
    assert texts.grad is not None
    assert torch.isfinite(texts.grad).all()


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
@settings(max_examples=40, deadline=None)
def test_soft_targets_are_those_of_the_source(seed: int, count: int) -> None:
    images, texts, fits = batch(seed, [1] * count)
    logits = texts @ images.T
    similar = (images @ images.T + texts @ texts.T) / 2
    targets = np.array([np.exp(log_softmax(row)) for row in similar])
    of_texts = [-(targets[j] * log_softmax(logits[j])).sum() for j in range(count)]
    of_images = [-(targets[:, i] * log_softmax(logits[:, i])).sum() for i in range(count)]
    expected = np.mean([(t + i) / 2 for t, i in zip(of_texts, of_images, strict=True)])
    found = losses.soft_targets(*tensors(images, texts, fits))
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)


@given(st.integers(0, 2**32 - 1), counts, st.floats(1, 100), st.floats(-15, 5))
@settings(max_examples=40, deadline=None)
def test_sigmoid_is_its_definition(
    seed: int, captions: list[int], scale: float, bias: float
) -> None:
    images, texts, fits = batch(seed, captions)
    logits = scale * unit(texts) @ unit(images).T + bias
    expected = np.logaddexp(0, -np.where(fits, 1, -1) * logits).sum() / len(texts)
    found = losses.sigmoid(*tensors(images, texts, fits), torch.tensor(scale), torch.tensor(bias))
    assert float(found) == pytest.approx(float(expected), rel=1e-4, abs=1e-4)


def test_gradients_agree_with_finite_differences() -> None:
    images, texts, fits = (torch.from_numpy(array) for array in batch(3, [2, 1, 3], dim=4))
    scale, bias = torch.tensor(5.0).double(), torch.tensor(-2.0).double()
    for loss in (
        lambda i, t: losses.info_nce(i, t, fits, scale),
        lambda i, t: losses.sigmoid(i, t, fits, scale, bias),
        lambda i, t: losses.soft_targets(i, t, fits),
    ):
        inputs = (images.clone().requires_grad_(), texts.clone().requires_grad_())
        assert torch.autograd.gradcheck(loss, inputs)
