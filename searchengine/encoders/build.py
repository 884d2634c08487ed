"""Build a two-tower model folder of an image encoder and a text encoder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchengine.encoders.folder import ModelFolder
from searchengine.errors import ModelError

if TYPE_CHECKING:
    from searchengine.encoders.image_part import ImagePart
    from searchengine.encoders.text_part import TextPart

HEADS = ("mlp", "linear")


@dataclass(frozen=True)
class BuildSettings:
    """What can be chosen about a model besides its two encoders."""

    dim: int = 256
    """Of the embedding space that both towers share."""
    head: str = "mlp"
    """`mlp`: projection, GELU, linear, dropout 0.1, skip connection, layer norm; or `linear`: one
    layer without bias, as in CLIP."""
    pooler: str = "mean"
    """A text's vector: the `mean` of its tokens, or the first one (`cls`)."""
    context_length: int | None = None
    """Tokens of a text at most; None is 64, or fewer where the text encoder takes fewer."""
    pretrained: bool = True
    """Whether to take the encoders' weights from the hub or their folders, or random ones."""
    image_weights: Path | None = None
    """A checkpoint file of the image encoder, in place of what the hub or its folder has."""


def build_model(
    image_encoder: str,
    text_encoder: str,
    destination: Path,
    settings: BuildSettings | None = None,
) -> ModelFolder:
    """Write a model folder of `timm:NAME` and `hf:NAME`; a path such as `hf:./folder` is a NAME.

    Both projection heads are untrained, so the model cannot search before it is fine-tuned. The
    same arguments give the same weights. Raises `ModelError`; nothing half-written stays.
    """
    settings = settings or BuildSettings()
    if destination.exists():
        raise ModelError(f"{destination} exists already; choose another folder or remove it first")
    if settings.dim < 1 or settings.head not in HEADS:
        raise ModelError(f"dim must be 1 or more and head one of {', '.join(HEADS)}: {settings}")
    image_source = _source(image_encoder, "timm", "timm:resnet50")
    text_source = _source(text_encoder, "hf", "hf:distilbert-base-uncased")

    from searchengine.encoders.export import save_model, spare_retries

    spare_retries()  # before the hub's client is imported
    from searchengine.encoders.image_part import image_part
    from searchengine.encoders.text_part import text_part

    text = text_part(text_source, settings)
    image = image_part(image_source, settings)
    config = _config(image, text, settings)
    model = _assembled(config, image, text)
    return save_model(
        model, config, text.tokenizer, destination, card=_card(image, text, settings.head)
    )


def _source(encoder: str, scheme: str, example: str) -> str | Path:
    """What `scheme:NAME` names: a folder as a path, anything else as the hub's name for it."""
    found, _, name = encoder.partition(":")
    if found != scheme or not name:
        raise ModelError(f"unknown encoder {encoder!r}: expected {scheme}:NAME such as {example}")
    path = Path(os.path.expanduser(name))
    is_path = name.startswith((".", "~")) or path.is_absolute()
    if is_path and not path.is_dir():
        raise ModelError(f"{encoder}: there is no such folder")
    return path if is_path or ("/" in name and path.is_dir()) else name


def _config(image: ImagePart, text: TextPart, settings: BuildSettings) -> dict[str, Any]:
    """The content of `open_clip_config.json`; `heads` is this engine's own key."""
    # open_clip's own heads of that name are others, so to open_clip an `mlp` folder has none.
    is_linear = settings.head == "linear"
    return {
        "model_cfg": {
            "embed_dim": settings.dim,
            "vision_cfg": {
                "timm_model_name": image.architecture,
                "timm_model_pretrained": False,
                "timm_pool": "",  # the encoder's own
                "timm_proj": "linear" if is_linear else "none",
                "image_size": image.preprocess["size"],
            },
            "text_cfg": {
                "context_length": text.tokenizer.context_length,
                "hf_model_name": text.name,
                "hf_tokenizer_name": text.name,
                "hf_model_pretrained": False,
                "hf_pooler_type": text.pooler,
                "hf_proj_type": "linear" if is_linear else None,
            },
        },
        "preprocess_cfg": image.preprocess,
        "heads": settings.head,
    }


def _assembled(config: dict[str, Any], image: ImagePart, text: TextPart) -> Any:
    """The model with the parts' weights in it and random heads, always the same ones."""
    import torch

    from searchengine.encoders.torch_encoder import one_line, quiet
    from searchengine.encoders.two_tower import assemble

    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = assemble(config, text.config).eval()
    except Exception as error:  # timm and transformers raise anything
        raise ModelError(
            f"cannot join {image.origin} and {text.origin}: {one_line(error)}"
        ) from error
    image.give_weights(model.visual.trunk)
    text.give_weights(model.text)
    return model


def _card(image: ImagePart, text: TextPart, head: str) -> dict[str, Any]:
    return {
        "licence": f"image encoder: {image.licence}; text encoder: {text.licence}",
        "provenance": f"{image.origin} and {text.origin} under untrained {head} heads",
    }
