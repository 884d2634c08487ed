"""timm models by name, from their folders, and from checkpoints of other libraries."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from searchengine.encoders.build import build_model
from tests.encoders.helpers import model_error
from tests.encoders.parts import RANDOM, Saved, make_timm


def checkpoint(path: Path, *, classes: int = 7, rename: Callable[[str], str] = str) -> Path:
    torch.manual_seed(5)
    state = timm.create_model("test_efficientnet", num_classes=classes).state_dict()
    torch.save({rename(name): tensor for name, tensor in state.items()}, path)
    return path


def build_with(weights: Path, distilbert: Path, destination: Path) -> None:
    settings = replace(RANDOM, image_weights=weights)
    build_model("timm:test_efficientnet", f"hf:{distilbert}", destination, settings)


@pytest.mark.parametrize(
    "rename", [str, lambda name: f"module.{name}", lambda name: f"_net.{name}"]
)
@pytest.mark.parametrize("classes", [0, 7])
def test_checkpoint_by_name_or_else_by_order(
    classes: int,
    rename: Callable[[str], str],
    distilbert: Path,
    tmp_path: Path,
    unsaved: Saved,
    caplog: pytest.LogCaptureFixture,
) -> None:
    weights = checkpoint(tmp_path / "weights.pth", classes=classes, rename=rename)
    build_with(weights, distilbert, tmp_path / "new")
    ((model, _, card),) = unsaved
    stored = torch.load(weights)
    for name, tensor in model.visual.trunk.state_dict().items():
        assert torch.equal(tensor, stored[rename(name)])
    assert "weights.pth" in card["provenance"]
    assert "weights.pth" in card["licence"]
    assert ("by order" in caplog.text) == rename("").startswith("_net")


def spoil(state: dict[str, Any], how: str) -> dict[str, Any]:
    """A state dict that is not test_efficientnet's, in one way or another."""
    names = list(state)
    if how == "shape":
        state[names[0]] = torch.zeros(3, 3)
    elif how == "fewer":
        del state[next(name for name in names if name.startswith("conv_head"))]
    elif how == "extra":
        state["attention.weight"] = torch.zeros(2)
    elif how in ("renamed and fewer", "renamed and more", "renamed and swapped"):
        state = {f"_net.{name}": tensor for name, tensor in state.items()}
        first, second = list(state)[1:3]
        if how.endswith("fewer"):
            state = dict(list(state.items())[:-20])
        elif how.endswith("more"):
            state |= {f"_extra.{i}.weight": torch.zeros(2) for i in range(3)}
        else:  # a norm's weight and bias have one shape
            items = list(state.items())
            items[1], items[2] = items[2], items[1]
            assert state[first].shape == state[second].shape
            state = dict(items)
    elif how == "some renamed":
        other = next(name for name in names[1:] if name.endswith("conv_dw.weight"))
        renamed = {f"_{name}": tensor for name, tensor in list(state.items())[1:]}
        state = {other: state[names[0]], **renamed}
    return state


@pytest.mark.parametrize(
    "how",
    [
        *("shape", "fewer", "extra", "some renamed"),
        *("renamed and fewer", "renamed and more", "renamed and swapped"),
    ],
)
def test_checkpoint_of_another_model(
    how: str, distilbert: Path, tmp_path: Path, unsaved: Saved
) -> None:
    weights = checkpoint(tmp_path / "weights.pth")
    torch.save(spoil(torch.load(weights), how), weights)
    with model_error(str(weights), "of another model"):
        build_with(weights, distilbert, tmp_path / "new")
    assert not unsaved


def test_safetensors_are_never_matched_by_order(distilbert: Path, tmp_path: Path) -> None:
    state = torch.load(checkpoint(tmp_path / "weights.pth"))
    path = tmp_path / "weights.safetensors"
    save_file({f"_net.{name}": tensor for name, tensor in state.items()}, path)
    with model_error(str(path), "it has no conv_stem.weight"):
        build_with(path, distilbert, tmp_path / "new")


@pytest.mark.parametrize("content", [b"", b"no weights", bytes(99)])
def test_checkpoint_that_is_none(content: bytes, distilbert: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with model_error(str(path), "not a checkpoint"):
        build_with(path, distilbert, tmp_path / "new")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resnet81", ("resnet81", "resnet18")),
        ("qqqqqqqq", ("qqqqqqqq", "timm:./FOLDER")),
        ("resnet18.no_such_tag", ("resnet18.no_such_tag", "resnet18.a1_in1k")),
    ],
)
def test_unknown_image_encoder(
    name: str, says: tuple[str, ...], distilbert: Path, tmp_path: Path
) -> None:
    with model_error(*says):
        build_model(f"timm:{name}", f"hf:{distilbert}", tmp_path / "new", RANDOM)


def test_image_folder_without_configuration_or_weights(
    distilbert: Path, resnet: Path, tmp_path: Path
) -> None:
    for missing in ("config.json", "model.safetensors"):
        path = Path(shutil.copytree(resnet, tmp_path / f"no-{missing}"))
        (path / missing).unlink()
        with model_error(f"timm:{path}", "--no-pretrained"):
            build_model(f"timm:{path}", f"hf:{distilbert}", tmp_path / "new")


@pytest.mark.parametrize(
    "options", [{"global_pool": "max"}, {"output_stride": 8}, {"block_args": {"attn_layer": "se"}}]
)
def test_image_folder_of_a_changed_architecture(
    options: dict[str, Any], distilbert: Path, tmp_path: Path
) -> None:
    """With or without other tensors, it would not be the same model when it is loaded by name."""
    path = make_timm(tmp_path / "changed", **options)
    with model_error("timm:changed", "no plain test_resnet"):
        build_model(f"timm:{path}", f"hf:{distilbert}", tmp_path / "new")


def test_pictures_of_one_channel(distilbert: Path, tmp_path: Path) -> None:
    path = make_timm(tmp_path / "grey", in_chans=1)
    with model_error("grey", "1 channels"):
        build_model(f"timm:{path}", f"hf:{distilbert}", tmp_path / "new")
