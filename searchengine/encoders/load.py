"""Choose the runtime: a GPU when there is one, the ONNX graphs otherwise."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys

from searchengine.encoders.base import FolderEncoder
from searchengine.encoders.folder import ModelFolder
from searchengine.errors import ModelError

log = logging.getLogger(__name__)


def load(folder: ModelFolder, device: str = "auto") -> FolderEncoder:
    """An encoder for `device`: `auto`, `cpu` or `cuda`.

    `auto` takes CUDA when torch is installed and sees a device, else the CPU runtime. Raises
    `ModelError` when the device or the runtime that it needs is missing.
    """
    if choose_device(device) == "cuda":
        return _load_torch(folder, "cuda")
    if folder.has_graphs:
        from searchengine.encoders.onnx_encoder import OnnxEncoder

        return OnnxEncoder(folder)
    return _load_torch(folder, "cpu")


def choose_device(device: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`; raises `ModelError` for anything else."""
    if device not in ("auto", "cpu", "cuda"):
        raise ModelError(f"unknown device {device!r}; choose auto, cpu or cuda")
    if device == "auto":
        return "cuda" if _has_usable_gpu() else "cpu"
    return device


def _load_torch(folder: ModelFolder, device: str) -> FolderEncoder:
    require_torch("--device cuda" if device == "cuda" else f"{folder.path} (it has no ONNX graphs)")
    from searchengine.encoders.torch_encoder import TorchEncoder

    return TorchEncoder(folder, device)


def require_torch(what: str) -> None:
    """Raise `ModelError`, naming the extra, where torch or open_clip is not installed."""
    if not _has_torch():
        raise ModelError(f"{what} needs torch; install it with: pip install 'searchengine[torch]'")


def _has_torch() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "open_clip"))


def _has_usable_gpu() -> bool:
    if not _has_nvidia_driver():  # spares everyone else the seconds that importing torch takes
        return False
    if not _has_torch():
        log.warning(
            "an NVIDIA GPU is here but torch or open_clip is not, so the CPU does the work; "
            "to use it: pip install 'searchengine[torch]'"
        )
        return False
    import torch

    return torch.cuda.is_available()


def _has_nvidia_driver() -> bool:
    if sys.platform == "win32":
        return os.path.exists(os.path.expandvars(r"%SystemRoot%\System32\nvcuda.dll"))
    return os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/dxg")
