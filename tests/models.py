"""Tiny model folders with random weights: one of each kind of text tower that open_clip has."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from transformers import BertConfig, BertTokenizer

from searchengine.encoders.export import save_model
from searchengine.encoders.folder import ModelFolder
from searchengine.encoders.torch_encoder import quiet

SIZE = 32
DIM = 16
CLIP_CONFIG: dict[str, Any] = {
    "embed_dim": DIM,
    "vision_cfg": {
        "image_size": SIZE,
        "patch_size": 16,
        "width": 32,
        "layers": 2,
        "head_width": 16,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
HF_CONTEXT_LENGTH = 24
_WORDS = ("a", "photo", "of", "dog", "two", "red", "boats", "at", "dusk", "the", "pier")
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def make_clip_folder(path: Path) -> ModelFolder:
    """A CLIP: vision transformer, causal text transformer, CLIP's own byte-pair tokenizer."""
    torch.manual_seed(0)
    config = {"model_cfg": CLIP_CONFIG, "preprocess_cfg": {"size": SIZE}}
    model = CLIP(**CLIP_CONFIG).eval()
    return save_model(model, config, SimpleTokenizer(), path, card={"licence": "none"})


def make_hf_folder(path: Path) -> ModelFolder:
    """A convolutional image tower from timm, and a BERT with a WordPiece tokenizer."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name, quiet():
        make_bert(Path(name))
        config = hf_config(name)
        parts = {key: value for key, value in config["model_cfg"].items() if key != "custom_text"}
        model = CustomTextCLIP(**parts).eval()
        _spread(model)
        tokenizer = HFTokenizer(name, context_length=HF_CONTEXT_LENGTH)
        return save_model(model, config, tokenizer, path, card={"licence": "none"})


def hf_config(bert: str) -> dict[str, Any]:
    """The configuration of `make_hf_folder`'s model over a BERT in the folder `bert`."""
    return {
        "model_cfg": {
            "embed_dim": DIM,
            "vision_cfg": {
                "timm_model_name": "test_efficientnet",
                "timm_pool": "avg",
                "timm_proj": "mlp",
                "image_size": SIZE,
            },
            "text_cfg": {
                "hf_model_name": bert,
                "hf_tokenizer_name": bert,
                "hf_model_pretrained": False,
                "hf_pooler_type": "mean_pooler",
                "hf_proj_type": "mlp",
                "context_length": HF_CONTEXT_LENGTH,
            },
            "custom_text": True,
        },
        "preprocess_cfg": {"size": SIZE, "resize_mode": "squash", "interpolation": "bilinear"},
    }


def make_bert(path: Path) -> None:
    """Write a BERT's configuration and a tokenizer of words and single characters."""
    characters = string.ascii_lowercase + string.digits + string.punctuation + "写真русκאב☺"
    vocabulary = [*_SPECIAL, *_WORDS, *characters, *(f"##{c}" for c in characters)]
    vocabulary = list(dict.fromkeys(vocabulary))
    ids = {token: number for number, token in enumerate(vocabulary)}
    BertTokenizer(vocab=ids).save_pretrained(path)
    BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=HF_CONTEXT_LENGTH,
        architectures=["BertModel"],
    ).save_pretrained(path)


def _spread(model: torch.nn.Module) -> None:
    # BERT starts with weights so small that all texts get nearly the same embedding.
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("text.") and weight.ndim == 2:
                weight.mul_(10)
