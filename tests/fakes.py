"""An encoder without a model: quick, deterministic, and it counts what it is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from searchengine.types import Embeddings, EncoderSpec, Pixels


class FakeEncoder:
    """Pictures become their 4 x 4 thumbnail, texts a random vector of their own."""

    pixel_shape = (3, 4, 4)

    def __init__(self, name: str = "fake", batch_size: int = 8):
        self.spec = EncoderSpec(name, hashlib.sha256(name.encode()).hexdigest(), 48)
        self.batch_size = batch_size
        self.encoded = 0

    def preprocess(self, image: Image.Image) -> Pixels:
        small = image.resize((4, 4), Image.Resampling.BOX)
        return np.asarray(small, np.float32).transpose(2, 0, 1) / 255 - 0.5

    def encode_images(self, pixels: Pixels) -> Embeddings:
        self.encoded += len(pixels)
        return _unit(pixels.reshape(len(pixels), -1) + np.float32(1e-3))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        rows = [np.random.default_rng(seed).standard_normal(48) for seed in seeds]
        return _unit(np.array(rows, np.float32).reshape(-1, 48))


def _unit(rows: np.ndarray) -> Embeddings:
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
