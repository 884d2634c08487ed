"""What a picture shows: which of some labels, and which of some texts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import EvaluationError, ModelError
from searchengine.evaluation.ranking import require_unit
from searchengine.types import Embeddings, Encoder, Progress

SCALE = 100.0
"""What cosines are multiplied by before the softmax; CLIP's learned factor ends at this bound."""

_TEXTS = 1024  # that many between two reports of progress


class Label(NamedTuple):
    """A label for a picture, its probability among all labels, and its cosine."""

    name: str
    probability: float
    score: float


def distinct(lines: Iterable[str]) -> list[str]:
    """The lines that are not blank, trimmed, each once, in order."""
    return list(dict.fromkeys(stripped for line in lines if (stripped := line.strip())))


def check_labels(labels: Sequence[str]) -> None:
    """Raise `EvaluationError` unless there is something to choose from."""
    if len(labels) < 2:
        raise EvaluationError(
            f"the labels are {', '.join(labels) or 'empty'}: there is nothing to choose from; "
            "give two or more, such as cat,dog, or a file of one a line"
        )


def scale_of(card: Mapping[str, Any]) -> float:
    """The factor that a model's card gives for cosines as `logit_scale`, or else `SCALE`.

    Raises `ModelError` for one that is not a positive number.
    """
    scale = card.get("logit_scale", SCALE)
    if not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise ModelError(
            f"logit_scale in model.json is {scale!r}, not a positive number; mend or remove it"
        )
    return float(scale)


def probabilities(scores: NDArray[np.float32], scale: float) -> NDArray[np.float64]:
    """Softmax over scaled cosines (n, labels); rows add up to 1 (arXiv 2103.00020, 3.1.2)."""
    logits = scale * scores.astype(np.float64)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def best_labels(
    pictures: Embeddings, classes: Embeddings, names: Sequence[str], scale: float, top: int
) -> list[list[Label]]:
    """The `top` labels of each picture, best first, from the embeddings of both.

    Raises `EvaluationError` for embeddings that are not unit vectors.
    """
    require_unit(pictures)
    require_unit(classes)
    scores = pictures @ classes.T
    shares = probabilities(scores, scale)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Label(names[each], float(shares[row, each]), float(scores[row, each])) for each in best]
        for row, best in enumerate(order)
    ]


def best_texts(
    encoder: Encoder,
    picture: Embeddings,
    texts: Sequence[str],
    k: int,
    progress: Progress = lambda done, total: None,
) -> list[tuple[str, float]]:
    """The k texts nearest to a picture, (1, dim), each with its cosine, best first."""
    scores = np.empty(len(texts), np.float32)
    for start in range(0, len(texts), _TEXTS):
        part = texts[start : start + _TEXTS]
        scores[start : start + len(part)] = encoder.encode_texts(part) @ picture[0]
        progress(start + len(part), len(texts))
    best = np.argsort(-scores, kind="stable")[:k]
    return [(texts[number], float(scores[number])) for number in best]
