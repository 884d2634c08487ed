"""The linear probe: a linear classifier over frozen embeddings, as a measure of what they hold.

Logistic regression by L-BFGS; its strength of regularisation is searched on a validation split
(CLIP, arXiv 2103.00020, appendix A.3). What is measured on was neither trained nor tuned on.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import EvaluationError
from searchengine.evaluation.extras import require
from searchengine.evaluation.ranking import require_unit
from searchengine.evaluation.splits import Numbers, Split, draw
from searchengine.types import Embeddings, Progress

SEEDS = (0, 1, 2)
"""What few-shot settings are drawn with."""

_COARSE = tuple(float(exponent) for exponent in range(-6, 7, 2))
_FINEST = 0.125  # decades: the paper's 8 steps each
_ITERATIONS = 1000
_TOLERANCE = 1e-5
_FEW_TO_TUNE = 4  # pictures of a class that a few-shot setting tunes on, at most

FITS = len(_COARSE) + 2 * 4 + 1
"""Classifiers that one probe fits: the search, which halves its step four times, and the last."""


@dataclass(frozen=True)
class FewShot:
    """Accuracies, in percent, with `shots` training pictures a class: one for each of `SEEDS`.

    `short` classes have fewer pictures than that to train on, and use what they have.
    """

    shots: int
    accuracies: tuple[float, ...]
    short: int

    def as_json(self) -> dict[str, Any]:
        """Mean and standard deviation over the seeds, in percent."""
        return {
            "shots": self.shots,
            "mean": round(float(np.mean(self.accuracies)), 2),
            "std": round(float(np.std(self.accuracies)), 2),
            "accuracies": [round(each, 2) for each in self.accuracies],
            "short_classes": self.short,
        }


@dataclass(frozen=True)
class ProbeAccuracy:
    """Test accuracies in percent, the chosen C, and how many pictures each split has."""

    accuracy: float
    mean_per_class: float
    c: float
    classes: int
    split: Split
    few_shot: tuple[FewShot, ...]

    def as_json(self) -> dict[str, Any]:
        """The figures; percentages to two decimals."""
        return {
            "accuracy": round(self.accuracy, 2),
            "mean_per_class": round(self.mean_per_class, 2),
            "C": self.c,
            "classes": self.classes,
            "train": len(self.split.train),
            "validation": len(self.split.validation),
            "test": len(self.split.test),
            "few_shot": [each.as_json() for each in self.few_shot],
        }


def require_probe() -> None:
    """Raise `EvaluationError` where scikit-learn is missing, before the work."""
    require("sklearn", "the linear probe")


def probe(
    embeddings: Embeddings,
    labels: Numbers,
    split: Split,
    shots: Sequence[int] = (),
    progress: Progress = lambda done, total: None,
) -> ProbeAccuracy:
    """Fit a linear classifier on (n, dim) embeddings of the classes `labels` (n,) and measure it.

    C is searched with classifiers trained on `split.train` and compared on `split.validation`; the
    last is trained on both and measured once on `split.test`. A setting of few shots draws its
    pictures from `split.train`, tunes on at most four a class of `split.validation`, and trains on
    its shots alone. Progress counts classifiers.

    Raises `EvaluationError` when scikit-learn is missing, when an embedding is not a unit vector,
    or unless there are two classes to train on and a picture to measure on.
    """
    require_probe()
    require_unit(embeddings)
    _require_enough(labels, split)
    features = embeddings.astype(np.float64)  # in float32, L-BFGS stops early at weak penalties
    fits = _Fits(features, labels, progress, FITS * (1 + len(shots) * len(SEEDS)))
    c = _search(fits, split.train, split.validation)
    predicted = fits.predict(np.concatenate([split.train, split.validation]), c, split.test)
    hits = predicted == labels[split.test]
    tested = labels[split.test]
    return ProbeAccuracy(
        accuracy=100 * float(hits.mean()),
        mean_per_class=100 * float(np.mean([hits[tested == each].mean() for each in set(tested)])),
        c=c,
        classes=len(np.unique(labels[split.train])),
        split=split,
        few_shot=tuple(_few_shot(fits, split, each) for each in shots),
    )


def _require_enough(labels: Numbers, split: Split) -> None:
    if len(np.unique(labels[split.train])) < 2:
        raise EvaluationError(
            "fewer than two classes have enough different, readable pictures to train on, to tune "
            "on and to measure on; a class needs three, or two with --test"
        )
    if not len(split.test):
        raise EvaluationError("there is no readable picture of a known class to measure on")


class _Fits:
    """Classifiers over some of the embeddings, counted as they are fitted."""

    def __init__(
        self, features: NDArray[np.float64], labels: Numbers, progress: Progress, total: int
    ):
        self.features, self.labels = features, labels
        self.progress, self.total, self.done = progress, total, 0

    def predict(self, train: Numbers, c: float, asked: Numbers) -> Numbers:
        """Train with the penalty 1/C and classify what is asked; (len(asked),) class numbers."""
        from sklearn.linear_model import LogisticRegression

        classifier = LogisticRegression(C=c, max_iter=_ITERATIONS, tol=_TOLERANCE)
        # Moved and scaled as a whole: in embeddings as they are, all gradients are so small that
        # L-BFGS takes its starting point for the end.
        known = self.features[train]
        centre = known.mean(axis=0)
        scale = (known - centre).std() or 1.0
        with warnings.catch_warnings():  # of weak penalties that do not converge; of few shots
            warnings.simplefilter("ignore", UserWarning)
            classifier.fit((known - centre) / scale, self.labels[train])
        self.step(1)
        predicted: Numbers = classifier.predict((self.features[asked] - centre) / scale)
        return predicted

    def accuracy(self, train: Numbers, c: float, asked: Numbers) -> float:
        """The share of what is asked that is classified as it is labelled."""
        return float(np.mean(self.predict(train, c, asked) == self.labels[asked]))

    def step(self, count: int) -> None:
        """Count fits that are done, or not needed."""
        self.done += count
        self.progress(self.done, self.total)


def _search(fits: _Fits, train: Numbers, validation: Numbers) -> float:
    """The C of the best accuracy on validation, the smallest such: the simplest classifier.

    From a coarse grid on, halves the step around the best until there are 8 steps a decade.
    """
    scores = {each: fits.accuracy(train, 10**each, validation) for each in _COARSE}
    step = _COARSE[1] - _COARSE[0]
    while step > _FINEST:
        step /= 2
        best = _best(scores)
        for each in (best - step, best + step):
            if _COARSE[0] <= each <= _COARSE[-1]:
                scores[each] = fits.accuracy(train, 10**each, validation)
            else:
                fits.step(1)
    return float(10 ** _best(scores))


def _best(scores: dict[float, float]) -> float:
    return min(scores, key=lambda exponent: (-scores[exponent], exponent))


def _few_shot(fits: _Fits, split: Split, shots: int) -> FewShot:
    accuracies = []
    for seed in SEEDS:
        train = draw(split.train, fits.labels, shots, seed)
        validation = draw(split.validation, fits.labels, min(shots, _FEW_TO_TUNE), seed)
        c = _search(fits, train, validation)
        accuracies.append(100 * fits.accuracy(train, c, split.test))
    sizes = np.unique(fits.labels[split.train], return_counts=True)[1]
    return FewShot(shots, tuple(accuracies), int(np.sum(sizes < shots)))
