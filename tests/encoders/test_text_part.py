"""Hugging Face text encoders: whole, or refused in a sentence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, DistilBertConfig, GPT2Config, RobertaConfig, ViTConfig

from searchengine.encoders.build import BuildSettings, build_model
from tests.encoders.helpers import model_error
from tests.encoders.parts import RANDOM, WIDTH, Saved, make_distilbert, make_timm
from tests.models import make_bert

TINY = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def folder_of(kind: str, distilbert: Path, path: Path) -> Path:
    """A text encoder's folder with something wrong in it."""
    shutil.copytree(distilbert, path)
    if kind == "no weights":
        (path / "model.safetensors").unlink()
    elif kind == "incomplete weights":
        state = load_file(path / "model.safetensors")
        del state["transformer.layer.1.ffn.lin1.weight"]
        save_file(state, path / "model.safetensors", metadata={"format": "pt"})
    elif kind == "no tokenizer":
        for file in path.glob("tokenizer*"):
            file.unlink()
    elif kind == "no configuration":
        (path / "config.json").unlink()
    elif kind == "few words":
        DistilBertConfig(vocab_size=9, dim=WIDTH, n_layers=1, n_heads=2).save_pretrained(path)
    elif kind == "no text":
        ViTConfig().save_pretrained(path)
    elif kind == "no padding":
        file = path / "tokenizer_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token": None}))
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("no weights", "--no-pretrained"),
        ("incomplete weights", "lack 1 tensors, such as transformer.layer.1.ffn.lin1.weight"),
        ("no tokenizer", "no tokenizer"),
        ("no configuration", "cannot make"),
        ("few words", "tokens but its model 9"),
        ("no text", "no text encoder but vit"),
        ("no padding", "no padding token"),
    ],
)
def test_text_encoder_that_cannot_be_used(
    kind: str, says: str, distilbert: Path, resnet: Path, tmp_path: Path
) -> None:
    path = folder_of(kind, distilbert, tmp_path / "text")
    settings = BuildSettings(pretrained="weights" in kind)
    with model_error(f"hf:{path}", says):
        build_model(f"timm:{resnet}", f"hf:{path}", tmp_path / "new", settings)
    assert not (tmp_path / "new").exists()


def test_half_precision_is_widened(tmp_path: Path, unsaved: Saved) -> None:
    source = make_distilbert(tmp_path / "half", dtype=torch.float16)
    make_timm(tmp_path / "own")
    build_model(f"timm:{tmp_path / 'own'}", f"hf:{source}", tmp_path / "new", BuildSettings())
    ((model, _, _),) = unsaved
    stored = load_file(source / "model.safetensors")
    for name, tensor in model.text.transformer.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, stored[name].float())


@pytest.mark.parametrize(("chosen", "length"), [(None, 64), (100, 100)])
def test_context_length(
    chosen: int | None, length: int, distilbert: Path, tmp_path: Path, unsaved: Saved
) -> None:
    settings = replace(RANDOM, context_length=chosen)
    build_model("timm:test_resnet", f"hf:{distilbert}", tmp_path / "new", settings)
    ((_, config, _),) = unsaved
    assert config["model_cfg"]["text_cfg"]["context_length"] == length


def test_short_encoder_and_short_default(tmp_path: Path, unsaved: Saved) -> None:
    make_bert(tmp_path / "bert")
    build_model("timm:test_resnet", f"hf:{tmp_path / 'bert'}", tmp_path / "new", RANDOM)
    ((_, config, _),) = unsaved
    assert config["model_cfg"]["text_cfg"]["context_length"] == 24


def test_positions_that_are_fewer_than_they_say(tmp_path: Path) -> None:
    """RoBERTa's first positions are never used, so it takes fewer tokens than it has."""
    make_bert(tmp_path / "text")
    vocabulary = BertConfig.from_pretrained(tmp_path / "text").vocab_size
    RobertaConfig(
        vocab_size=vocabulary, hidden_size=WIDTH, max_position_embeddings=24, **TINY
    ).save_pretrained(tmp_path / "text")
    with model_error("cannot encode a text of 24 tokens"):
        build_model("timm:test_resnet", f"hf:{tmp_path / 'text'}", tmp_path / "new", RANDOM)


def test_padding_is_the_tokenizers(tmp_path: Path, unsaved: Saved) -> None:
    """GPT-2's configuration names none."""
    make_bert(tmp_path / "text")
    vocabulary = BertConfig.from_pretrained(tmp_path / "text").vocab_size
    GPT2Config(vocab_size=vocabulary, n_embd=WIDTH, n_layer=1, n_head=2).save_pretrained(
        tmp_path / "text"
    )
    build_model("timm:test_resnet", f"hf:{tmp_path / 'text'}", tmp_path / "new", RANDOM)
    ((model, _, _),) = unsaved
    assert model.text.config.pad_token_id == 0
