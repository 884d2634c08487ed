"""The text encoder of a two-tower model: a Hugging Face model, with its weights or without."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from open_clip.tokenizer import HFTokenizer
from transformers import AutoConfig, AutoModel
from transformers.utils.logging import disable_progress_bar

from searchengine.encoders.build import BuildSettings
from searchengine.encoders.torch_encoder import one_line, quiet
from searchengine.encoders.two_tower import POOLERS, make_transformer
from searchengine.errors import ModelError

_CONTEXT_LENGTH = 64


@dataclass(frozen=True)
class TextPart:
    """A text encoder's configuration, tokenizer and weights, and what is known about it."""

    name: str
    config: Any
    tokenizer: Any
    """open_clip's, with the context length that was chosen."""
    transformer: Any | None
    pooler: str
    """open_clip's name for it."""
    licence: str
    origin: str

    def give_weights(self, tower: Any) -> None:
        """Copy the weights into the tower of a model, and prove that it encodes a long text."""
        length = self.tokenizer.context_length
        token = 1 if self.config.pad_token_id == 0 else 0
        try:
            if self.transformer is not None:
                tower.transformer.load_state_dict(self.transformer.state_dict())
            with torch.inference_mode():
                tower(torch.full((1, length), token))
        except Exception as error:  # an encoder of something else can fail in any way
            raise ModelError(
                f"{self.origin} cannot encode a text of {length} tokens: {one_line(error)}"
            ) from error


def text_part(source: str | Path, settings: BuildSettings) -> TextPart:
    """A model of the hub by name, or of a folder that transformers reads; raises `ModelError`."""
    if settings.pooler not in POOLERS:
        raise ModelError(f"unknown pooler {settings.pooler!r}: choose {' or '.join(POOLERS)}")
    name = str(source)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(name)
            tokenizer = HFTokenizer(name)
            transformer = None
            if settings.pretrained:
                transformer = make_transformer(_complete_model, name)
    except ModelError:
        raise
    except Exception as error:  # transformers and the hub's client raise anything
        raise ModelError(
            f"cannot make hf:{name}: {one_line(error).rstrip('.')}; without a network, name a "
            "folder with its configuration, tokenizer and weights (hf:./FOLDER); --no-pretrained "
            "needs no weights"
        ) from error
    _check_vocabulary(config, tokenizer.tokenizer, name)
    tokenizer.context_length = _context_length(config, tokenizer.tokenizer, settings, name)
    config.pad_token_id = tokenizer.tokenizer.pad_token_id  # which the tower takes for its mask
    label = source.name if isinstance(source, Path) else name
    return TextPart(
        name=name,
        config=config,
        tokenizer=tokenizer,
        transformer=transformer,
        pooler=POOLERS[settings.pooler],
        licence=_licence(source) if settings.pretrained else "none (random weights)",
        origin=f"hf:{label}" + ("" if settings.pretrained else " (random weights)"),
    )


def _complete_model(name: str, **options: Any) -> Any:
    """A pretrained model; raises `ModelError` where weights are missing, as transformers may not.

    It gives those that are missing random values, and warns.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would count tensors
    model, report = AutoModel.from_pretrained(name, output_loading_info=True, **options)
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("decoder."))
    if missing:
        raise ModelError(
            f"hf:{name}: its weights lack {len(missing)} tensors, such as {missing[0]}"
        )
    return model


def _check_vocabulary(config: Any, tokenizer: Any, name: str) -> None:
    vocabulary = getattr(config, "vocab_size", 0)
    if not isinstance(getattr(config, "hidden_size", None), int) or not vocabulary:
        raise ModelError(f"hf:{name} is no text encoder but {config.model_type}")
    if tokenizer.pad_token_id is None:
        raise ModelError(f"hf:{name}: its tokenizer has no padding token")
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes up an empty one
        raise ModelError(f"hf:{name} has no tokenizer files")
    if len(tokenizer) > vocabulary:
        raise ModelError(
            f"hf:{name}: its tokenizer has {len(tokenizer)} tokens but its model {vocabulary}"
        )


def _context_length(config: Any, tokenizer: Any, settings: BuildSettings, name: str) -> int:
    positions = getattr(config, "max_position_embeddings", None) or 0
    limits = [limit for limit in (positions, tokenizer.model_max_length) if limit > 0]
    longest = int(min(limits))
    chosen = settings.context_length
    if chosen is None:
        chosen = min(_CONTEXT_LENGTH, longest)
    if not 0 < chosen <= longest:
        raise ModelError(f"hf:{name} takes texts of 1 to {longest} tokens, not {chosen}")
    return chosen


def _licence(source: str | Path) -> str:
    """What the front matter of a folder's README says."""
    page = source / "README.md" if isinstance(source, Path) else None
    if page is not None and page.is_file():
        front = page.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        found = re.search(r"^license:\s*['\"]?([\w.-]+)", front, re.MULTILINE)
        if front.startswith("---") and found:
            return found[1]
    return "see its model card"
