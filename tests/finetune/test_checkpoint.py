"""A run that is not finished leaves a folder from which it can go on, whole at any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from searchengine.encoders import ModelFolder
from searchengine.encoders.torch_encoder import load_model
from searchengine.finetune.checkpoint import RunFolder
from searchengine.finetune.settings import Settings


@pytest.fixture
def folder(out: Path) -> RunFolder:
    made = RunFolder(out)
    made.begin(Settings(), {"model": "f"}, resume=False)
    return made


def test_it_lies_beside_the_model_it_will_become(folder: RunFolder, out: Path) -> None:
    assert folder.path == out.with_name("model.training")
    assert not out.exists()


def test_an_interrupted_save_keeps_the_state_before(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save_state({"step": 1})

    def half(state: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space"):
        folder.save_state({"step": 2})
    assert folder.load_state("cpu") == {"step": 1}


def test_an_interrupted_best_keeps_the_best_before(
    folder: RunFolder, clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = load_model(clip_folder).state_dict()
    folder.save_best(clip_folder, state)
    before = ModelFolder.open(folder.best).spec.fingerprint

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("searchengine.encoders.retrained.save_state", fail)
    with pytest.raises(OSError, match="no space"):
        folder.save_best(clip_folder, state)
    assert ModelFolder.open(folder.best).spec.fingerprint == before


def test_a_later_best_replaces_it(folder: RunFolder, clip_folder: ModelFolder) -> None:
    state = load_model(clip_folder).state_dict()
    folder.save_best(clip_folder, state)
    before = ModelFolder.open(folder.best).spec.fingerprint
    folder.save_best(clip_folder, {**state, "visual.proj": state["visual.proj"] + 1})
    assert ModelFolder.open(folder.best).spec.fingerprint != before
    assert {path.name for path in folder.path.iterdir()} == {"best", "settings.json"}


def test_no_state_yet(folder: RunFolder) -> None:
    assert folder.load_state("cpu") is None
