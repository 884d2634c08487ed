"""Captioned images as batches: read ahead, cropped at random, the same ones for the same seed."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from searchengine import images
from searchengine.encoders.preprocess import Preprocess
from searchengine.errors import ImageError
from searchengine.finetune.settings import Settings
from searchengine.types import CaptionedImage

_STRETCH = 0.2  # a crop's sides change by at most e ** 0.2 = 1.22 against each other


@dataclass(frozen=True)
class Batch:
    """Images and texts to tell apart.

    `pixels` are (k, 3, H, W) uint8 tensors of at most a micro-batch each, n images together;
    `texts` m captions; `fits` (m, n) says which text is known to describe which image.
    """

    pixels: list[Tensor]
    texts: list[str]
    known: list[frozenset[str]] = field(repr=False)
    """Every caption of each image, in lower case."""

    @property
    def fits(self) -> Tensor:
        """(m, n) bool: whether text j is a caption of image i."""
        return fitting(self.texts, self.known)


def known_captions(image: CaptionedImage) -> frozenset[str]:
    """Every caption of an image, in lower case."""
    return frozenset(text.lower() for text in image.captions)


def fitting(texts: Sequence[str], known: Sequence[frozenset[str]]) -> Tensor:
    """(m, n) bool: whether text j is among the captions of image i."""
    lowered = [text.lower() for text in texts]
    return torch.tensor([[text in captions for captions in known] for text in lowered])


class Batches:
    """The training images, cut into the same batches for the same seed and epoch.

    Rank r of a world of w processes reads every w-th image of a batch. Pictures that cannot be
    read are left out, and stand in `broken` with the reason.
    """

    def __init__(
        self,
        captioned: Sequence[CaptionedImage],
        preprocess: Preprocess,
        settings: Settings,
        rank: int = 0,
        world: int = 1,
    ):
        self.captioned, self.settings = captioned, settings
        self.rank, self.world = rank, world
        self.broken: dict[str, str] = {}
        self.size = min(settings.batch_size, len(captioned))
        self._preprocess = preprocess

    def __len__(self) -> int:
        """Batches in an epoch; images that do not fill the last one wait for the next epoch."""
        return len(self.captioned) // self.size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on."""
        order = random.Random(f"{self.settings.seed} {epoch}").sample(
            range(len(self.captioned)), len(self) * self.size
        )
        batches = [order[at : at + self.size] for at in range(0, len(order), self.size)]
        mine = [batch[self.rank :: self.world] for batch in batches[start:]]
        tasks = ((number, epoch) for batch in mine for number in batch)
        stop = threading.Event()
        read = images.read_batches(self._read, tasks, self.settings.micro_batch, stop)
        results = chain.from_iterable(read)
        try:
            for batch in mine:
                yield self._assemble(list(islice(results, len(batch))), epoch)
        finally:
            stop.set()
            read.close()

    def _assemble(self, read: list[tuple[int, NDArray[np.uint8] | None]], epoch: int) -> Batch:
        shown = [(self.captioned[number], array) for number, array in read if array is not None]
        stacked = [torch.from_numpy(array).permute(2, 0, 1) for _, array in shown]
        size = self.settings.micro_batch
        return Batch(
            [torch.stack(stacked[at : at + size]) for at in range(0, len(stacked), size)],
            [text for image, _ in shown for text in self._captions(image, epoch)],
            [known_captions(image) for image, _ in shown],
        )

    def _captions(self, image: CaptionedImage, epoch: int) -> list[str]:
        """The next few captions of an image: all of them have been seen before one comes again."""
        count = min(self.settings.captions_per_image, len(image.captions))
        order = random.Random(f"{self.settings.seed} {image.name}").sample(
            image.captions, len(image.captions)
        )
        return [order[(epoch * count + i) % len(order)] for i in range(count)]

    def _read(self, task: tuple[int, int]) -> tuple[int, NDArray[np.uint8] | None]:
        number, epoch = task
        image = self.captioned[number]
        try:
            picture = read_picture(image, self._preprocess)
        except ImageError as error:
            self.broken[image.name] = str(error)
            return number, None
        rng = random.Random(f"{self.settings.seed} {epoch} {number}")
        cropped = crop(picture, rng, self.settings.crop)
        if self.settings.mirror and rng.random() < 0.5:
            cropped = ImageOps.mirror(cropped)
        return number, np.array(self._preprocess.fit(cropped))


def read_picture(image: CaptionedImage, preprocess: Preprocess) -> Image.Image:
    """Decode a captioned image, reduced as far as the encoder allows; raises `ImageError`."""
    side = min(preprocess.height, preprocess.width)
    return images.read(image.path, min_side=side, span=image.span).image


def crop(image: Image.Image, rng: random.Random, smallest: float) -> Image.Image:
    """A random part of at least `smallest` of the area, a little narrower or wider.

    CLIP's only augmentation (arXiv 2103.00020), milder: a caption speaks of the whole picture.
    """
    if smallest >= 1:
        return image
    width, height = image.size
    area, ratio = rng.uniform(smallest, 1.0), math.exp(rng.uniform(-_STRETCH, _STRETCH))
    w = max(1, min(width, round(width * math.sqrt(area * ratio))))
    h = max(1, min(height, round(height * math.sqrt(area / ratio))))
    x, y = rng.randint(0, width - w), rng.randint(0, height - h)
    return image.crop((x, y, x + w, y + h))
