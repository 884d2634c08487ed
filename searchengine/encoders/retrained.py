"""Model folders with the weights of a training run, in the shape of the one it began with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from searchengine.encoders.export import appearing, check_agreement, write_card
from searchengine.encoders.folder import CARD, IMAGE_GRAPH, TEXT_GRAPH, WEIGHTS, ModelFolder
from searchengine.encoders.graphs import export_graphs
from searchengine.encoders.torch_encoder import save_state

_OWN = (CARD, IMAGE_GRAPH, TEXT_GRAPH, WEIGHTS)  # what is not taken over from the other folder
_CONFIGURATION = (".json", ".txt", ".model")


def save_weights_like(source: ModelFolder, state: dict[str, Any], destination: Path) -> None:
    """Write a model folder without graphs: the configuration of `source`, the tensors of `state`.

    Floating-point tensors are stored in half precision where `source` stores them so.
    """
    destination.mkdir(parents=True)
    for file in source.path.iterdir():
        if file.is_file() and file.suffix in _CONFIGURATION and file.name not in _OWN:
            shutil.copyfile(file, destination / file.name)
    save_state(state, destination / WEIGHTS, _precision(source.path / WEIGHTS))
    card = {key: value for key, value in source.card.items() if key not in ("name", "fingerprint")}
    (destination / CARD).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def save_retrained(
    source: ModelFolder,
    state: dict[str, Any],
    destination: Path,
    card: dict[str, Any],
    extra: dict[str, bytes],
) -> ModelFolder:
    """Write a complete model folder, graphs included; it appears whole or not at all.

    `card` is added to what the card of `source` says; `extra` are further files by name. Raises
    `ModelError`.
    """
    with appearing(destination) as folder:
        partial = folder / "model"
        save_weights_like(source, state, partial)
        for file in partial.iterdir():
            file.rename(folder / file.name)
        partial.rmdir()
        for name, content in extra.items():
            (folder / name).write_bytes(content)
        kept = json.loads((folder / CARD).read_bytes())
        scale = {"logit_scale": round(float(state["logit_scale"].exp()), 3)}
        write_card(folder, {**kept, **scale, "name": destination.name, **card})
        export_graphs(ModelFolder.open(folder), folder)
        check_agreement(ModelFolder.open(folder))
    return ModelFolder.open(destination)


def _precision(weights: Path) -> torch.dtype:
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return torch.float16 if "F16" in kinds and "F32" not in kinds else torch.float32
