"""The CPU runtime gives torch's embeddings, from one weights file, from any number of threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open

from searchengine.encoders import ModelFolder, find, load
from searchengine.encoders.folder import IMAGE_GRAPH, TEXT_GRAPH, WEIGHTS
from searchengine.encoders.onnx_encoder import OnnxEncoder
from searchengine.types import Encoder
from tests.encoders.helpers import (
    assert_unit,
    hide,
    model_error,
    noise,
    onnx_encoder,
    torch_encoder,
)

TEXTS = (
    "a photo of a dog",
    "",
    "two red boats at dusk " * 20,
    "dog",
    "café 🙂 日本",
    *(" ".join(["boats"] * i) for i in range(1, 29)),
)


@pytest.mark.parametrize("n", [1, 3, 33])
def test_images_equal_torch_under_onnx_runtime(
    n: int, folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "openvino")
    encoder = onnx_encoder(folder, "without OpenVINO")
    pixels = noise(n, encoder.pixel_shape, seed=n)
    got = encoder.encode_images(pixels)
    assert_unit(got, n, encoder.spec.dim)
    assert np.abs(got - torch_encoder(folder).encode_images(pixels)).max() < 1e-5
    if n > 1:
        assert (got @ got.T).min() < 0.999  # the pictures are told apart


def test_images_equal_torch_under_openvino(folder: ModelFolder) -> None:
    pytest.importorskip("openvino")
    encoder = onnx_encoder(folder)
    pixels = noise(33, encoder.pixel_shape)
    got = encoder.encode_images(pixels)
    assert_unit(got, 33, encoder.spec.dim)
    # Where the processor has it, OpenVINO computes in bfloat16.
    expected = torch_encoder(folder).encode_images(pixels)
    assert np.sum(got * expected, axis=1).min() > 0.999


def test_openvino_takes_over_from_five_pictures(
    clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    compiled: list[str] = []
    real = openvino.Core.compile_model

    def compile_model(self: Any, path: str, *rest: Any) -> Any:
        compiled.append(path)
        return real(self, path, *rest)

    monkeypatch.setattr("openvino.Core.compile_model", compile_model)
    encoder = OnnxEncoder(clip_folder)
    encoder.encode_images(noise(4, encoder.pixel_shape))
    encoder.encode_texts(TEXTS)
    assert compiled == []
    for _ in range(2):
        encoder.encode_images(noise(5, encoder.pixel_shape))
    assert compiled == [str(clip_folder.path / IMAGE_GRAPH)]


@pytest.mark.parametrize("n", [1, 3, 33])
def test_texts_equal_torch(n: int, folder: ModelFolder) -> None:
    encoder = onnx_encoder(folder)
    got = encoder.encode_texts(TEXTS[:n])
    assert_unit(got, n, encoder.spec.dim)
    assert np.abs(got - torch_encoder(folder).encode_texts(TEXTS[:n])).max() < 1e-5
    if n > 1:
        assert (got @ got.T).min() < 0.99


def test_half_precision_weights_change_little(
    clip_folder: ModelFolder, exported_clip: ModelFolder
) -> None:
    single, half = onnx_encoder(clip_folder), onnx_encoder(exported_clip)
    pixels = noise(3, single.pixel_shape)
    pairs = (
        (single.encode_images(pixels), half.encode_images(pixels)),
        (single.encode_texts(TEXTS), half.encode_texts(TEXTS)),
    )
    for a, b in pairs:
        assert np.sum(a * b, axis=1).min() > 0.999
        assert np.abs(a - b).max() > 0  # the folders do differ


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.sampled_from(TEXTS) | st.text(max_size=40), min_size=1, max_size=40))
def test_each_text_gets_its_own_embedding(hf_encoder: OnnxEncoder, texts: list[str]) -> None:
    """Whatever its neighbours in the batch are, and however long."""
    together = hf_encoder.encode_texts(texts)
    for text, embedding in zip(texts[:5], together, strict=False):
        assert np.abs(hf_encoder.encode_texts([text])[0] - embedding).max() < 1e-5


@pytest.fixture(scope="module")
def hf_encoder(hf_folder: ModelFolder) -> OnnxEncoder:
    return onnx_encoder(hf_folder)


def test_no_texts_and_no_images(float32_folder: ModelFolder) -> None:
    encoder = onnx_encoder(float32_folder)
    assert_unit(encoder.encode_texts([]), 0, encoder.spec.dim)
    assert_unit(encoder.encode_images(noise(0, encoder.pixel_shape)), 0, encoder.spec.dim)


def test_a_lone_surrogate_is_no_error(clip_folder: ModelFolder) -> None:
    encoder = onnx_encoder(clip_folder)
    embeddings = encoder.encode_texts(["a \udcff dog", "a ? dog"])
    assert np.array_equal(embeddings[0], embeddings[1])


def test_a_picture_goes_all_the_way(folder: ModelFolder) -> None:
    encoder: Encoder = load(folder, "cpu")
    pixels = encoder.preprocess(Image.new("RGB", (70, 45), (200, 30, 60)))
    assert pixels.shape == encoder.pixel_shape
    embedding = encoder.encode_images(pixels[None])
    assert_unit(embedding, 1, encoder.spec.dim)
    assert encoder.batch_size >= 1


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TEXT_GRAPH])
def test_weights_lie_on_disk_once(name: str, folder: ModelFolder) -> None:
    path = folder.path / name
    assert path.stat().st_size < 100_000
    graph = onnx.load(path, load_external_data=False).graph
    inside = [t for t in graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    outside = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    floating = [t for t in inside if t.data_type == onnx.TensorProto.FLOAT]
    # CLIP's causal mask, 77 x 77, is no weight and in no file.
    assert all(t.name.endswith("attn_mask") or np.prod(t.dims) <= 64 for t in floating)
    keys = [{entry.key: entry.value for entry in t.external_data} for t in outside]
    assert {k["location"] for k in keys} == {WEIGHTS}
    raw = (folder.path / WEIGHTS).read_bytes()
    with safe_open(folder.path / WEIGHTS, "np") as weights:
        assert len(outside) > 10
        for tensor, where in zip(outside, keys, strict=True):
            stored = tensor.name.removeprefix("model.").removesuffix(".stored")
            value = weights.get_tensor(stored)
            assert list(value.shape) == list(tensor.dims)
            start, length = int(where["offset"]), int(where["length"])
            assert raw[start : start + length] == value.tobytes()


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TEXT_GRAPH])
def test_graphs_tell_nothing_of_this_machine(name: str, folder: ModelFolder) -> None:
    content = (folder.path / name).read_bytes()
    assert b"embeddings" in content
    for trace in (b"site-packages", b".py", str(folder.path.parent).encode()):
        assert trace not in content


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TEXT_GRAPH])
def test_without_a_graph(name: str, copied_clip: Path) -> None:
    (copied_clip / name).unlink()
    with model_error(f"searchengine models export {copied_clip}"):
        OnnxEncoder(ModelFolder.open(copied_clip))


@pytest.mark.parametrize("name", [IMAGE_GRAPH, TEXT_GRAPH])
@pytest.mark.parametrize("content", [b"", b"not a graph", bytes(1000)])
def test_broken_graph(name: str, content: bytes, copied_clip: Path) -> None:
    (copied_clip / name).write_bytes(content)
    encoder = OnnxEncoder(ModelFolder.open(copied_clip))
    with model_error(str(copied_clip / name)):
        encoder.encode_images(noise(1, encoder.pixel_shape))
        encoder.encode_texts(["dog"])


@pytest.mark.parametrize("n", [1, 8])
def test_truncated_weights(n: int, copied_clip: Path) -> None:
    weights = copied_clip / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:2000])
    encoder = OnnxEncoder(ModelFolder.open(copied_clip))
    with model_error(str(copied_clip)):
        encoder.encode_images(noise(n, encoder.pixel_shape))
    with model_error(str(copied_clip)):
        encoder.encode_texts(["dog"])


def test_a_moved_folder_still_works(clip_folder: ModelFolder, copied_clip: Path) -> None:
    moved = Path(shutil.move(copied_clip, copied_clip.with_name("père noël 写真")))
    got = load(find(str(moved)), "cpu").encode_texts(TEXTS)
    assert np.array_equal(got, onnx_encoder(clip_folder).encode_texts(TEXTS))
    pixels = noise(8, (3, 32, 32))
    expected = onnx_encoder(clip_folder).encode_images(pixels)
    assert np.abs(OnnxEncoder(find(str(moved))).encode_images(pixels) - expected).max() < 1e-2


def test_threads_share_an_encoder(hf_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every graph is loaded once, and nobody gets another's embeddings."""
    started: list[str] = []
    real = onnxruntime.InferenceSession

    def session(path: Path, *rest: Any, **options: Any) -> Any:
        started.append(path.name)
        return real(path, *rest, **options)

    monkeypatch.setattr("onnxruntime.InferenceSession", session)
    encoder, alone = OnnxEncoder(hf_folder), onnx_encoder(hf_folder)
    batches = [noise(n, encoder.pixel_shape, seed=n) for n in (1, 7, 2, 9, 8, 3)]
    images = [alone.encode_images(batch) for batch in batches]
    texts = alone.encode_texts(TEXTS)
    started.clear()  # what `alone` loaded just now
    with ThreadPoolExecutor(8) as pool:
        image_jobs = [pool.submit(encoder.encode_images, batch) for batch in batches * 2]
        text_jobs = [pool.submit(encoder.encode_texts, TEXTS) for _ in range(6)]
        for job, expected in zip(image_jobs, images * 2, strict=True):
            assert np.abs(job.result() - expected).max() < 1e-6
        for text_job in text_jobs:
            assert np.abs(text_job.result() - texts).max() < 1e-6
    assert sorted(started) == [IMAGE_GRAPH, TEXT_GRAPH]


def test_nothing_is_told_to_anyone_and_nothing_left_in_the_home_folder(tmp_path):
    code = (
        "import socket, numpy as np\n"
        "def refuse(*args, **kwargs): raise AssertionError(f'a look-up of {args}')\n"
        "socket.getaddrinfo = refuse\n"
        "from searchengine import encoders\n"
        "encoder = encoders.load(encoders.find('builtin'), 'cpu')\n"
        "encoder.encode_images(np.zeros((32, *encoder.pixel_shape), np.float32))\n"
    )
    home = {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | home)
    assert list(tmp_path.rglob("*")) == []
