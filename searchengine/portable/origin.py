"""Where embeddings come from: the pictures they belong to, and the model that made them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchengine import images
from searchengine.errors import ExchangeError, ImageError
from searchengine.portable.layouts import Record, Source
from searchengine.types import Embeddings, Encoder

SAMPLE = 8  # pictures encoded anew to prove where the vectors come from
TRIED = 64  # rows among which the sample is looked for
_ROUNDING = 1e-3
COSINE = 0.9  # another runtime or resize stays above 0.98; another model is near 0


class Locator:
    """Finds pictures below a folder, although their paths may come from another machine.

    Of the first path that is not there as it stands, leading folders are dropped until a file is
    found; what was dropped is then dropped of all others.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._dropped: tuple[str, ...] | None = None

    def __call__(self, path: str) -> str | None:
        """The picture's path relative to the folder, POSIX separators; None if it is not there."""
        whole = PurePath(posixpath.normpath(path))
        if whole.is_relative_to(self.folder) and os.path.isfile(whole):
            return whole.relative_to(self.folder).as_posix()
        parts = whole.parts[1:] if whole.is_absolute() else whole.parts
        if self._dropped is not None:
            count = len(self._dropped)
            return self._under(parts[count:]) if parts[:count] == self._dropped else None
        for count in range(len(parts)):
            if found := self._under(parts[count:]):
                self._dropped = parts[:count]
                return found
        return None

    def _under(self, parts: tuple[str, ...]) -> str | None:
        found = os.path.isfile(os.path.join(self.folder, *parts)) and ".." not in parts
        return "/".join(parts) if parts and found else None


def normalised(vectors: NDArray[Any]) -> tuple[Embeddings, NDArray[np.bool_]]:
    """Embeddings from (n, dim) vectors of any norm, and which rows are of use, (n,) bool.

    A norm that is 1 but for the rounding to float16 stays, so that such vectors come out as they
    went in.
    """
    rows = vectors.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    good = np.isfinite(norms) & (norms > 1e-9)  # NaN or infinity anywhere is in the norm
    norms[~good | (np.abs(norms - 1) < _ROUNDING)] = 1
    return np.ascontiguousarray(np.where(good, rows / norms, 0), np.float32), good.ravel()


def check_origin(source: Source, encoder: Encoder, folder: Path) -> float:
    """Encode a few of the pictures anew; returns their mean cosine to the vectors given.

    Nothing in a vector says which model made it, so this is the only proof.

    Raises:
        ExchangeError: the vectors are of another dimension or model, or no picture is found.
    """
    if source.fingerprint not in (None, encoder.spec.fingerprint):
        raise ExchangeError(
            f"{source.folder} was exported from an index of {source.model} "
            f"({str(source.fingerprint)[:12]}), not {encoder.spec.name} "
            f"({encoder.spec.fingerprint[:12]}); name that model with --model"
        )
    if source.parts[0].dim != encoder.spec.dim:
        raise ExchangeError(
            f"the vectors of {source.folder} have {source.parts[0].dim} dimensions, those of "
            f"{encoder.spec.name} {encoder.spec.dim}; name the model that made them with --model"
        )
    given, made = _sample(source, encoder, Locator(os.path.abspath(folder)))
    cosine = float(np.sum(given * made, axis=1).mean())
    if not cosine >= COSINE:
        raise ExchangeError(
            f"the vectors of {source.folder} are not what {encoder.spec.name} makes of the "
            f"pictures: mean cosine {cosine:.2f} over {len(given)} of them, at least {COSINE} is "
            "asked; name the model that made them with --model"
        )
    return cosine


def _sample(source: Source, encoder: Encoder, locate: Locator) -> tuple[Embeddings, Embeddings]:
    """The vectors given for a few pictures, (n, dim), and what the encoder makes of them."""
    given, pixels = [], []
    rows = list(_spread(source))
    for place in np.random.default_rng(0).permutation(len(rows)):
        record, vector = rows[place]
        row, good = normalised(vector[np.newaxis])
        path = locate(record.path)
        if path is None or not good[0]:
            continue
        try:
            name = os.path.join(locate.folder, path)
            if record.digest not in (None, images.digest(name)):
                continue
            picture = images.read(name, min_side=min(encoder.pixel_shape[1:]))
        except ImageError:
            continue
        given.append(row[0])
        pixels.append(encoder.preprocess(picture.image))
        if len(given) == SAMPLE:
            break
    if not given:
        raise ExchangeError(
            f"of {len(rows)} rows of {source.folder} that were tried, none has its picture below "
            f"{locate.folder}; name the folder of the pictures with --images"
        )
    return np.stack(given), encoder.encode_images(np.stack(pixels))


def _spread(source: Source) -> Iterator[tuple[Record, NDArray[Any]]]:
    """Rows spread evenly over all of them."""
    wanted = set(np.linspace(0, source.count - 1, TRIED).astype(int).tolist())
    start = 0
    for records, vectors in source.rows():
        for place in range(len(records)):
            if start + place in wanted:
                yield records[place], np.array(vectors[place])
        start += len(records)
