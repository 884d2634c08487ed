"""Zero-shot classification: the class whose text is nearest to a picture (arXiv 2103.00020, 3.1).

Where several classes are equally near, each gets an equal share of the picture, so that a model
that sees no difference has the accuracy of guessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import EvaluationError
from searchengine.evaluation.embedding import Broken, embed_pictures
from searchengine.evaluation.labelled import LabelledImages
from searchengine.evaluation.ranking import TIE, rank_own
from searchengine.evaluation.templates import embed_classes
from searchengine.types import Embeddings, Encoder, Progress

_ROWS = 4096  # pictures whose scores are held at a time


@dataclass(frozen=True)
class ClassAccuracy:
    """Of one class: its pictures, the percentage recognised, what the others are taken for."""

    name: str
    images: int
    top1: float
    confused_with: str | None


@dataclass(frozen=True)
class ZeroShotAccuracy:
    """How well pictures were classified.

    `confusion` is (classes, classes) float64: of the pictures of a row's class, how many were
    taken for a column's. `top5` is in percent.
    """

    names: tuple[str, ...]
    confusion: NDArray[np.float64]
    top5: float

    @property
    def images(self) -> int:
        """How many pictures were classified."""
        return round(float(self.confusion.sum()))

    @property
    def top1(self) -> float:
        """Pictures recognised, in percent."""
        return 100 * float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def mean_per_class(self) -> float:
        """The mean of the classes' own accuracies, in percent; rare classes count like others."""
        counts = self.confusion.sum(axis=1)
        seen = counts > 0
        return 100 * float(np.mean(np.diag(self.confusion)[seen] / counts[seen]))

    def per_class(self) -> list[ClassAccuracy]:
        """The accuracy of every class that has pictures."""
        counts = self.confusion.sum(axis=1)
        found = np.diag(self.confusion)
        wrong = self.confusion - np.diag(found)
        return [
            ClassAccuracy(
                name=self.names[row],
                images=round(float(counts[row])),
                top1=100 * float(found[row] / counts[row]),
                confused_with=self.names[wrong[row].argmax()] if wrong[row].any() else None,
            )
            for row in np.flatnonzero(counts)
        ]

    def as_json(self) -> dict[str, Any]:
        """Accuracies in percent, to two decimals."""
        return {
            "top1": round(self.top1, 2),
            "top5": round(self.top5, 2),
            "mean_per_class": round(self.mean_per_class, 2),
            "images": self.images,
            "per_class": [
                {
                    "class": each.name,
                    "images": each.images,
                    "top1": round(each.top1, 2),
                    "confused_with": each.confused_with,
                }
                for each in self.per_class()
            ],
        }


def accuracy(
    pictures: Embeddings, labels: NDArray[np.int64], classes: Embeddings, names: Sequence[str]
) -> ZeroShotAccuracy:
    """Classify n pictures, of which the classes `labels` (n,) are known, by (classes, dim) texts.

    Raises `EvaluationError` for embeddings that are not unit vectors, or without a picture.
    """
    if not len(pictures):
        raise EvaluationError("none of the pictures can be read; there is nothing to measure")
    ranks = rank_own(pictures, classes, (np.arange(len(pictures)), labels))
    confusion = np.zeros((len(classes), len(classes)))
    for start in range(0, len(pictures), _ROWS):
        scores = pictures[start : start + _ROWS] @ classes.T
        nearest = scores >= scores.max(axis=1, keepdims=True) - TIE
        shares = nearest / nearest.sum(axis=1, keepdims=True)
        np.add.at(confusion, labels[start : start + _ROWS], shares)
    return ZeroShotAccuracy(tuple(names), confusion, 100 * float(ranks.within(5).mean()))


def evaluate_zeroshot(
    encoder: Encoder,
    labelled: LabelledImages,
    templates: Sequence[str],
    progress: Progress = lambda done, total: None,
) -> tuple[ZeroShotAccuracy, list[Broken]]:
    """Classify labelled pictures by the names of their classes; also gives the unreadable ones.

    Progress counts classes, then pictures.
    """
    total = len(labelled.names) + len(labelled.images)
    classes = embed_classes(
        encoder, labelled.names, templates, lambda done, _: progress(done, total)
    )
    pictures = embed_pictures(
        encoder, labelled.images, lambda done, _: progress(len(labelled.names) + done, total)
    )
    labels = np.array([labelled.images[number].label for number in pictures.kept], np.int64)
    found = accuracy(pictures.embeddings, labels, classes, labelled.names)
    return found, pictures.broken
