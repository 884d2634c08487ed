"""What a training run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from searchengine.errors import TrainingError

Trained = Literal["all", "image", "text", "heads", "lora"]
Loss = Literal["infonce", "soft", "sigmoid"]
Schedule = Literal["cosine", "plateau"]

TRAINED, LOSSES, SCHEDULES = get_args(Trained), get_args(Loss), get_args(Schedule)


@dataclass(frozen=True)
class Settings:
    """A training run. Rates are AdamW's; a rate of 0 leaves that part as it is."""

    train: Trained = "all"
    """`all` of the model; the `image` or the `text` tower, the other one locked (LiT, arXiv
    2111.07991, locks the image tower); the projection `heads`; or `lora`, low-rank additions to
    both towers (arXiv 2106.09685)."""
    loss: Loss = "infonce"
    epochs: int = 10
    batch_size: int = 128
    """Images whose captions are contrasted with each other."""
    micro_batch: int = 64
    """Images in memory at a time; a larger batch is put together by gradient caching."""
    captions_per_image: int = 1
    """How many captions of an image a batch holds, at most."""
    image_rate: float | None = None
    """None: 2e-5 for a transformer, 3e-4 for a convolutional network."""
    text_rate: float | None = None
    head_rate: float = 3e-4
    weight_decay: float = 0.05
    schedule: Schedule = "cosine"
    """`cosine` to zero, or `plateau`: times 0.8 when the validation loss has not fallen for two
    epochs."""
    warm_up: float = 0.05
    """Part of the run in which the rates rise from zero."""
    crop: float = 0.6
    """The smallest part of a picture's area that a random crop keeps; 1 turns cropping off."""
    mirror: bool = False
    """Mirror every other picture; not for captions that say left or right."""
    patience: int = 5
    """Epochs without a better validation recall before the run ends; 0 never ends it."""
    lora_rank: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        rates = (self.image_rate or 0, self.text_rate or 0, self.head_rate, self.weight_decay)
        wrong = [
            (self.train not in TRAINED, f"train must be one of {', '.join(TRAINED)}"),
            (self.loss not in LOSSES, f"loss must be one of {', '.join(LOSSES)}"),
            (self.schedule not in SCHEDULES, f"schedule must be one of {', '.join(SCHEDULES)}"),
            (self.epochs < 1, "epochs must be at least 1"),
            (self.batch_size < 2, "the batch size must be at least 2: pairs are told apart"),
            (self.micro_batch < 1, "the micro-batch must be at least 1"),
            (self.captions_per_image < 1, "captions per image must be at least 1"),
            (not all(0 <= rate < float("inf") for rate in rates), "rates must not be negative"),
            (not 0 <= self.warm_up < 1, "the warm-up must be in [0, 1)"),
            (not 0 < self.crop <= 1, "the crop must be in (0, 1]"),
            (self.patience < 0, "the patience must not be negative"),
            (self.lora_rank < 1, "the LoRA rank must be at least 1"),
        ]
        for is_wrong, message in wrong:
            if is_wrong:
                raise TrainingError(message)
