"""How far a hit is to be trusted: strong, likely or weak.

No cut in the cosine can tell: the best hit of one query lies below the worst of another. What can
is what people would call the picture (`encoders.reference`): the share of people who described
such pictures and said the query's words. A logistic regression turns it and the cosine into the
probability that the picture shows what was asked for; `scripts/relevance_flickr8k.py` fits it on
photographs and measures it on others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from searchengine.encoders.reference import Evidence, Reference
from searchengine.keywords import keywords
from searchengine.query.composition import Away
from searchengine.query.prompts import is_short
from searchengine.types import Embeddings, Relevance

STRONG: Final = 0.82
LIKELY: Final = 0.5
BEST: Final = 0.4  # makes the best hit likely: that it is the best speaks for it
BANDS: Final[tuple[Relevance, ...]] = ("strong", "likely", "weak")
CLOSE: Final = 0.58  # a description this near to a picture needs no references to be likely
FLOOR: Final = 0.003  # a share below it is as good as none
HUBNESS: Final = 0.5  # of it is taken off a description's cosine; names do better without

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Regression:
    """A logistic regression on the cosine and the mean log share of people who said the words."""

    cosine: float
    said: float
    constant: float

    def __call__(self, cosines: Scores, said: Scores) -> Scores:
        """The probabilities, (n,)."""
        logit = self.cosine * cosines + self.said * said + self.constant
        return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


NAME: Final = Regression(2.87, 1.36, 0.97)
DESCRIPTION: Final = Regression(6.0, 1.72, 1.94)
_WORDS: Final = 77  # no encoder reads more, and each takes some milliseconds
_ORDER_BY_SAID: Final = 0.08  # what the log share counts beside a description's cosine


@dataclass(frozen=True)
class Judge:
    """Tells how far pictures show what a text says."""

    reference: Reference
    closed: bool
    """Whether the references hold every word that the model has learned."""
    hubness: float = HUBNESS
    said: float = 1.0
    """How much of each step counts in the order; less in measurements of what it brings."""

    def __call__(
        self, texts: Mapping[str, float], cosines: Scores, evidence: Evidence
    ) -> tuple[Scores, Scores | None]:
        """What to order n pictures with (n,) cosines by, and the probabilities that they fit.

        `texts` come with their weights. The probabilities are None where they cannot be told:
        there is no text, or a word that is not known.
        """
        weighted = [(word, texts[text]) for text in texts for word in keywords(text)][:_WORDS]
        words = [word for word, _ in weighted]
        if not words or not (self.closed or all(map(self.reference.knows, words))):
            return cosines, None
        shares = [self.reference.share_that_says(word, evidence) for word in words]
        logs = [np.log(share + FLOOR) for share in shares]
        weights = np.array([weight for _, weight in weighted], np.float32)
        said = np.asarray(np.average(logs, axis=0, weights=weights), np.float32)
        if all(is_short(text) for text in texts):
            order = cosines + self.said * NAME.said / NAME.cosine * said
            return order, NAME(cosines, said)
        less = cosines - self.hubness * evidence.hubness
        fits = DESCRIPTION(less, said)
        fits = np.where(cosines >= CLOSE, np.maximum(fits, LIKELY), fits)
        return less + self.said * _ORDER_BY_SAID * said, fits


class Penalty:
    """What pictures lose for being like what a query excludes.

    A picture loses nothing until it is more like it than most of the collection is: a cosine says
    little by itself, and "no dog" is true of nearly every picture.
    """

    def __init__(self, away: Sequence[Away], sample: Embeddings, judge: Judge | None):
        self._away, self._judge = away, judge
        evidence = judge.reference.beside(sample) if judge else None
        likeness = [self._likeness(part, sample, evidence) for part in away]
        self._usual = [(float(x.mean()), max(float(x.std()), 1e-6)) for x in likeness]

    def __call__(self, images: Embeddings, evidence: Evidence | None, spread: float) -> Scores:
        """The (n,) loss of (n, dim) images, where `spread` is the deviation of what loses.

        `evidence` is what the judge's references say of the images; None without a judge.
        """
        lost = np.zeros(len(images), np.float32)
        for part, (mean, deviation) in zip(self._away, self._usual, strict=True):
            beyond = (self._likeness(part, images, evidence) - mean) / deviation - 1
            lost += part.weight * spread * np.maximum(beyond, 0)
        return lost

    def _likeness(self, part: Away, images: Embeddings, evidence: Evidence | None) -> Scores:
        cosines = np.asarray(images @ part.embedding)
        if part.text is None or self._judge is None or evidence is None:
            return cosines
        return self._judge({part.text: 1.0}, cosines, evidence)[0]


def bands(probabilities: Sequence[float]) -> list[Relevance]:
    """The bands of pictures in their order; none is better than one before it."""
    falling = np.minimum.accumulate(probabilities)
    found: list[Relevance] = [
        "strong" if p >= STRONG else "likely" if p >= LIKELY else "weak" for p in falling
    ]
    if found and found[0] == "weak" and falling[0] >= BEST:
        found[0] = "likely"
    return found
