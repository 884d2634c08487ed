"""What both runtimes share: a folder's preprocessing and tokenizer, and the order of texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from searchengine.encoders.folder import TOKENIZER, ModelFolder
from searchengine.encoders.preprocess import Preprocess
from searchengine.encoders.tokenizer import Tokenizer
from searchengine.types import Embeddings, EncoderSpec, Pixels

if TYPE_CHECKING:
    import PIL.Image


class FolderEncoder(ABC):
    """An encoder over a model folder; a runtime adds the two towers."""

    batch_size = 32
    """How many images a call of `encode_images` should carry to be fast."""

    def __init__(self, folder: ModelFolder):
        self.folder = folder
        self.spec: EncoderSpec = folder.spec
        self._preprocess = Preprocess.from_folder(folder)
        self.pixel_shape = (3, self._preprocess.height, self._preprocess.width)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The folder's tokenizer."""
        return Tokenizer(self.folder.path / TOKENIZER, self.folder.text_config)

    def preprocess(self, image: PIL.Image.Image) -> Pixels:
        """An RGB picture as (3, H, W) float32."""
        return self._preprocess(image)

    @abstractmethod
    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Encode (n, 3, H, W) float32 pixels as (n, dim) normalised embeddings."""

    @abstractmethod
    def _encode_tokens(self, tokens: NDArray[np.int64]) -> Embeddings: ...

    @property
    @abstractmethod
    def _pads_texts(self) -> bool: ...

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Encode n texts as (n, dim) normalised embeddings; texts of like length share a batch."""
        embeddings = np.empty((len(texts), self.spec.dim), np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            tokens = self.tokenizer([texts[i] for i in chosen], pad=self._pads_texts)
            embeddings[chosen] = self._encode_tokens(tokens)
        return embeddings
