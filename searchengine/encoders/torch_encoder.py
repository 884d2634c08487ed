"""The torch runtime: open_clip's own model, for GPUs, and for folders without graphs."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import textwrap
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from searchengine.encoders.base import FolderEncoder
from searchengine.encoders.folder import WEIGHTS, ModelFolder
from searchengine.errors import ModelError
from searchengine.types import Embeddings, Pixels


class TorchEncoder(FolderEncoder):
    """Both towers in torch: bf16 autocast and channels_last on CUDA, float32 on the CPU."""

    def __init__(self, folder: ModelFolder, device: str):
        """Load the weights onto `device`; raises `ModelError`."""
        super().__init__(folder)
        require_device(device)
        self.device = device
        self.batch_size = 256 if device == "cuda" else 32
        model = load_model(folder)
        self._model = model.eval().to(device, memory_format=torch.channels_last)
        self._pinned: torch.Tensor | None = None
        self._lock = threading.Lock()  # the pinned buffer holds one batch at a time

    def encode_images(self, pixels: Pixels) -> Embeddings:
        """Encode (n, 3, H, W) float32 pixels as (n, dim) normalised embeddings."""
        if not len(pixels):  # some towers cannot reshape nothing
            return np.empty((0, self.spec.dim), np.float32)
        with self._lock, self._inference():
            return _normalised(self._model.encode_image(self._upload(pixels)))

    def _encode_tokens(self, tokens: NDArray[np.int64]) -> Embeddings:
        with self._inference():
            return _normalised(self._model.encode_text(torch.from_numpy(tokens).to(self.device)))

    @property
    def _pads_texts(self) -> bool:
        return "hf_model_name" not in self.folder.text_config

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        is_cuda = self.device == "cuda"
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16, enabled=is_cuda):
            yield

    def _upload(self, pixels: Pixels) -> torch.Tensor:
        # torch warns about arrays it could not write to.
        batch = torch.from_numpy(np.require(pixels, np.float32, ("C", "W")))
        if self.device != "cuda":
            return batch.contiguous(memory_format=torch.channels_last)
        # One pinned buffer, kept: the copy to the device then needs no staging by the driver.
        if self._pinned is None or len(self._pinned) < len(batch):
            self._pinned = torch.empty(batch.shape, pin_memory=True)
        staged = self._pinned[: len(batch)].copy_(batch)
        uploaded = staged.to(self.device, non_blocking=True)
        return uploaded.contiguous(memory_format=torch.channels_last)


def _normalised(embeddings: torch.Tensor) -> Embeddings:
    unit = torch.nn.functional.normalize(embeddings.float(), dim=-1)
    return np.ascontiguousarray(unit.cpu().numpy())


def require_device(device: str) -> None:
    """Raise `ModelError` where torch sees no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("torch sees no CUDA device here; use --device cpu or auto")


def load_model(folder: ModelFolder) -> Any:
    """The folder's open_clip model, in float32 on the CPU; raises `ModelError`.

    A Hugging Face text tower whose configuration lies in the folder itself is named by a path
    relative to it (`"hf_model_name": "."`). With a key `heads` in its configuration, the model is
    one of parts: see `two_tower`.
    """
    import open_clip

    text_config = copy.deepcopy(folder.text_config)
    if str(text_config.get("hf_model_name", "")).startswith("."):
        text_config["hf_model_name"] = str(folder.path / text_config["hf_model_name"])
    if "hf_model_name" in text_config:
        text_config["hf_model_pretrained"] = False
    try:
        with quiet():
            if "heads" in folder.config:
                return _load_two_tower(folder, text_config["hf_model_name"])
            return open_clip.create_model(f"local-dir:{folder.path}", text_cfg=text_config)
    except Exception as error:  # a broken checkpoint can make open_clip raise anything
        raise ModelError(
            f"{folder.path / WEIGHTS}: open_clip cannot load it: {one_line(error)}"
        ) from error


def _load_two_tower(folder: ModelFolder, text_encoder: str) -> Any:
    from safetensors.torch import load_file
    from transformers import AutoConfig

    from searchengine.encoders.two_tower import assemble

    model = assemble(folder.config, AutoConfig.from_pretrained(text_encoder))
    model.load_state_dict(load_file(folder.path / WEIGHTS))
    return model


_ALONE = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the chatter of open_clip, transformers and the hub off the user's terminal."""
    with _ALONE:  # or one thread would take for the state before what another has made of it
        before = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(before)


_TERMINAL_CODE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def one_line(error: Exception) -> str:
    """What an error of another library says, on one line and not too long."""
    text = _TERMINAL_CODE.sub("", str(error))
    return textwrap.shorten(text, 240, placeholder=" ...") or type(error).__name__


def save_weights(model: Any, path: Path, dtype: torch.dtype) -> None:
    """Write a model's state dict as safetensors, floating-point tensors as `dtype`."""
    save_state(model.state_dict(), path, dtype)


def save_state(state: dict[str, Any], path: Path, dtype: torch.dtype) -> None:
    """Write a state dict as safetensors, floating-point tensors as `dtype`."""
    from safetensors.torch import save_file

    stored = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().clone()
        for name, value in state.items()
    }
    save_file(stored, path, metadata={"format": "pt"})
