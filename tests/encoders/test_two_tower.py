"""Models of parts are those parts under their heads, and folders like every other one."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file
from transformers import AutoModel

from searchengine.encoders import ModelFolder, load
from searchengine.encoders.build import BuildSettings, build_model
from searchengine.encoders.folder import CONFIG, compute_fingerprint
from searchengine.encoders.torch_encoder import TorchEncoder, load_model, quiet
from searchengine.encoders.two_tower import ResidualHead
from tests.encoders.helpers import assert_unit, model_error, noise
from tests.encoders.parts import DIM, RANDOM, WIDTH, Saved, make_timm
from tests.models import make_bert

TEXTS = ("a photo of a dog", "two red boats at dusk " * 30, "", "写真 dog")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_timm(tmp_path_factory.mktemp("parts") / "vit", "test_vit")


@pytest.fixture(scope="module")
def built(distilbert: Path, vit: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """As the recipe has it: first token, residual heads; of local folders, with their weights."""
    return build_model(
        f"timm:{vit}",
        f"hf:{distilbert}",
        tmp_path_factory.mktemp("models") / "built",
        BuildSettings(dim=DIM, pooler="cls"),
    )


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """A ResNet and a BERT under linear heads, all of it random; without graphs."""
    bert = tmp_path_factory.mktemp("parts") / "bert"
    make_bert(bert)
    destination = tmp_path_factory.mktemp("models") / "linear"
    settings = replace(RANDOM, head="linear")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("export_graphs", "check_agreement"):
            patch.setattr(f"searchengine.encoders.export.{name}", lambda *_: None)
        return build_model("timm:test_resnet", f"hf:{bert}", destination, settings)


def test_both_runtimes_agree(built: ModelFolder) -> None:
    graphs, reference = load(built, "cpu"), TorchEncoder(built, "cpu")
    pixels = noise(3, reference.pixel_shape)
    for got, expected in (
        (graphs.encode_images(pixels), reference.encode_images(pixels)),
        (graphs.encode_texts(TEXTS), reference.encode_texts(TEXTS)),
    ):
        assert_unit(got, len(expected), DIM)
        assert np.sum(got * expected, axis=1).min() > 0.999


def test_a_folder_needs_nothing_outside(built: ModelFolder, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(built.path, tmp_path / "elsewhere"))
    copy = TorchEncoder(ModelFolder.open(moved), "cpu")
    expected = TorchEncoder(built, "cpu").encode_texts(TEXTS)
    assert np.array_equal(copy.encode_texts(TEXTS), expected)
    assert copy.spec.fingerprint == built.spec.fingerprint == compute_fingerprint(moved)
    assert list(built.path.parent.iterdir()) == [built.path]


def test_the_parts_weights_are_those_of_their_folders(
    built: ModelFolder, distilbert: Path, vit: Path
) -> None:
    model = load_model(built)
    for part, stored in (
        (model.text.transformer, load_file(distilbert / "model.safetensors")),
        (model.visual.trunk, load_file(vit / "model.safetensors")),
    ):
        state = part.state_dict()
        assert len(state) > 20
        for name, tensor in state.items():
            assert torch.equal(tensor, stored[name]), name


def test_first_token_and_timms_features_go_into_the_heads(
    built: ModelFolder, distilbert: Path, vit: Path
) -> None:
    """Against timm and transformers alone."""
    encoder, model = TorchEncoder(built, "cpu"), load_model(built).eval()
    trunk = timm.create_model(f"local-dir:{vit}", pretrained=True, num_classes=0).eval()
    with quiet():
        transformer = AutoModel.from_pretrained(distilbert).eval()
    tokens = torch.from_numpy(encoder.tokenizer(TEXTS, pad=False))
    pixels = noise(2, encoder.pixel_shape)
    with torch.inference_mode():
        states = transformer(tokens, attention_mask=(tokens != 0).long()).last_hidden_state
        texts = torch.nn.functional.normalize(model.text.proj(states[:, 0])).numpy()
        features = model.visual.head(trunk(torch.from_numpy(pixels)))
        images = torch.nn.functional.normalize(features).numpy()
    assert np.abs(encoder.encode_texts(TEXTS) - texts).max() < 1e-5
    assert np.abs(encoder.encode_images(pixels) - images).max() < 1e-5


def test_mean_of_the_tokens_and_not_of_the_padding(
    distilbert: Path, tmp_path: Path, unsaved: Saved
) -> None:
    build_model("timm:test_efficientnet", f"hf:{distilbert}", tmp_path / "new", RANDOM)
    ((model, _, _),) = unsaved
    tokens = torch.tensor([[7, 8, 9]])
    padded = torch.nn.functional.pad(tokens, (0, 5), value=0)
    with torch.inference_mode():
        states = model.text.transformer(tokens).last_hidden_state
        expected = model.text.proj(states.mean(dim=1))
        assert torch.allclose(model.encode_text(padded), expected, atol=1e-5)


def test_parameters_tell_trunks_from_heads_and_all_of_them_learn(built: ModelFolder) -> None:
    model = load_model(built).train()
    images, texts, scale = model(torch.randn(4, 3, 160, 160), torch.randint(1, 99, (4, 9)))
    (scale * torch.trace(images @ texts.T)).backward()
    prefixes = ("visual.trunk.", "visual.head.", "text.transformer.", "text.proj.", "logit_scale")
    for prefix in prefixes:
        assert any(name.startswith(prefix) for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        assert name.startswith(prefixes)
        assert parameter.grad is not None, name
        assert parameter.dtype == torch.float32


def test_linear_heads_are_read_by_open_clip_alone(linear: ModelFolder) -> None:
    name, text_config = f"local-dir:{linear.path}", {**linear.text_config}
    text_config["hf_model_name"] = str(linear.path)
    with quiet():
        model = open_clip.create_model(name, text_cfg=text_config).eval()
        tokens = open_clip.get_tokenizer(name)(list(TEXTS))
    encoder = TorchEncoder(linear, "cpu")
    pixels = noise(2, encoder.pixel_shape)
    with torch.inference_mode():
        images = model.encode_image(torch.from_numpy(pixels), normalize=True).numpy()
        texts = model.encode_text(tokens, normalize=True).numpy()
    assert np.abs(encoder.encode_images(pixels) - images).max() < 1e-5
    assert np.abs(encoder.encode_texts(TEXTS) - texts).max() < 1e-5


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (None, {"heads": "transformer"}),
        ("text_cfg", {"hf_pooler_type": "cls_pooler"}),
        ("text_cfg", {"hf_model_name": "./nowhere"}),
        ("vision_cfg", {"timm_model_name": "no_such_model"}),
        ("vision_cfg", {"timm_model_name": "test_resnet"}),
    ],
)
def test_configuration_that_does_not_fit(
    part: str | None, change: dict[str, Any], built: ModelFolder, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(built.path, tmp_path / "copy"))
    config = json.loads((path / CONFIG).read_text())
    (config["model_cfg"][part] if part else config).update(change)
    (path / CONFIG).write_text(json.dumps(config))
    with model_error(str(path)):
        load_model(ModelFolder.open(path))


def reference_head(head: ResidualHead, features: np.ndarray) -> np.ndarray:
    """The head in float64 numpy, without dropout."""
    weights = {name: w.detach().numpy().astype(float) for name, w in head.named_parameters()}
    projected = features @ weights["projection.weight"].T + weights["projection.bias"]
    gelu = projected * (1 + np.vectorize(math.erf)(projected / math.sqrt(2))) / 2
    summed = projected + gelu @ weights["hidden.weight"].T + weights["hidden.bias"]
    centred = summed - summed.mean(axis=1, keepdims=True)
    normed = centred / np.sqrt(centred.var(axis=1, keepdims=True) + 1e-5)
    return normed * weights["norm.weight"] + weights["norm.bias"]


@pytest.mark.parametrize("seed", range(3))
def test_residual_head(seed: int) -> None:
    torch.manual_seed(seed)
    head = ResidualHead(40, 24)
    for weight in head.parameters():
        torch.nn.init.normal_(weight)
    features = torch.randn(50, 40)
    expected = reference_head(head, features.numpy().astype(float))
    assert np.abs(head.eval()(features).detach().numpy() - expected).max() < 1e-4
    trained = head.train()(features).detach().numpy()
    assert np.abs(trained - expected).max() > 0.01  # dropout
    assert head.dropout.p == 0.1


@pytest.mark.parametrize(
    ("settings", "shapes"),
    [
        (RANDOM, {"projection.weight": (DIM, WIDTH), "hidden.weight": (DIM, DIM)}),
        (replace(RANDOM, head="linear"), {"weight": (DIM, WIDTH)}),
    ],
)
def test_text_heads(
    settings: BuildSettings,
    shapes: dict[str, tuple[int, int]],
    distilbert: Path,
    tmp_path: Path,
    unsaved: Saved,
) -> None:
    build_model("timm:test_efficientnet", f"hf:{distilbert}", tmp_path / "new", settings)
    ((model, _, _),) = unsaved
    found = {n: tuple(w.shape) for n, w in model.text.proj.named_parameters() if w.ndim == 2}
    assert found == shapes


def test_an_image_encoder_with_a_layer_after_its_pooling(
    distilbert: Path, tmp_path: Path, unsaved: Saved
) -> None:
    """MobileNetV3: 288 channels are pooled, and a layer makes 1024 of them."""
    build_model("timm:mobilenetv3_small_050", f"hf:{distilbert}", tmp_path / "new", RANDOM)
    ((model, _, _),) = unsaved
    assert model.encode_image(torch.zeros(1, 3, 224, 224)).shape == (1, DIM)
