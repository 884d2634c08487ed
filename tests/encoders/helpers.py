"""What several test files need."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from searchengine.encoders import ModelFolder
from searchengine.encoders.onnx_encoder import OnnxEncoder
from searchengine.encoders.torch_encoder import TorchEncoder
from searchengine.errors import ModelError
from searchengine.types import Embeddings, Pixels


@contextmanager
def model_error(*parts: str) -> Iterator[None]:
    """The block raises a `ModelError` of one line that has all `parts` in it."""
    with pytest.raises(ModelError) as caught:
        yield
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in parts:
        assert part in message


@cache
def _torch_encoder(path: Path) -> TorchEncoder:
    return TorchEncoder(ModelFolder.open(path), "cpu")


def torch_encoder(folder: ModelFolder) -> TorchEncoder:
    """The folder under torch on the CPU; each is loaded once."""
    return _torch_encoder(folder.path)


@cache
def _onnx_encoder(path: Path, kind: str) -> OnnxEncoder:
    return OnnxEncoder(ModelFolder.open(path))


def onnx_encoder(folder: ModelFolder, kind: str = "any") -> OnnxEncoder:
    """The folder under the CPU runtime; each is loaded once for each `kind`."""
    return _onnx_encoder(folder.path, kind)


def noise(n: int, shape: tuple[int, int, int], seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).standard_normal((n, *shape)).astype(np.float32)


def assert_unit(embeddings: Embeddings, n: int, dim: int) -> None:
    assert embeddings.shape == (n, dim)
    assert embeddings.dtype == np.float32
    assert embeddings.flags.c_contiguous
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make `importlib.util.find_spec` say that these modules are not installed."""
    real = importlib.util.find_spec

    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in modules else real(name, package)

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
