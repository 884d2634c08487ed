"""Recall and loss on captioned images that training does not see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from searchengine import images
from searchengine.errors import ImageError, TrainingError
from searchengine.evaluation.recall import RetrievalRecall, owners, recall
from searchengine.finetune.batches import fitting, known_captions, read_picture
from searchengine.finetune.towers import Towers
from searchengine.types import CaptionedImage

_PART = 64


@dataclass(frozen=True)
class Measured:
    """Recall in both directions, and the mean loss over batches."""

    recall: RetrievalRecall
    loss: float


class Validation:
    """Captioned images to measure a model on, in torch, as it is trained."""

    def __init__(self, captioned: Sequence[CaptionedImage], batch_size: int):
        self.captioned, self._batch_size = captioned, batch_size
        self.broken: dict[str, str] = {}

    def recall(self, towers: Towers) -> RetrievalRecall:
        """Recall in both directions; call it without gradients and in evaluation mode."""
        kept, pictures, captions = self._encode(towers)
        return _recall(kept, pictures, captions)

    def measure(self, towers: Towers, loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Measured:
        """Recall, and the mean loss over batches with the first caption of each image."""
        kept, pictures, captions = self._encode(towers)
        first = np.cumsum([0, *(len(image.captions) for image in kept[:-1])])
        size = self._batch_size
        batches = [slice(at, at + size) for at in range(0, len(kept), size)]
        found = [
            float(loss(pictures[part], captions[first[part]], _fits(kept[part]).to(towers.device)))
            for part in batches
            if len(kept[part]) > 1
        ]
        return Measured(_recall(kept, pictures, captions), float(np.mean(found)))

    def _encode(self, towers: Towers) -> tuple[list[CaptionedImage], Tensor, Tensor]:
        """The images that can be read, their embeddings, and those of all their captions."""
        pictures, kept = self._encode_pictures(towers)
        if len(kept) < 2:
            raise TrainingError("fewer than two of the validation images can be read")
        texts = [text for image in kept for text in image.captions]
        tokens, row = towers.tokenize(texts, _PART)
        captions = torch.cat([towers.encode_tokens(part) for part in tokens])[row]
        return kept, pictures, captions

    def _encode_pictures(self, towers: Towers) -> tuple[Tensor, list[CaptionedImage]]:
        def read(image: CaptionedImage) -> tuple[CaptionedImage, NDArray[np.uint8] | None]:
            try:
                picture = read_picture(image, towers.preprocess)
                return image, np.array(towers.preprocess.fit(picture))
            except ImageError as error:
                self.broken[image.name] = str(error)
                return image, None

        encoded: list[Tensor] = []
        kept: list[CaptionedImage] = []
        for part in images.read_batches(read, self.captioned, _PART, threading.Event()):
            shown = [(image, pixels) for image, pixels in part if pixels is not None]
            kept += [image for image, _ in shown]
            if shown:
                stacked = torch.from_numpy(np.stack([pixels for _, pixels in shown]))
                encoded.append(towers.encode_images(stacked.permute(0, 3, 1, 2)))
        return torch.cat(encoded or [torch.empty(0, towers.dim)]), kept


def _fits(kept: Sequence[CaptionedImage]) -> Tensor:
    return fitting([image.captions[0] for image in kept], [known_captions(i) for i in kept])


def _recall(kept: Sequence[CaptionedImage], pictures: Tensor, captions: Tensor) -> RetrievalRecall:
    images_, texts = (F.normalize(rows.float()).cpu().numpy() for rows in (pictures, captions))
    return recall(images_, texts, owners(kept))
