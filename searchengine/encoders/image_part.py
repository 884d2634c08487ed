"""The image encoder of a two-tower model: a timm model, with weights of its own or none."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from timm.models import load_state_dict
from torch import Tensor, nn

from searchengine.encoders.build import BuildSettings
from searchengine.encoders.torch_encoder import one_line, quiet
from searchengine.errors import ModelError

log = logging.getLogger(__name__)

_UNSAVED = "num_batches_tracked"  # of batch norm: a count that older checkpoints lack
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class ImagePart:
    """A timm model without its classifier, and what is known about it."""

    trunk: Any
    architecture: str
    """What timm makes it of: `NAME` or `NAME.TAG`."""
    preprocess: dict[str, Any]
    """open_clip's `preprocess_cfg`; the whole picture is squashed to its size."""
    has_weights: bool
    licence: str
    origin: str

    def give_weights(self, trunk: Any) -> None:
        """Copy the weights into the trunk of a model; raises `ModelError` where it is another.

        A folder's own `config.json` can change the architecture in ways that a model folder
        cannot keep, so the two must also give the same features.
        """
        if not self.has_weights:
            return
        try:
            trunk.load_state_dict(self.trunk.state_dict())
            expected, got = self._features(self.trunk), self._features(trunk)
        except Exception as error:  # timm raises anything
            raise ModelError(
                f"{self.origin} is no plain {self.architecture}: {one_line(error)}"
            ) from error
        if not torch.allclose(got, expected, atol=_TOLERANCE):
            raise ModelError(
                f"{self.origin} is no plain {self.architecture}: its config.json changes what it "
                "computes, which a model folder cannot keep"
            )

    @torch.inference_mode()
    def _features(self, trunk: Any) -> Tensor:
        size = self.preprocess["size"]
        height, width = (size, size) if isinstance(size, int) else size
        noise = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        features: Tensor = trunk.eval()(noise)
        return features


def image_part(source: str | Path, settings: BuildSettings) -> ImagePart:
    """A timm model by name, or of a folder with timm's `config.json`; raises `ModelError`."""
    weights, is_folder = settings.image_weights, isinstance(source, Path)
    if isinstance(source, str):
        _check_name(source)
    from_source = settings.pretrained and weights is None
    name = f"local-dir:{source}" if is_folder else str(source)
    try:
        with quiet():
            trunk: Any = timm.create_model(name, pretrained=from_source)
            complete = set(trunk.state_dict())
            trunk.reset_classifier(0)
            data = resolve_model_data_config(trunk)  # type: ignore[no-untyped-call]
    except Exception as error:  # timm and the hub's client raise anything
        raise ModelError(
            f"cannot make timm:{source}: {one_line(error).rstrip('.')}; without a network, name a "
            "folder (timm:./FOLDER) or a file (--image-weights), or start with --no-pretrained"
        ) from error
    config = trunk.pretrained_cfg
    if weights is not None:
        _load(trunk, weights, complete - set(trunk.state_dict()))
    return ImagePart(
        trunk=trunk,
        architecture=str(config["architecture"]) if is_folder else str(source),
        preprocess=_preprocess(data, f"timm:{source}"),
        has_weights=from_source or weights is not None,
        licence=_licence(config, settings),
        origin=_origin(source, config, settings),
    )


def _check_name(name: str) -> None:
    architecture, _, tag = name.partition(".")
    known = timm.list_models()
    if architecture not in known:
        near = ", ".join(difflib.get_close_matches(architecture, known)) or "resnet50, for example"
        raise ModelError(
            f"timm has no model {architecture} (a folder is written timm:./FOLDER); it has: {near}"
        )
    tagged = timm.list_pretrained(f"{architecture}.*")
    if tag and name not in tagged:
        raise ModelError(f"timm has no weights {name}; it has: {', '.join(tagged) or 'none'}")


def _preprocess(data: dict[str, Any], origin: str) -> dict[str, Any]:
    channels, height, width = data["input_size"]
    if channels != 3:
        raise ModelError(f"{origin} takes pictures of {channels} channels; 3 are needed")
    bilinear = data["interpolation"] == "bilinear"
    return {
        "size": height if height == width else [height, width],
        "mode": "RGB",
        "mean": list(data["mean"]),
        "std": list(data["std"]),
        "interpolation": "bilinear" if bilinear else "bicubic",
        "resize_mode": "squash",  # a crop would make what lies outside it unfindable
    }


def _licence(config: dict[str, Any], settings: BuildSettings) -> str:
    if settings.image_weights is not None:
        return f"see where {settings.image_weights.name} is from"
    if not settings.pretrained:
        return "none (random weights)"
    return str(config.get("license") or "see its model card")


def _origin(source: str | Path, config: dict[str, Any], settings: BuildSettings) -> str:
    name = source.name if isinstance(source, Path) else source
    if settings.image_weights is not None:
        return f"timm:{name} (weights of {settings.image_weights.name})"
    if not settings.pretrained:
        return f"timm:{name} (random weights)"
    tag = "" if isinstance(source, Path) or "." in name else config.get("tag")
    return f"timm:{name}.{tag}" if tag else f"timm:{name}"


def _load(trunk: nn.Module, path: Path, classifier: set[str]) -> None:
    """Load a checkpoint, with or without the classifier's tensors; raises `ModelError`.

    Where its names are others (of another library's code for the same architecture) tensors are
    matched by order: only when each has the shape and the last part of the name that is expected.
    """
    try:
        with quiet():
            content = load_state_dict(str(path)).items()
        found = {n: t for n, t in content if isinstance(t, Tensor) and not n.endswith(_UNSAVED)}
    except Exception as error:  # torch raises anything on a file that is no checkpoint
        raise ModelError(f"{path}: not a checkpoint: {one_line(error)}") from error
    wanted = {n: t for n, t in trunk.state_dict().items() if not n.endswith(_UNSAVED)}
    has_names = wanted.keys() <= found.keys()
    if has_names:
        names = {name: name for name in wanted}
        extra = sorted(found.keys() - wanted.keys() - classifier)
    else:
        names = _by_order(wanted, found, path)
        extra = list(found)[len(wanted) + len(classifier) :]
    if extra:
        raise ModelError(f"{path} is of another model: it also has {extra[0]}")
    for name, other in names.items():
        got, expected = tuple(found[other].shape), tuple(wanted[name].shape)
        if got != expected:
            raise ModelError(f"{path} is of another model: {other} is {got}, not {expected}")
    trunk.load_state_dict({name: found[other] for name, other in names.items()}, strict=False)
    if not has_names:
        log.warning("%s has other names than timm's; it fits by order and shape", path)


def _by_order(wanted: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> dict[str, str]:
    """Each wanted name with the name of the tensor in its place."""
    missing = next(name for name in wanted if name not in found)
    if path.suffix == ".safetensors":  # keeps its tensors sorted, not in the model's order
        raise ModelError(f"{path} is of another model: it has no {missing}")
    pairs = dict(zip(wanted, found, strict=False))
    for name, other in pairs.items():
        is_elsewhere = name != other and (name in found or other in wanted)
        if is_elsewhere or name.rpartition(".")[2] != other.rpartition(".")[2]:
            raise ModelError(f"{path} is of another model: it has {other} in place of {name}")
    if len(pairs) < len(wanted):
        raise ModelError(f"{path} is of another model: {len(found)} tensors, not {len(wanted)}")
    return pairs
