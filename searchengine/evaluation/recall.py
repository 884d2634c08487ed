"""Retrieval recall: how often the picture of a caption, or a caption of a picture, comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchengine.errors import EvaluationError
from searchengine.evaluation.embedding import Broken, embed_pictures, embed_texts
from searchengine.evaluation.ranking import Ranks, rank_own
from searchengine.types import CaptionedImage, Embeddings, Encoder, Progress

DEPTHS = (1, 5, 10)


@dataclass(frozen=True)
class Recall:
    """Of queries in one direction: the percentage that is answered within k, the median rank."""

    at: dict[int, float]
    median_rank: float

    @classmethod
    def of(cls, ranks: Ranks) -> Recall:
        """Sum up the ranks of at least one query."""
        at = {k: 100 * float(ranks.within(k).mean()) for k in DEPTHS}
        return cls(at, float(np.median(ranks.expected())))

    def as_json(self) -> dict[str, float]:
        """`R@1`, `R@5`, `R@10` in percent and `median_rank`, to two decimals."""
        found = {f"R@{k}": round(percent, 2) for k, percent in self.at.items()}
        return {**found, "median_rank": round(self.median_rank, 2)}


@dataclass(frozen=True)
class RetrievalRecall:
    """Recall in both directions, over a gallery of `images` images and of `captions` captions."""

    text_to_image: Recall
    image_to_text: Recall
    images: int
    captions: int

    @property
    def mean_recall(self) -> float:
        """The mean of the six R@k, in percent: one number to choose a checkpoint by."""
        both = (*self.text_to_image.at.values(), *self.image_to_text.at.values())
        return sum(both) / len(both)

    def as_json(self) -> dict[str, Any]:
        """The fixed JSON of `evaluate recall`."""
        return {
            "text_to_image": self.text_to_image.as_json(),
            "image_to_text": self.image_to_text.as_json(),
            "images": self.images,
            "captions": self.captions,
        }


def recall(images: Embeddings, texts: Embeddings, owner: NDArray[np.int64]) -> RetrievalRecall:
    """Recall of texts among images and of images among texts; text j belongs to image `owner[j]`.

    A picture is found by the best placed of its own captions. One without captions stays in the
    gallery and asks nothing. Ties count as `searchengine.evaluation.ranking` says. Raises
    `EvaluationError` when there is no text, or an embedding is not a unit vector.
    """
    if not len(texts):
        raise EvaluationError("there is no caption to measure recall with")
    numbers = np.arange(len(texts))
    captioned, asking = np.unique(owner, return_inverse=True)
    return RetrievalRecall(
        text_to_image=Recall.of(rank_own(texts, images, (numbers, owner))),
        image_to_text=Recall.of(rank_own(images[captioned], texts, (asking, numbers))),
        images=len(images),
        captions=len(texts),
    )


def owners(images: Sequence[CaptionedImage]) -> NDArray[np.int64]:
    """Whose each caption is, (captions,) int64, when those of all images stand in a row."""
    return np.repeat(np.arange(len(images)), [len(image.captions) for image in images])


def evaluate_recall(
    encoder: Encoder,
    images: Sequence[CaptionedImage],
    progress: Progress = lambda done, total: None,
) -> tuple[RetrievalRecall, list[Broken]]:
    """Embed pictures and their captions and measure recall; also gives the unreadable pictures.

    An unreadable picture leaves with its captions. Progress counts pictures, then captions.
    """
    total = len(images) + sum(len(image.captions) for image in images)
    pictures = embed_pictures(encoder, images, lambda done, _: progress(done, total))
    kept = [images[number] for number in pictures.kept]
    texts = [caption for image in kept for caption in image.captions]
    if not texts:
        raise EvaluationError(
            f"none of the {len(images)} pictures can be read and has a caption; "
            "check the caption file and the folder of its pictures"
        )
    embedded = embed_texts(encoder, texts, lambda done, _: progress(len(images) + done, total))
    return recall(pictures.embeddings, embedded, owners(kept)), pictures.broken
