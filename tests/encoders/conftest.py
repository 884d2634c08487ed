"""Tiny model folders, each made once; a test that changes one works on a copy."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from searchengine.encoders import ModelFolder
from searchengine.encoders.export import export
from searchengine.encoders.folder import CARD, IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER, WEIGHTS
from searchengine.encoders.torch_encoder import load_model, save_weights
from tests.encoders.parts import Saved, make_distilbert, make_timm

# torch's exporter traces its work through this logger; pytest would keep megabytes of it.
logging.getLogger("torch.__trace").propagate = False

DERIVED = (IMAGE_GRAPH, TEXT_GRAPH, CARD)


@pytest.fixture(scope="session")
def exported_clip(
    clip_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> ModelFolder:
    """The CLIP with weights in half precision, and all that can be derived made by `export`."""
    path = tmp_path_factory.mktemp("models") / "clip16"
    shutil.copytree(clip_folder.path, path)
    save_weights(load_model(clip_folder), path / WEIGHTS, torch.float16)
    for name in (*DERIVED, TOKENIZER):
        (path / name).unlink()
    return export(path)


@pytest.fixture(scope="session")
def exported_hf(hf_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """As `exported_clip`, with the tokenizer as the Hugging Face hub would have it: unpadded."""
    path = tmp_path_factory.mktemp("models") / "hf16"
    shutil.copytree(hf_folder.path, path)
    save_weights(load_model(hf_folder), path / WEIGHTS, torch.float16)
    for name in DERIVED:
        (path / name).unlink()
    return export(path)


@pytest.fixture(params=["clip_folder", "hf_folder", "exported_clip", "exported_hf"])
def folder(request: pytest.FixtureRequest) -> ModelFolder:
    """Each of the four folders in turn."""
    result: ModelFolder = request.getfixturevalue(request.param)
    return result


@pytest.fixture(params=["clip_folder", "hf_folder"])
def float32_folder(request: pytest.FixtureRequest) -> ModelFolder:
    """Each of the two folders with weights in single precision."""
    result: ModelFolder = request.getfixturevalue(request.param)
    return result


@pytest.fixture
def copied_clip(clip_folder: ModelFolder, tmp_path: Path) -> Path:
    """A copy of the CLIP folder to spoil."""
    return Path(shutil.copytree(clip_folder.path, tmp_path / "copy"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of pulled models."""
    path = tmp_path / "home" / "models"
    monkeypatch.setattr("searchengine.encoders.names.models_home", lambda: path)
    return path


@pytest.fixture(scope="session")
def distilbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text encoder to build models of."""
    return make_distilbert(tmp_path_factory.mktemp("parts") / "distilbert")


@pytest.fixture(scope="session")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image encoder to build models of."""
    return make_timm(tmp_path_factory.mktemp("parts") / "resnet", "test_resnet")


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> Saved:
    """What `build_model` would save, without the seconds that graphs take."""
    saved: Saved = []

    def save(model: Any, config: Any, tokenizer: Any, destination: Path, *, card: Any) -> None:
        saved.append((model, config, card))

    monkeypatch.setattr("searchengine.encoders.export.save_model", save)
    return saved
