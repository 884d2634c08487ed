"""Parts of two-tower models, as their own libraries save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from transformers import AutoModel, BertConfig, DistilBertConfig

from searchengine.encoders.build import BuildSettings
from searchengine.encoders.torch_encoder import quiet
from tests.models import make_bert

DIM = 12
WIDTH = 32
RANDOM = BuildSettings(dim=DIM, pretrained=False)
Saved = list[tuple[Any, dict[str, Any], dict[str, Any]]]
"""Model, configuration and card of what would be saved."""


def make_distilbert(path: Path, *, dtype: torch.dtype = torch.float32) -> Path:
    """A DistilBERT with weights, and with BERT's tokenizer and a README."""
    make_bert(path)
    vocabulary = BertConfig.from_pretrained(path).vocab_size
    config = DistilBertConfig(
        vocab_size=vocabulary, dim=WIDTH, n_layers=2, n_heads=2, hidden_dim=64, dropout=0.0
    )
    torch.manual_seed(1)
    with quiet():
        model = AutoModel.from_config(config)
        with torch.no_grad():  # or all texts would get nearly the same embedding
            for weight in model.parameters():
                weight.mul_(8 if weight.ndim == 2 else 1)
        model.to(dtype).save_pretrained(path)
    (path / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# Tiny\n")
    return path


def make_timm(path: Path, name: str = "test_resnet", **options: Any) -> Path:
    """A timm model with seven classes, as timm itself saves one."""
    torch.manual_seed(2)
    model = timm.create_model(name, num_classes=7, **options)
    save_for_hf(model, str(path), safe_serialization=True)
    return path
