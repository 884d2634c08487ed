"""Write model folders: from an open_clip model in memory, from a pair of the hub, or in place."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import torch

from searchengine.encoders.folder import (
    CARD,
    CONFIG,
    IMAGE_GRAPH,
    TEXT_GRAPH,
    TOKENIZER,
    WEIGHTS,
    ModelFolder,
    compute_fingerprint,
)
from searchengine.encoders.graphs import export_graphs
from searchengine.encoders.names import pulled_folder
from searchengine.encoders.onnx_encoder import OnnxEncoder
from searchengine.encoders.tokenizer_export import difference_on_samples, write_tokenizer
from searchengine.encoders.torch_encoder import (
    TorchEncoder,
    one_line,
    quiet,
    save_weights,
)
from searchengine.errors import ModelError

_CHECK_TEXTS = ("a photo of a dog", "two red boats at dusk, seen from the pier", "café 🙂 naïve")
_CHECK_COSINE = 0.999


def save_model(
    model: Any,
    config: dict[str, Any],
    tokenizer: Any,
    destination: Path,
    *,
    card: dict[str, Any],
    dtype: torch.dtype = torch.float32,
) -> ModelFolder:
    """Write a complete model folder, graphs included; `destination` appears whole or not at all.

    `model` and `tokenizer` are open_clip's; `config` is the content of `open_clip_config.json`
    (`model_cfg`, `preprocess_cfg`). A Hugging Face text tower's own configuration is written
    beside it and named by `"."`. Raises `ModelError`.
    """
    if destination.exists():
        raise ModelError(f"{destination} exists already; choose another folder or remove it first")
    config = copy.deepcopy(config)
    text_config = config["model_cfg"]["text_cfg"]
    with appearing(destination) as folder:
        if "hf_model_name" in text_config:
            model.text.config.to_json_file(folder / "config.json")
            text_config |= {"hf_model_name": ".", "hf_tokenizer_name": "."}
            text_config["hf_model_pretrained"] = False
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_weights(model, folder / WEIGHTS, dtype)
        write_tokenizer(tokenizer, folder, int(text_config.get("context_length") or 77))
        scale = round(float(model.logit_scale.detach().exp()), 3)
        write_card(folder, {"name": destination.name, "logit_scale": scale, **card})
        export_graphs(ModelFolder.open(folder), folder)
        check_agreement(ModelFolder.open(folder))
    return ModelFolder.open(destination)


def export(path: Path) -> ModelFolder:
    """Make the ONNX graphs of an existing open_clip folder; raises `ModelError`."""
    if not (path / CONFIG).is_file() or not (path / WEIGHTS).is_file():
        raise ModelError(f"{path} is no open_clip model folder: it needs {CONFIG} and {WEIGHTS}")
    _ensure_tokenizer(path)
    folder = ModelFolder.open(path)
    with tempfile.TemporaryDirectory(dir=path, prefix=".export-") as name:
        partial = Path(name)
        export_graphs(folder, partial)
        for graph in (IMAGE_GRAPH, TEXT_GRAPH):
            os.replace(partial / graph, path / graph)
    try:
        check_agreement(folder)
    except ModelError:
        for graph in (IMAGE_GRAPH, TEXT_GRAPH):
            (path / graph).unlink()
        raise
    write_card(path, folder.card)
    return ModelFolder.open(path)


def _ensure_tokenizer(path: Path) -> None:
    """Write `tokenizer.json`, unless the one that is there already pads and cuts as open_clip."""
    import open_clip

    try:
        with quiet():
            tokenizer = open_clip.get_tokenizer(f"local-dir:{path}")
    except Exception as error:  # open_clip raises anything
        raise ModelError(f"{path}: open_clip has no tokenizer for it: {one_line(error)}") from error
    if not (path / TOKENIZER).is_file() or difference_on_samples(tokenizer, path) is not None:
        write_tokenizer(tokenizer, path, tokenizer.context_length)


def known_pairs() -> list[str]:
    """Every `ARCH/PRETRAINED` that `pull` can fetch."""
    import open_clip

    return [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]


def spare_retries() -> None:
    """Without a network, let the hub's client look into its cache only, not try for a minute.

    It reads that setting when it is imported.
    """
    hub = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    try:
        getproxies() or socket.getaddrinfo(hub, 443)
    except OSError:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pull(name: str) -> ModelFolder:
    """Fetch an open_clip pair `ARCH/PRETRAINED` and keep it as a model folder.

    PRETRAINED is one of open_clip's tags, or the path of a checkpoint file. Raises `ModelError`
    for unknown names and when the weights cannot be fetched; nothing half-written stays.
    """
    spare_retries()
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    architecture, _, pretrained = name.partition("/")
    if architecture not in open_clip.list_models() or not pretrained:
        raise ModelError(
            f"unknown model {name}: expected ARCH/PRETRAINED such as ViT-B-32/laion2b_s34b_b79k; "
            "`searchengine models list --all` names every pair"
        )
    checkpoint = Path(os.path.expanduser(pretrained))
    tag = get_pretrained_cfg(architecture, pretrained)
    if not tag and not checkpoint.is_file():
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise ModelError(
            f"unknown weights {pretrained} for {architecture}; open_clip knows: {tags}"
        )
    if not tag:
        pretrained, name = str(checkpoint), f"{architecture}/{checkpoint.stem}"
    destination = pulled_folder(name)
    if tag and destination.exists():  # a file of the same name may be another checkpoint
        return ModelFolder.open(destination, name)
    config = open_clip.get_model_config(architecture)
    if tag.get("quick_gelu"):  # the weights say so; open_clip itself only warns
        config["quick_gelu"] = True
    model, tokenizer = _create(architecture, pretrained, config, name)
    licence = tag.get("license", "see its model card")
    full = {"model_cfg": config, "preprocess_cfg": open_clip.get_model_preprocess_cfg(model)}
    card = {"name": name, "licence": licence, "provenance": f"open_clip {name}"}
    save_model(model, full, tokenizer, destination, card=card)
    return ModelFolder.open(destination, name)


def _create(architecture: str, pretrained: str, config: Any, name: str) -> tuple[Any, Any]:
    """open_clip's model with its weights, from the hub or a file, and its tokenizer."""
    import open_clip

    use_quick_gelu = bool(config.get("quick_gelu"))
    try:
        with quiet():
            model = open_clip.create_model(
                architecture, pretrained=pretrained, force_quick_gelu=use_quick_gelu
            )
            return model, open_clip.get_tokenizer(architecture)
    except Exception as error:  # open_clip raises anything
        raise ModelError(
            f"cannot fetch {name}: {one_line(error)}; without a network, copy a model folder from "
            "another machine and name its path with --model"
        ) from error


@contextlib.contextmanager
def appearing(destination: Path) -> Iterator[Path]:
    """A temporary sibling that becomes `destination` when the block succeeds, else vanishes."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".{destination.name}-"))
    try:
        yield partial
        for file in partial.iterdir():
            file.chmod(0o644)  # safetensors and mkdtemp give them to their owner alone
        partial.chmod(0o755)
        os.replace(partial, destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write `model.json`: what is given, the dimension, and the fingerprint of the folder."""
    config = json.loads((folder / CONFIG).read_bytes())
    complete = {
        "name": folder.resolve().name,
        **card,
        "dim": config["model_cfg"]["embed_dim"],
        "fingerprint": compute_fingerprint(folder),
    }
    partial = folder / f".{CARD}.partial"
    partial.write_text(json.dumps(complete, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, folder / CARD)


def check_agreement(folder: ModelFolder) -> None:
    """Both runtimes must give the same embeddings; raises `ModelError` where they do not."""
    reference, graphs = TorchEncoder(folder, "cpu"), OnnxEncoder(folder)
    noise = np.random.default_rng(0).standard_normal((3, *reference.pixel_shape)).astype(np.float32)
    pairs = {
        IMAGE_GRAPH: (reference.encode_images(noise), graphs.encode_images(noise)),
        TEXT_GRAPH: (reference.encode_texts(_CHECK_TEXTS), graphs.encode_texts(_CHECK_TEXTS)),
    }
    for graph, (expected, got) in pairs.items():
        cosine = float(np.sum(expected * got, axis=1).min())
        if not cosine >= _CHECK_COSINE:
            raise ModelError(f"{folder.path / graph}: differs from torch (cosine {cosine:.4f})")
