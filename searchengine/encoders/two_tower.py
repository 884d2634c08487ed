"""Two-tower models of parts: an image encoder of timm, a text encoder of Hugging Face, two heads.

A model folder whose `open_clip_config.json` has a key `heads` beside `model_cfg` is assembled here,
under open_clip's own names of parameters. Only this engine reads a folder with `mlp` heads. One
with `linear` heads is read by plain open_clip too, where that knows the text encoder's kind (BERT,
RoBERTa, XLM-RoBERTa, M2M100) and the image encoder ends with its pooling.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from open_clip.hf_model import ClsLastHiddenStatePooler, HFTextEncoder, MeanPooler
from open_clip.model import CustomTextCLIP
from open_clip.timm_model import TimmModel
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel

from searchengine.errors import ModelError

POOLERS = {"mean": "mean_pooler", "cls": "cls_last_hidden_state_pooler"}
"""How the states of a text's tokens become one vector, and open_clip's name for it."""

_POOLERS = {"mean_pooler": MeanPooler, "cls_last_hidden_state_pooler": ClsLastHiddenStatePooler}
_FIRST_SCALE = 1 / 0.07  # of the logits: CLIP (arXiv 2103.00020), section 2.5


class ResidualHead(nn.Module):
    """(n, width) features to (n, dim): a linear projection, and a layer that adds to it.

    The head of "CLIP and applications: implementation on Flickr8k": linear, GELU, linear,
    dropout, skip connection, layer norm.
    """

    def __init__(self, width: int, dim: int, dropout: float = 0.1):
        super().__init__()
        self.projection = nn.Linear(width, dim)
        self.hidden = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, features: Tensor) -> Tensor:
        """(n, width) to (n, dim), not normalised to length 1."""
        projected = self.projection(features)
        added: Tensor = self.norm(projected + self.dropout(self.hidden(F.gelu(projected))))
        return added


class TextTower(HFTextEncoder):  # type: ignore[misc]  # open_clip has no types
    """open_clip's Hugging Face tower, for every encoder of text and not only for those it lists."""

    def __init__(self, config: Any, pooler: str, head: nn.Module, dim: int):
        """`config` is the encoder's own configuration, `pooler` is open_clip's name."""
        nn.Module.__init__(self)
        if pooler not in _POOLERS:
            raise ModelError(f"unknown hf_pooler_type {pooler!r}; known: {', '.join(_POOLERS)}")
        self.config = config
        self.output_tokens, self.output_dim = False, dim
        self.transformer = make_transformer(AutoModel.from_config, config)
        self.pooler, self.proj = _POOLERS[pooler](), head
        self.vocab_size = getattr(config, "vocab_size", 0)
        self.context_length = getattr(config, "max_position_embeddings", 0)


class TwoTower(CustomTextCLIP):  # type: ignore[misc]
    """open_clip's model over two towers that are made already."""

    def __init__(self, visual: nn.Module, text: TextTower):
        nn.Module.__init__(self)
        self.output_dict = False
        self.visual, self.text = visual, text
        self.vocab_size, self.context_length = text.vocab_size, text.context_length
        self.logit_scale = nn.Parameter(torch.tensor(math.log(_FIRST_SCALE)))
        self.logit_bias = None


def assemble(config: dict[str, Any], text_config: Any) -> TwoTower:
    """A model with random weights, in float32, as the content of `open_clip_config.json` says.

    `text_config` is the text encoder's own configuration. Raises `ModelError`, or what timm and
    transformers raise.
    """
    parts, heads = config["model_cfg"], config["heads"]
    image, text, dim = parts["vision_cfg"], parts["text_cfg"], int(parts["embed_dim"])
    visual = TimmModel(image["timm_model_name"], dim, image["image_size"], image["timm_pool"])
    # Some encoders have a layer after their pooling, which open_clip's own head does not expect.
    width = getattr(visual.trunk, "head_hidden_size", None) or visual.trunk.num_features
    visual.head = _image_head(heads, int(width), dim)
    text_head = _head(heads, text_config.hidden_size, dim)
    tower = TextTower(text_config, text["hf_pooler_type"], text_head, dim)
    model = TwoTower(visual, tower)
    model.float()  # whatever the text encoder's configuration says
    return model


def make_transformer(create: Callable[..., Any], source: Any) -> Any:
    """A text encoder without the pooling layer that some have; of a pair, the encoder.

    `create` is a constructor of transformers' `AutoModel`, `source` what it makes the model of.
    """
    try:
        model = create(source, add_pooling_layer=False)
    except TypeError:  # DistilBERT and others have none to leave out
        model = create(source)
    return model.encoder if model.config.is_encoder_decoder else model


def _image_head(heads: str, width: int, dim: int) -> nn.Module:
    head = _head(heads, width, dim)
    is_linear = isinstance(head, nn.Linear)
    return nn.Sequential(OrderedDict(proj=head)) if is_linear else head  # open_clip's own name


def _head(heads: str, width: int, dim: int) -> nn.Module:
    if heads == "mlp":
        return ResidualHead(width, dim)
    if heads == "linear":
        return nn.Linear(width, dim, bias=False)
    raise ModelError(f"unknown heads {heads!r}: choose mlp or linear")
