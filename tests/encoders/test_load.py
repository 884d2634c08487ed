"""The runtime fits the device, and a missing one is named."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from searchengine.encoders import ModelFolder, load
from searchengine.encoders.folder import IMAGE_GRAPH, TEXT_GRAPH
from searchengine.encoders.onnx_encoder import OnnxEncoder
from searchengine.encoders.torch_encoder import TorchEncoder
from tests.encoders.helpers import hide, model_error


def set_driver(monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    # The package's function `load` hides the module of that name from dotted names.
    module = sys.modules["searchengine.encoders.load"]
    monkeypatch.setattr(module, "_has_nvidia_driver", lambda: is_there)


@pytest.fixture
def without_graphs(copied_clip: Path) -> ModelFolder:
    for name in (IMAGE_GRAPH, TEXT_GRAPH):
        (copied_clip / name).unlink()
    return ModelFolder.open(copied_clip)


def test_cpu_takes_the_graphs(folder: ModelFolder) -> None:
    encoder = load(folder, "cpu")
    assert isinstance(encoder, OnnxEncoder)
    assert encoder.spec == folder.spec


def test_cpu_without_graphs_takes_torch(without_graphs: ModelFolder) -> None:
    encoder = load(without_graphs, "cpu")
    assert isinstance(encoder, TorchEncoder)
    assert encoder.device == "cpu"
    assert encoder.encode_texts(["a dog"]).shape == (1, encoder.spec.dim)


def test_auto_without_a_gpu(clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for has_driver in (False, True):
        set_driver(monkeypatch, has_driver)
        assert isinstance(load(clip_folder), OnnxEncoder)


def test_cuda_without_a_device(clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with model_error("CUDA", "--device"):
        load(clip_folder, "cuda")


def test_unknown_device(clip_folder: ModelFolder) -> None:
    with model_error("tpu", "auto"):
        load(clip_folder, "tpu")


@pytest.mark.parametrize("missing", ["torch", "open_clip"])
def test_cuda_without_torch(
    missing: str, clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, missing)
    with model_error("--device cuda", "pip install 'searchengine[torch]'"):
        load(clip_folder, "cuda")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_neither_graphs_nor_torch(
    device: str, without_graphs: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_driver(monkeypatch, False)
    hide(monkeypatch, "torch")
    with model_error(str(without_graphs.path), "graphs", "pip install 'searchengine[torch]'"):
        load(without_graphs, device)


@pytest.mark.parametrize("missing", ["torch", "open_clip"])
def test_gpu_without_torch_warns(
    missing: str,
    clip_folder: ModelFolder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    set_driver(monkeypatch, True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    hide(monkeypatch, missing)
    with caplog.at_level(logging.WARNING):
        assert isinstance(load(clip_folder), OnnxEncoder)
    (record,) = caplog.records
    assert "pip install 'searchengine[torch]'" in record.message


def test_no_gpu_no_warning(
    clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_driver(monkeypatch, False)
    hide(monkeypatch, "torch")
    with caplog.at_level(logging.WARNING):
        assert isinstance(load(clip_folder), OnnxEncoder)
    assert not caplog.records


def test_auto_takes_a_usable_gpu(clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Spy:
        def __init__(self, folder: ModelFolder, device: str):
            asked.append(device)

    set_driver(monkeypatch, True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("searchengine.encoders.torch_encoder.TorchEncoder", Spy)
    assert isinstance(load(clip_folder), Spy)
    assert isinstance(load(clip_folder, "cpu"), OnnxEncoder)
    assert asked == ["cuda"]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_auto_on_this_gpu(clip_folder: ModelFolder) -> None:
    encoder = load(clip_folder)
    assert isinstance(encoder, TorchEncoder)
    assert encoder.device == "cuda"


def test_a_text_on_the_cpu_imports_nothing_heavy(clip_folder: ModelFolder) -> None:
    code = """
import sys
from searchengine.encoders import find, load
embeddings = load(find(sys.argv[1]), "cpu").encode_texts(["a photo of a dog"])
assert embeddings.shape == (1, 16)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    command = [sys.executable, "-c", code, str(clip_folder.path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    modules = output.split()
    assert "onnxruntime" in modules
    heavy = {
        "torch",
        "torchvision",
        "open_clip",
        "openvino",
        "timm",
        "transformers",
        "onnx",
        "ftfy",
    }
    assert not heavy & set(modules)
