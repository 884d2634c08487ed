"""Pixels are those of open_clip's inference transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from searchengine.encoders.base import FolderEncoder
from searchengine.encoders.folder import ModelFolder
from searchengine.encoders.load import load
from searchengine.encoders.preprocess import Preprocess
from tests.encoders.helpers import model_error

MODES = ("shortest", "longest", "squash")
TARGETS = (32, (32, 32), (24, 40), (40, 24), (31, 32))
SIZES = ((32, 32), (33, 47), (101, 67), (64, 48), (48, 64), (180, 30), (30, 180), (1, 1), (3, 2))


def picture(size: tuple[int, int]) -> Image.Image:
    width, height = size
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


def difference(config: dict[str, Any], image: Image.Image) -> float:
    expected = image_transform_v2(PreprocessCfg(**config), is_train=False)(image).numpy()
    got = Preprocess.from_config(config)(image)
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    return float(np.abs(got - expected).max())


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "random"])
@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_equals_open_clip(mode: str, target: int | Sequence[int], interpolation: str) -> None:
    config = {"size": target, "resize_mode": mode, "interpolation": interpolation}
    for size in SIZES:
        assert difference(config, picture(size)) < 1e-5, size


@pytest.mark.parametrize("fill", [0, 127, 255])
def test_pads_with_the_fill_colour_before_it_normalises(fill: int) -> None:
    config = {"size": 32, "resize_mode": "longest", "fill_color": fill}
    assert difference(config, picture((60, 20))) < 1e-5


def test_statistics_of_the_configuration() -> None:
    config = {"size": 16, "mean": [0.0, 0.5, 0.25], "std": [1.0, 0.5, 0.125]}
    assert difference(config, picture((20, 30))) < 1e-5


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(MODES),
    st.tuples(st.integers(10, 40), st.integers(10, 40)),
    st.tuples(st.integers(10, 150), st.integers(10, 150)),
)
def test_equals_open_clip_for_any_size(
    mode: str, target: tuple[int, int], size: tuple[int, int]
) -> None:
    assert difference({"size": target, "resize_mode": mode}, picture(size)) < 1e-5


def test_a_strip_so_thin_that_open_clip_fails() -> None:
    preprocess = Preprocess.from_config({"size": 16, "resize_mode": "longest"})
    pixels = preprocess(Image.new("RGB", (400, 2), "white"))
    assert pixels.shape == (3, 16, 16)
    assert [len(np.unique(row)) for row in pixels[0]] == [1] * 16
    assert len(np.unique(pixels[0])) == 2  # one white line on black


def test_defaults_are_those_of_clip() -> None:
    image = picture((300, 260))
    expected = image_transform_v2(PreprocessCfg(), is_train=False)(image).numpy()
    nothing_set = dict.fromkeys(("size", "mean", "std", "interpolation", "resize_mode"))
    for config in ({}, nothing_set):
        assert np.abs(Preprocess.from_config(config)(image) - expected).max() < 1e-5


@pytest.mark.parametrize("key", ["resize_mode", "interpolation"])
def test_unknown_mode(key: str) -> None:
    with model_error("sideways", key):
        Preprocess.from_config({key: "sideways"})


def test_the_towers_size_wins_over_the_configurations(clip_folder: ModelFolder) -> None:
    config = {**clip_folder.config, "preprocess_cfg": {"size": 48}}
    encoder: FolderEncoder = load(
        ModelFolder(clip_folder.path, clip_folder.name, config, clip_folder.card), "cpu"
    )
    assert encoder.pixel_shape == (3, 32, 32)
    assert encoder.preprocess(picture((50, 40))).shape == (3, 32, 32)
