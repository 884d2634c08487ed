"""The model folder: weights, tokenizer, preprocessing and graphs that travel together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from searchengine.errors import ModelError
from searchengine.types import EncoderSpec

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TOKENIZER = "tokenizer.json"
IMAGE_GRAPH = "image.onnx"
TEXT_GRAPH = "text.onnx"
CARD = "model.json"

BUILTIN = Path(__file__).parent.parent / "models" / "builtin"
"""The folder of the model that ships in the package."""


@dataclass(frozen=True)
class ModelFolder:
    """A model on disk: `config` is open_clip's own configuration, `card` what `model.json` says."""

    path: Path
    name: str
    """What finds it again: `builtin`, `ARCH/PRETRAINED`, or its absolute path."""
    config: dict[str, Any] = field(repr=False)
    card: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path, name: str = "") -> ModelFolder:
        """Read a folder's two small JSON files; raises `ModelError` when it is not a model."""
        missing = [each for each in (CONFIG, WEIGHTS, TOKENIZER) if not (path / each).is_file()]
        if missing:
            raise ModelError(f"{path} is not a model folder: it has no {', '.join(missing)}")
        try:
            config = json.loads((path / CONFIG).read_bytes())
            card_file = path / CARD
            card = json.loads(card_file.read_bytes()) if card_file.exists() else {}
            int(config["model_cfg"]["embed_dim"])
            parts = (config["model_cfg"]["text_cfg"], config["model_cfg"]["vision_cfg"], card)
            if not all(isinstance(part, dict) for part in parts):
                raise TypeError("an object is expected")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: cannot read {CONFIG} or {CARD}: {error!r}") from error
        return cls(path, name or str(path.resolve()), config, card)

    @cached_property
    def spec(self) -> EncoderSpec:
        """Name, fingerprint and dimension; the fingerprint comes from the card when it has one."""
        fingerprint = self.card.get("fingerprint") or compute_fingerprint(self.path)
        return EncoderSpec(self.name, str(fingerprint), int(self.config["model_cfg"]["embed_dim"]))

    @property
    def text_config(self) -> dict[str, Any]:
        """open_clip's `text_cfg`."""
        config: dict[str, Any] = self.config["model_cfg"]["text_cfg"]
        return config

    @property
    def has_graphs(self) -> bool:
        """Whether the CPU runtime can use this folder without torch."""
        return (self.path / IMAGE_GRAPH).is_file() and (self.path / TEXT_GRAPH).is_file()


def compute_fingerprint(path: Path) -> str:
    """SHA-256 (hex) over the configuration, the tokenizer and the weights of a model folder."""
    digest = hashlib.sha256()
    for name in (CONFIG, TOKENIZER, WEIGHTS):
        with (path / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
