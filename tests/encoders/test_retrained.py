"""New weights in the shape of an old model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from searchengine import encoders
from searchengine.encoders import ModelFolder
from searchengine.encoders.folder import WEIGHTS
from searchengine.encoders.retrained import save_retrained, save_weights_like
from searchengine.encoders.torch_encoder import load_model
from searchengine.errors import ModelError


def state(folder: ModelFolder) -> dict[str, Any]:
    return dict(load_model(folder).state_dict())


def precisions(folder: Path) -> set[str]:
    with safe_open(folder / WEIGHTS, "pt") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118


def test_the_precision_of_the_old_weights_is_kept(
    clip_folder: ModelFolder, exported_clip: ModelFolder, tmp_path: Path
) -> None:
    for name, folder in (("F32", clip_folder), ("F16", exported_clip)):
        save_weights_like(folder, state(folder), tmp_path / name)
        assert name in precisions(tmp_path / name)
    assert "F32" not in precisions(tmp_path / "F16")


@pytest.mark.slow
def test_a_complete_folder_with_its_own_name_and_fingerprint(
    clip_folder: ModelFolder, tmp_path: Path
) -> None:
    weights = state(clip_folder)
    weights["visual.proj"] = weights["visual.proj"] + 0.1
    card = {"provenance": "a test"}
    made = save_retrained(clip_folder, weights, tmp_path / "new", card, {"notes.txt": b"hello"})
    assert made.has_graphs
    assert made.card["name"] == "new"
    assert made.card["provenance"] == "a test"
    assert made.card["licence"] == clip_folder.card["licence"]
    assert made.card["logit_scale"] == pytest.approx(float(weights["logit_scale"].exp()), abs=1e-3)
    assert made.spec.fingerprint != clip_folder.spec.fingerprint
    assert (made.path / "notes.txt").read_bytes() == b"hello"
    assert encoders.load(made, "cpu").encode_texts(["a dog"]).shape == (1, made.spec.dim)


def test_a_failure_leaves_nothing(
    clip_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("cannot export")

    monkeypatch.setattr("searchengine.encoders.retrained.export_graphs", fail)
    with pytest.raises(ModelError, match="cannot export"):
        save_retrained(clip_folder, state(clip_folder), tmp_path / "new", {}, {})
    assert not list(tmp_path.iterdir())


def test_weights_are_copied_not_shared(clip_folder: ModelFolder, tmp_path: Path) -> None:
    weights = state(clip_folder)
    save_weights_like(clip_folder, weights, tmp_path / "copy")
    weights["visual.proj"].zero_()
    again = state(ModelFolder.open(tmp_path / "copy"))
    assert not torch.equal(again["visual.proj"], weights["visual.proj"])
