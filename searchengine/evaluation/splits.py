"""Pictures to train on, to tune on and to measure on: never the same file in two of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from searchengine import images
from searchengine.errors import ImageError
from searchengine.evaluation.embedding import Broken, embed_pictures
from searchengine.evaluation.labelled import LabelledImage, LabelledImages
from searchengine.types import Embeddings, Encoder, Progress

Numbers: TypeAlias = NDArray[np.int64]

SHARE = 0.2
"""The share of every class that is tuned on, and that which is measured on."""

_TOGETHER = 256  # files whose digests are taken between two looks at the pool


@dataclass(frozen=True)
class Split:
    """Which pictures are trained on, tuned on and measured on."""

    train: Numbers
    validation: Numbers
    test: Numbers


@dataclass(frozen=True)
class SplitEmbeddings:
    """Embeddings (n, dim), their classes (n,), which are for what, and what was left out.

    `copies` counts files whose content was there before; `left_out` names the classes with too
    few pictures, or unknown to what is trained on.
    """

    embeddings: Embeddings
    labels: Numbers
    split: Split
    broken: list[Broken]
    copies: int
    left_out: tuple[str, ...]


def embed_split(
    encoder: Encoder,
    labelled: LabelledImages,
    tested: LabelledImages | None,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> SplitEmbeddings:
    """Embed pictures and divide them; with `tested`, those are what is measured on.

    Of files with the same content the first is used. What is in `tested` leaves `labelled`, and
    stays as it is, so that accuracies compare with those that others measured on it.
    """
    seen: set[bytes] = set()
    known = {key: number for number, key in enumerate(labelled.keys)}
    foreign = set() if tested is None else set(tested.keys) - known.keys()
    measured = [] if tested is None else _known(tested, known)
    without_copies(measured, seen)
    learnt, copies = without_copies(labelled.images, seen)
    pictures = embed_pictures(encoder, [*learnt, *measured], progress)
    kept = np.array(pictures.kept, np.int64)
    labels = np.array([each.label for each in (*learnt, *measured)], np.int64)[kept]
    count = int(np.searchsorted(kept, len(learnt)))
    parts = split(labels[:count], seed, 3 if tested is None else 2)
    used = set(labels[parts.train].tolist())
    few = [key for key, number in known.items() if number not in used]
    if tested is not None:
        others = np.arange(count, len(labels))
        parts = replace(parts, test=others[np.isin(labels[others], list(used))])
    left_out = tuple(sorted({*few, *foreign}))
    return SplitEmbeddings(pictures.embeddings, labels, parts, pictures.broken, copies, left_out)


def _known(tested: LabelledImages, known: Mapping[str, int]) -> list[LabelledImage]:
    """The test pictures of known classes, with the numbers that training gives those."""
    return [
        replace(image, label=known[key])
        for image in tested.images
        if (key := tested.keys[image.label]) in known
    ]


def without_copies(
    pictures: Sequence[LabelledImage], seen: set[bytes]
) -> tuple[list[LabelledImage], int]:
    """The pictures less those whose file's content is in `seen` already, and how many those are.

    Adds the content digests of the rest to `seen`. A file that cannot be read stays: whoever
    decodes it says why.
    """
    kept, copies = [], 0
    for batch in images.read_batches(_digest, pictures, _TOGETHER, threading.Event()):
        for picture, digest in batch:
            if digest in seen:
                copies += 1
                continue
            kept.append(picture)
            if digest:
                seen.add(digest)
    return kept, copies


def _digest(picture: LabelledImage) -> tuple[LabelledImage, bytes]:
    try:
        return picture, images.digest(picture.path)
    except ImageError:
        return picture, b""


def split(labels: Numbers, seed: int, parts: int = 3) -> Split:
    """Divide pictures at random within each class; the same for the same seed.

    A fifth, at least one picture, goes to validation; as many to the test where `parts` is 3,
    none where it is 2. Classes with fewer than `parts` pictures are left out.
    """
    random = np.random.default_rng(seed)
    train, validation, test = [], [], []
    for label in np.unique(labels):
        own = random.permutation(np.flatnonzero(labels == label))
        if len(own) < parts:
            continue
        share = max(1, round(SHARE * len(own)))
        validation.append(own[:share])
        rest = own[share:]
        if parts == 3:
            test.append(rest[:share])
            rest = rest[share:]
        train.append(rest)
    return Split(_joined(train), _joined(validation), _joined(test))


def draw(chosen: Numbers, labels: Numbers, count: int, seed: int) -> Numbers:
    """At most `count` of the chosen pictures of every class, at random."""
    random = np.random.default_rng(seed)
    own = labels[chosen]
    drawn = [random.permutation(chosen[own == label])[:count] for label in np.unique(own)]
    return _joined(drawn)


def _joined(parts: Sequence[Numbers]) -> Numbers:
    return np.concatenate([np.empty(0, np.int64), *parts])
