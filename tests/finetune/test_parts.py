"""What is trained, at which rate, and what stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from searchengine.encoders import ModelFolder
from searchengine.encoders.torch_encoder import load_model
from searchengine.errors import TrainingError
from searchengine.finetune.parts import CONVOLUTION_RATE, TRANSFORMER_RATE, Parts
from searchengine.finetune.settings import Settings

HEADS = {
    "clip_folder": {"visual.proj", "text_projection"},
    "hf_folder": {
        *("visual.head.mlp.fc1.weight", "visual.head.mlp.fc2.weight"),
        *("text.proj.0.weight", "text.proj.2.weight"),
    },
}


@pytest.fixture(params=["clip_folder", "hf_folder"])
def kind(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """The two tiny models by name."""
    return request.param, load_model(request.getfixturevalue(request.param))


def trained(model: nn.Module) -> set[str]:
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and "logit_" not in name
    }


def test_heads_only(kind: tuple[str, Any]) -> None:
    name, model = kind
    Parts(model, Settings(train="heads"))
    assert {each for each in trained(model) if not each.endswith("bias")} == HEADS[name]


@pytest.mark.parametrize("tower", ["image", "text"])
def test_one_tower_with_the_other_locked(kind: tuple[str, Any], tower: Any) -> None:
    _, model = kind
    everything = {name for name, _ in model.named_parameters() if "logit_" not in name}
    images = {name for name in everything if name.startswith("visual.")}
    parts = Parts(model, Settings(train=tower))
    assert trained(model) == (images if tower == "image" else everything - images)
    parts.train()
    locked = model.visual if tower == "text" else getattr(model, "transformer", None) or model.text
    assert not locked.training


def test_a_rate_for_each_part(hf_folder: ModelFolder) -> None:
    model = load_model(hf_folder)
    parts = Parts(model, Settings(image_rate=1e-4, text_rate=0.0, head_rate=1e-3))
    assert parts.rate("visual.trunk.conv_stem.weight") == 1e-4
    assert parts.rate("text.proj.0.weight") == 1e-3
    assert parts.rate("logit_scale") == pytest.approx(1e-2)
    assert not any(name.startswith("text.transformer") for name in trained(model))


def test_rates_that_suit_the_kind_of_encoder(
    hf_folder: ModelFolder, clip_folder: ModelFolder
) -> None:
    convolutional = Parts(load_model(hf_folder), Settings())
    assert convolutional.rate("visual.trunk.conv_stem.weight") == CONVOLUTION_RATE
    assert convolutional.rate("text.transformer.x") == TRANSFORMER_RATE
    assert (
        Parts(load_model(clip_folder), Settings()).rate("visual.conv1.weight") == TRANSFORMER_RATE
    )


def test_no_weight_decay_for_biases_norms_and_the_scale(kind: tuple[str, Any]) -> None:
    _, model = kind
    decayed = {
        id(parameter)
        for group in Parts(model, Settings(weight_decay=0.1)).groups()
        if group["weight_decay"]
        for parameter in group["params"]
    }
    for name, parameter in model.named_parameters():
        is_plain = parameter.ndim < 2 or name.endswith("bias")
        assert (id(parameter) in decayed) is not is_plain, name


def test_learned_statistics_stay_and_untouched_ones_are_learned(hf_folder: ModelFolder) -> None:
    model = load_model(hf_folder)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].running_mean.fill_(0.5)
    Parts(model, Settings()).train()
    assert not norms[0].training
    assert norms[1].training


def test_dropout_works_in_what_is_trained_only(hf_folder: ModelFolder) -> None:
    model = load_model(hf_folder)
    Parts(model, Settings(train="image")).train()
    dropouts = [m for m in model.text.modules() if isinstance(m, nn.Dropout)]
    assert dropouts
    assert not any(module.training for module in dropouts)
    model = load_model(hf_folder)
    Parts(model, Settings()).train()
    assert all(m.training for m in model.text.modules() if isinstance(m, nn.Dropout))


@pytest.mark.parametrize("name", ["clip_folder", "hf_folder"])
def test_lora_adds_little_and_can_be_multiplied_out(
    name: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    model = load_model(folder)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    parts = Parts(model, Settings(train="lora", lora_rank=2))
    added = [key for key in trained(parts.model) if "lora_" in key]
    assert any("visual" in key for key in added)
    assert any("visual" not in key for key in added)
    for key, parameter in parts.model.named_parameters():
        if "lora_B" in key:
            nn.init.normal_(parameter)
    plain = load_model(folder)
    plain.load_state_dict(parts.merged())
    assert any(not torch.equal(value, before[key]) for key, value in plain.state_dict().items())
    pixels, tokens = torch.randn(2, 3, 32, 32), torch.ones(2, 24, dtype=torch.long)
    tokens = tokens if name == "hf_folder" else tokens.new_ones(2, 77)
    parts.model.eval()
    plain.eval()
    for encode, merged in (
        (parts.model.encode_image(pixels), plain.encode_image(pixels)),
        (parts.model.encode_text(tokens), plain.encode_text(tokens)),
    ):
        assert torch.allclose(encode, merged, rtol=1e-3, atol=1e-4)


def test_nothing_to_train(clip_folder: ModelFolder) -> None:
    with pytest.raises(TrainingError, match="every rate is 0"):
        Parts(load_model(clip_folder), Settings(image_rate=0, text_rate=0, head_rate=0))
