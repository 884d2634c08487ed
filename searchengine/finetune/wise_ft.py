"""Between the weights before and after (WiSE-FT, arXiv 2109.01903)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from searchengine.evaluation.recall import RetrievalRecall

GENERAL_LOSS = 2.0
"""Points of text-to-image R@10 on general photographs that a sweep may give up."""
ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Mixture:
    """Recall at one point of the line: `alpha` 0 is the model before, 1 after."""

    alpha: float
    domain: RetrievalRecall
    general: RetrievalRecall | None


def interpolate(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], alpha: float
) -> dict[str, Tensor]:
    """(1 - alpha) * before + alpha * after, for every floating-point tensor of a state dict."""
    return {
        name: before[name].lerp(tensor, alpha) if tensor.is_floating_point() else tensor
        for name, tensor in after.items()
    }


def choose(mixtures: Sequence[Mixture]) -> Mixture:
    """The best on the domain of those that keep the general recall, but for `GENERAL_LOSS`.

    Without general photographs, the best on the domain. The first mixture must be alpha 0.
    """
    allowed = [m for m in mixtures if _general(m) >= _general(mixtures[0]) - GENERAL_LOSS]
    return max(allowed, key=lambda mixture: (mixture.domain.mean_recall, -mixture.alpha))


def _general(mixture: Mixture) -> float:
    return mixture.general.text_to_image.at[10] if mixture.general else 0.0
