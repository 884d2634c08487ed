"""Embeddings and labelled folders for tests of the measurements."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from searchengine.encoders import BUILTIN, ModelFolder, load
from searchengine.types import Embeddings, Encoder


def unit(rows: object) -> Embeddings:
    """Rows as unit vectors."""
    array = np.asarray(rows, np.float64)
    lengths = np.linalg.norm(array, axis=1, keepdims=True)
    return np.ascontiguousarray(array / lengths, dtype=np.float32)


def blobs(classes: int, each: int, noise: float, seed: int = 0) -> tuple[Embeddings, np.ndarray]:
    """`each` unit vectors around each of some random centres, and their classes."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    centres = random.standard_normal((classes, 16))
    return unit(centres[labels] + noise * random.standard_normal((len(labels), 16))), labels


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}


def colour(name: str, number: int) -> Image.Image:
    """A picture in nearly one colour; each number gives another one."""
    noise = np.random.default_rng(number).integers(-25, 26, (24, 32, 3))
    return Image.fromarray(np.clip(noise + COLOURS[name], 0, 255).astype(np.uint8))


def fill_classes(folder: Path, each: int, first: int = 0) -> None:
    """A class folder of PNG pictures for every colour."""
    for place, name in enumerate(COLOURS):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            colour(name, 1000 * place + number).save(folder / name / f"{number:03}.png")


def loaded_once(folder: ModelFolder, device: str) -> Encoder:
    """In place of `encoders.load`, so that many commands load one model once."""
    return _loaded(folder.path, device)


@cache
def _loaded(path: Path, device: str) -> Encoder:
    name = "builtin" if path == BUILTIN else ""
    return load(ModelFolder.open(path, name), device)
