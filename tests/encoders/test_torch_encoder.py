"""The torch runtime is open_clip's own model; broken weights are a `ModelError`."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch

from searchengine.encoders import ModelFolder, load
from searchengine.encoders.folder import CONFIG, WEIGHTS
from searchengine.encoders.torch_encoder import TorchEncoder, quiet
from tests.encoders.helpers import assert_unit, model_error, noise, torch_encoder

TEXTS = ("a photo of a dog", "", "two red boats at dusk " * 20, "dog")


def reference(folder: ModelFolder) -> tuple[Any, Any]:
    """What open_clip itself makes of the folder."""
    text_config = {**folder.text_config}
    if "hf_model_name" in text_config:
        text_config["hf_model_name"] = str(folder.path)
    name = f"local-dir:{folder.path}"
    with quiet():
        model = open_clip.create_model(name, text_cfg=text_config)
        return model.eval(), open_clip.get_tokenizer(name)


@torch.inference_mode()
def test_equals_open_clip(folder: ModelFolder) -> None:
    model, tokenizer = reference(folder)
    encoder = torch_encoder(folder)
    pixels = noise(3, encoder.pixel_shape)
    images = model.encode_image(torch.from_numpy(pixels), normalize=True).numpy()
    texts = model.encode_text(tokenizer(list(TEXTS)), normalize=True).numpy()
    got_images, got_texts = encoder.encode_images(pixels), encoder.encode_texts(TEXTS)
    assert_unit(got_images, 3, encoder.spec.dim)
    assert_unit(got_texts, len(TEXTS), encoder.spec.dim)
    assert np.abs(got_images - images).max() < 1e-5
    assert np.abs(got_texts - texts).max() < 1e-5


def test_no_texts_and_no_images(float32_folder: ModelFolder) -> None:
    encoder = torch_encoder(float32_folder)
    assert_unit(encoder.encode_texts([]), 0, encoder.spec.dim)
    assert_unit(encoder.encode_images(noise(0, encoder.pixel_shape)), 0, encoder.spec.dim)


def test_pixels_may_be_read_only_or_strided(clip_folder: ModelFolder) -> None:
    encoder = torch_encoder(clip_folder)
    pixels = noise(6, encoder.pixel_shape)
    expected = encoder.encode_images(pixels[::2].copy())
    pixels.setflags(write=False)
    before = pixels.copy()
    assert np.abs(encoder.encode_images(pixels[::2]) - expected).max() < 1e-6
    assert np.abs(encoder.encode_images(pixels)[::2] - expected).max() < 1e-6
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("content", [b"", b"no weights", bytes(64)])
def test_broken_weights(content: bytes, copied_clip: Path) -> None:
    (copied_clip / WEIGHTS).write_bytes(content)
    with model_error(str(copied_clip / WEIGHTS)):
        TorchEncoder(ModelFolder.open(copied_clip), "cpu")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("vision_cfg", {"width": 48}),
        ("vision_cfg", {"no_such_option": 1}),
        ("vision_cfg", {"timm_model_name": "no_such_model"}),
        ("text_cfg", {"layers": 3}),
        ("text_cfg", {"hf_model_name": "./nowhere"}),
    ],
)
def test_config_that_does_not_fit(part: str, change: dict[str, Any], copied_clip: Path) -> None:
    config = json.loads((copied_clip / CONFIG).read_text())
    config["model_cfg"][part] |= change
    (copied_clip / CONFIG).write_text(json.dumps(config))
    with model_error(str(copied_clip)):
        TorchEncoder(ModelFolder.open(copied_clip), "cpu")


def test_quiet_keeps_everything_off_the_terminal_and_then_lets_go(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger().level
    with contextlib.suppress(KeyError), quiet():
        sys.stdout.write("chatter")
        logging.warning("chatter")
        warnings.warn("chatter", stacklevel=1)
        raise KeyError
    assert capsys.readouterr().out == ""
    assert not caplog.records
    assert logging.getLogger().level == level
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("n", [1, 33, 300, 2])
def test_cuda_agrees_with_the_cpu(n: int, float32_folder: ModelFolder) -> None:
    """In bfloat16, and with a pinned buffer that grows and is used again."""
    cpu, cuda = torch_encoder(float32_folder), load(float32_folder, "cuda")
    for seed in range(2):
        pixels = noise(n, cpu.pixel_shape, seed)
        got = cuda.encode_images(pixels)
        assert_unit(got, n, cuda.spec.dim)
        assert np.sum(got * cpu.encode_images(pixels), axis=1).min() > 0.99
    assert np.sum(cuda.encode_texts(TEXTS) * cpu.encode_texts(TEXTS), axis=1).min() > 0.99
