"""Both towers of a model folder in torch, as training uses them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from searchengine.encoders.folder import TOKENIZER, ModelFolder
from searchengine.encoders.preprocess import Preprocess
from searchengine.encoders.tokenizer import Tokenizer
from searchengine.encoders.torch_encoder import load_model, require_device
from searchengine.finetune import cpu


class Towers:
    """An open_clip model on a device, with its folder's preprocessing and tokenizer.

    Embeddings are (n, dim) float32 and not normalised: losses and recall do that.
    """

    def __init__(self, folder: ModelFolder, device: str):
        """Load the model in float32; raises `ModelError`, also where there is no such device."""
        require_device(device)
        self.folder, self.device = folder, device
        self.preprocess = Preprocess.from_folder(folder)
        self.tokenizer = Tokenizer(folder.path / TOKENIZER, folder.text_config)
        self.dim = folder.spec.dim
        self._pads = "hf_model_name" not in folder.text_config
        self.model: Any = load_model(folder).to(device, memory_format=torch.channels_last)
        self._half = device == "cuda" or cpu.has_bfloat16()
        if device == "cpu":
            cpu.keep_freed_memory()
            cpu.widen_depthwise(self.model)
        mean, std = torch.tensor(self.preprocess.mean), torch.tensor(self.preprocess.std)
        self._scale = (1 / (255 * std)).view(3, 1, 1).to(device)
        self._shift = (mean / std).view(3, 1, 1).to(device)

    def encode_images(self, pixels: Tensor) -> Tensor:
        """(n, 3, H, W) uint8 to (n, dim)."""
        batch = pixels.to(self.device, non_blocking=True) * self._scale - self._shift
        with self._autocast():
            encoded = self.model.encode_image(batch.contiguous(memory_format=torch.channels_last))
        return encoded.float()  # type: ignore[no-any-return]

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """(n, L) int64 to (n, dim)."""
        with self._autocast():
            return self.model.encode_text(tokens.to(self.device)).float()  # type: ignore[no-any-return]

    def tokenize(self, texts: Sequence[str], size: int) -> tuple[list[Tensor], Tensor]:
        """Token tensors of at most `size` texts of like length, and each text's row in them."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts = [order[at : at + size] for at in range(0, len(order), size)]
        tokens = [
            torch.from_numpy(self.tokenizer([texts[i] for i in part], pad=self._pads))
            for part in parts
        ]
        row = torch.empty(len(order), dtype=torch.long)
        row[torch.tensor(order, dtype=torch.long)] = torch.arange(len(order))
        return tokens, row

    @contextlib.contextmanager
    def _autocast(self) -> Iterator[None]:
        with torch.autocast(self.device, torch.bfloat16, enabled=self._half):
            yield
