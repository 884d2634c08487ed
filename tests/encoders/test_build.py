"""A model of two parts is built whole or not at all, and the same each time."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch

from searchengine.encoders.build import BuildSettings, build_model
from searchengine.encoders.folder import CARD
from searchengine.errors import ModelError
from tests.encoders.helpers import model_error
from tests.encoders.parts import RANDOM, Saved


def test_card_and_preprocessing_come_from_the_parts(
    distilbert: Path, resnet: Path, tmp_path: Path, unsaved: Saved
) -> None:
    build_model(f"timm:{resnet}", f"hf:{distilbert}", tmp_path / "new")
    ((_, config, card),) = unsaved
    known = timm.create_model("test_resnet").default_cfg
    assert card == {
        "licence": f"image encoder: {known['license']}; text encoder: mit",
        "provenance": "timm:resnet and hf:distilbert under untrained mlp heads",
    }
    preprocess = config["preprocess_cfg"]
    assert (preprocess["size"], preprocess["resize_mode"]) == (160, "squash")
    assert preprocess["mean"] == pytest.approx(known["mean"])


def test_the_same_arguments_give_the_same_heads(
    distilbert: Path, resnet: Path, tmp_path: Path, unsaved: Saved
) -> None:
    for settings in (RANDOM, RANDOM, replace(RANDOM, pretrained=True)):
        torch.rand(1)
        build_model(f"timm:{resnet}", f"hf:{distilbert}", tmp_path / "new", settings)
    random, again, pretrained = (model.state_dict() for model, _, _ in unsaved)
    assert all(torch.equal(random[name], again[name]) for name in random)
    different = [name for name in random if not torch.equal(random[name], pretrained[name])]
    assert {name.split(".")[1] for name in different} == {"transformer", "trunk"}


def test_no_pretrained_needs_no_weights(distilbert: Path, tmp_path: Path, unsaved: Saved) -> None:
    bare = Path(shutil.copytree(distilbert, tmp_path / "bare"))
    (bare / "model.safetensors").unlink()
    build_model("timm:test_efficientnet", f"hf:{bare}", tmp_path / "new", RANDOM)
    ((_, _, card),) = unsaved
    assert card["licence"].count("random weights") == 2
    assert card["provenance"].count("random weights") == 2


@pytest.mark.parametrize(
    ("image", "text", "says"),
    [
        ("resnet18", "hf:x/y", ("resnet18", "timm:resnet50")),
        ("timm:", "hf:x/y", ("timm:resnet50",)),
        ("hf:test_resnet", "hf:x/y", ("hf:test_resnet", "timm:resnet50")),
        ("timm:test_resnet", "bert", ("bert", "hf:distilbert-base-uncased")),
        ("timm:test_resnet", "hf:./nowhere", ("hf:./nowhere", "no such folder")),
        ("timm:~/nowhere", "hf:x/y", ("timm:~/nowhere", "no such folder")),
        ("timm:test_resnt", "hf:", ("hf:distilbert",)),
    ],
)
def test_names_that_mean_nothing(
    image: str, text: str, says: tuple[str, ...], tmp_path: Path
) -> None:
    with model_error(*says):
        build_model(image, text, tmp_path / "new", RANDOM)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (replace(RANDOM, dim=0), "dim"),
        (replace(RANDOM, head="residual"), "mlp, linear"),
        (replace(RANDOM, pooler="max"), "mean or cls"),
        (replace(RANDOM, context_length=0), "1 to 512"),
        (replace(RANDOM, context_length=513), "1 to 512"),
    ],
)
def test_bad_settings(settings: BuildSettings, says: str, distilbert: Path, tmp_path: Path) -> None:
    with model_error(says):
        build_model("timm:test_resnet", f"hf:{distilbert}", tmp_path / "new", settings)


def test_an_existing_destination_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with model_error(str(tmp_path / "mine"), "exists"):
        build_model("timm:test_resnet", "hf:x/y", tmp_path / "mine", RANDOM)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "diary.txt"]


def test_nothing_half_written_stays(
    distilbert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelError("cannot export image.onnx")

    monkeypatch.setattr("searchengine.encoders.export.export_graphs", fail)
    with model_error("cannot export"):
        build_model("timm:test_resnet", f"hf:{distilbert}", tmp_path / "below" / "new", RANDOM)
    assert not list((tmp_path / "below").iterdir())


@pytest.mark.parametrize(
    ("image", "text", "says"),
    [
        ("timm:test_vit", "hf:{distilbert}", ("timm:test_vit", "timm:./FOLDER")),
        ("timm:{resnet}", "hf:searchengine-no-such/model", ("hf:searchengine-no-such/model",)),
    ],
)
def test_without_a_network(
    image: str,
    text: str,
    says: tuple[str, ...],
    distilbert: Path,
    resnet: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    parts = {"distilbert": distilbert, "resnet": resnet}
    with model_error(*says, "--no-pretrained", "without a network"):
        build_model(image.format(**parts), text.format(**parts), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_may_be_named_from_here(
    distilbert: Path, tmp_path: Path, unsaved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(distilbert.parent)
    for name in ("./distilbert", f"../{distilbert.parent.name}/distilbert"):
        build_model("timm:test_resnet", f"hf:{name}", tmp_path / "new", RANDOM)
    assert len(unsaved) == 2
    assert os.listdir(tmp_path) == []
    assert (distilbert / CARD).exists() is False
