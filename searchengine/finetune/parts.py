"""What of a model is trained, and at which rate."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from torch import nn

from searchengine.errors import TrainingError
from searchengine.finetune.settings import Settings

TRANSFORMER_RATE, CONVOLUTION_RATE = 2e-5, 3e-4
SCALE_FACTOR = 10.0  # of the heads' rate: one number, that has to grow with what is learned
_IMAGE_HEADS = ("visual.head.", "visual.proj", "visual.attnpool.", "visual.trunk.attn_pool.")
_TEXT_HEADS = ("text.proj", "text.text_projection", "text_projection")
_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
_PEFT_PREFIX = "base_model.model."


class Parts:
    """The parts of an open_clip model: two trunks, two heads, and the scale of the loss."""

    def __init__(self, model: Any, settings: Settings):
        """Mark what is trained; with LoRA, `self.model` is the model with its additions."""
        self.settings = settings
        self.model = _with_lora(model, settings.lora_rank) if settings.train == "lora" else model
        self._convolutional = any(isinstance(m, _NORMS) for m in self.model.visual.modules())
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.rate(name) > 0)
        if not any("logit_" not in name for name in self._trained()):
            raise TrainingError("nothing is trained: every rate is 0")
        # Statistics learned on more images than these are kept; those of a model that was never
        # trained are learned now.
        self._fixed = [
            module
            for module in self.model.modules()
            if isinstance(module, _NORMS) and not _is_untrained(module)
        ]

    @property
    def trains_images(self) -> bool:
        """Whether anything of the image tower is trained."""
        return any(parameter.requires_grad for parameter in self.model.visual.parameters())

    @property
    def trains_texts(self) -> bool:
        """Whether anything of the text tower is trained."""
        return any("visual." not in n and "logit_" not in n for n in self._trained())

    def train(self) -> None:
        """Training mode, but for batch statistics to keep and for what is locked."""
        self.model.train()
        for module in (*self._fixed, *self._locked()):
            module.eval()

    def groups(self) -> list[dict[str, Any]]:
        """AdamW's parameter groups: no weight decay for biases, norms and the scale."""
        found: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self._trained().items():
            decay = self.settings.weight_decay if parameter.ndim > 1 else 0.0
            found.setdefault((self.rate(name), decay), []).append(parameter)
        return [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in found.items()
        ]

    def merged(self) -> dict[str, Any]:
        """The state dict of the plain model, LoRA's additions multiplied out."""
        if self.settings.train == "lora":
            return dict(copy.deepcopy(self.model).merge_and_unload().state_dict())
        return dict(self.model.state_dict())

    def rate(self, name: str) -> float:
        """The learning rate of the parameter `name`; 0 where it is not trained."""
        name, train = name.removeprefix(_PEFT_PREFIX), self.settings.train
        if name in ("logit_scale", "logit_bias"):
            return SCALE_FACTOR * self.settings.head_rate
        tower = "image" if name.startswith("visual.") else "text"
        if train in ("image", "text") and train != tower:
            return 0.0
        if name.startswith((*_IMAGE_HEADS, *_TEXT_HEADS)):
            return self.settings.head_rate
        if train == "heads" or (train == "lora" and "lora_" not in name):
            return 0.0
        given = self.settings.image_rate if tower == "image" else self.settings.text_rate
        if given is not None:
            return given
        convolutional = tower == "image" and self._convolutional
        return CONVOLUTION_RATE if convolutional else TRANSFORMER_RATE

    def _trained(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def _locked(self) -> Iterator[nn.Module]:
        """The outermost modules of which nothing is trained: no dropout there, as in use."""
        waiting = list(self.model.children())
        while waiting:
            module = waiting.pop()
            parameters = list(module.parameters())
            if any(parameter.requires_grad for parameter in parameters):
                waiting += module.children()
            elif parameters:
                yield module


def _is_untrained(module: nn.BatchNorm2d | nn.SyncBatchNorm) -> bool:
    mean, variance = module.running_mean, module.running_var
    return mean is None or variance is None or bool((mean == 0).all() and (variance == 1).all())


def _with_lora(model: Any, rank: int) -> Any:
    """Low-rank additions (arXiv 2106.09685) to the matrices of both trunks; heads train whole."""
    from peft import LoraConfig, get_peft_model

    targets = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.MultiheadAttention | nn.Conv2d)
        and not isinstance(module, nn.modules.linear.NonDynamicallyQuantizableLinear)
        and getattr(module, "groups", 1) == 1
        and not name.startswith((*_IMAGE_HEADS, *_TEXT_HEADS))
    ]
    return get_peft_model(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets))
