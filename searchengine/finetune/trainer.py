"""The training loop: steps, validation, the best checkpoint, and going on where it stopped."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from searchengine.errors import TrainingError
from searchengine.finetune import losses
from searchengine.finetune.batches import Batch, Batches, fitting
from searchengine.finetune.checkpoint import RunFolder
from searchengine.finetune.distributed import World
from searchengine.finetune.gradient_cache import PartwiseEncoding
from searchengine.finetune.parts import Parts
from searchengine.finetune.settings import Settings
from searchengine.finetune.towers import Towers
from searchengine.finetune.validation import Validation

MAX_SCALE = 100.0
_CLIP_NORM = 1.0
_SAVE_SECONDS = 300.0
_PLATEAU_FACTOR, _PLATEAU_PATIENCE = 0.8, 1


@dataclass
class Progress:
    """How far a run has come; all of it is saved and restored."""

    epoch: int = 0
    step: int = 0
    """Steps done in this epoch."""
    loss: float = 0.0
    """Sum over the steps of this epoch."""
    best_recall: float = -1.0
    best_epoch: int = 0
    rate_factor: float = 1.0
    best_loss: float = math.inf
    epochs_above: int = 0
    """Epochs in a row whose validation loss was not the lowest."""
    metrics: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """What a step tells its watcher."""

    done: int
    total: int
    epoch: int
    loss: float
    rate: float
    """The highest learning rate of the moment."""
    images_per_second: float


Watch = Callable[[Step], None]
WatchEpoch = Callable[[dict[str, Any]], None]


class Trainer:
    """Trains the chosen parts of a model on batches; see `run`."""

    def __init__(
        self,
        towers: Towers,
        settings: Settings,
        batches: Batches,
        validation: Validation,
        folder: RunFolder,
        world: World = World(),  # noqa: B008
    ):
        self.towers, self.settings, self.world = towers, settings, world
        self.batches, self.validation, self.folder = batches, validation, folder
        self.parts = Parts(towers.model, settings)
        towers.model = self.parts.model
        self.progress = Progress()
        self._scale, self._bias = _scale_and_bias(towers.model, settings)
        groups = self.parts.groups()
        if self._bias is not towers.model.logit_bias:
            groups.append({"params": [self._bias], "lr": settings.head_rate, "weight_decay": 0.0})
        self._optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._total = len(batches) * settings.epochs

    def run(
        self, watch: Watch, watch_epoch: WatchEpoch, stop: threading.Event | None = None
    ) -> bool:
        """Train to the end, or until there is no progress; False when `stop` was set before.

        Raises `TrainingError` for a loss that is not finite, and when memory runs out; the best
        checkpoint and the state to go on from are kept.
        """
        stop = stop or threading.Event()
        saved = time.monotonic()
        while self.progress.epoch < self.settings.epochs and not self._is_stuck():
            for step in self._steps():
                watch(step)
                if self.world.agree(stop.is_set()):
                    self._save()
                    return False
                if time.monotonic() - saved > _SAVE_SECONDS:
                    self._save()
                    saved = time.monotonic()
            watch_epoch(self._end_epoch())
            self._save()
            saved = time.monotonic()
        return True

    def resume(self) -> None:
        """Go on from the state that was saved last, if there is one."""
        state = self.folder.load_state(self.towers.device)
        if state is None:
            return
        self.towers.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._bias.data.copy_(state["bias"])
        torch.set_rng_state(state["random"].cpu())
        self.progress = Progress(**state["progress"])

    def _save(self) -> None:
        if self.world.rank == 0:
            self.folder.save_state(
                {
                    "model": self.towers.model.state_dict(),
                    "optimizer": self._optimizer.state_dict(),
                    "bias": self._bias.detach(),
                    "random": torch.get_rng_state(),
                    "progress": asdict(self.progress),
                }
            )

    # --- a step ---

    def _steps(self) -> Iterator[Step]:
        """The rest of the epoch."""
        epoch, began = self.progress.epoch, time.monotonic()
        seen = 0
        self.parts.train()
        for batch in self.batches.epoch(epoch, self.progress.step):
            self._set_rates()
            loss = self._advance(batch)
            self.progress.step += 1
            self.progress.loss += loss
            seen += self.batches.size
            yield Step(
                done=epoch * len(self.batches) + self.progress.step,
                total=self._total,
                epoch=epoch + 1,
                loss=loss,
                rate=self._highest_rate(),
                images_per_second=seen / (time.monotonic() - began),
            )

    def _advance(self, batch: Batch) -> float:
        """One step of the optimizer; returns the loss."""
        try:
            loss = self._gradients(batch)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in epoch {self.progress.epoch + 1}, step "
                    f"{self.progress.step + 1}: start again with lower rates (image "
                    f"{self._highest_rate():g} at most now){self._kept()}"
                )
            nn.utils.clip_grad_norm_(self._parameters(), _CLIP_NORM)
            self._optimizer.step()
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            half = max(1, self.settings.micro_batch // 2)
            raise TrainingError(
                f"out of memory with a micro-batch of {self.settings.micro_batch}; start again "
                f"with --micro-batch {half}{self._kept()}"
            ) from error
        with torch.no_grad():
            self._scale.clamp_(max=math.log(MAX_SCALE))
        return loss

    def _gradients(self, batch: Batch) -> float:
        """Put the gradients of the batch's loss into the parameters."""
        self._optimizer.zero_grad()
        device = self.towers.device
        tokens, row = self.towers.tokenize(batch.texts, self.settings.micro_batch)
        cached = len(batch.pixels) > 1
        images = PartwiseEncoding(
            self.towers.encode_images,
            batch.pixels,
            device,
            trained=self.parts.trains_images,
            cached=cached,
        )
        texts = PartwiseEncoding(
            self.towers.encode_tokens,
            tokens,
            device,
            trained=self.parts.trains_texts,
            cached=cached,
        )
        known = self.world.gather_lists(batch.known)
        fits = fitting(self.world.gather_lists(batch.texts), known).to(device)
        loss = self._loss(
            self.world.gather(images.embeddings), self.world.gather(texts.embeddings[row]), fits
        )
        torch.autograd.backward(loss)
        images.backward()
        texts.backward()
        # Every process has the gradients of the whole loss for scale and bias already.
        shared = {id(self._scale), id(self._bias)}
        self.world.sum_gradients(p for p in self._parameters() if id(p) not in shared)
        return float(loss.detach())

    def _loss(self, images: Tensor, texts: Tensor, fits: Tensor) -> Tensor:
        if self.settings.loss == "soft":
            return losses.soft_targets(images, texts, fits)
        scale = self._scale.exp()
        if self.settings.loss == "sigmoid":
            return losses.sigmoid(images, texts, fits, scale, self._bias)
        return losses.info_nce(images, texts, fits, scale)

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self._optimizer.param_groups for p in group["params"]]

    def _set_rates(self) -> None:
        done = self.progress.epoch * len(self.batches) + self.progress.step
        factor = rate_factor(done, self._total, self.settings) * self.progress.rate_factor
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _highest_rate(self) -> float:
        """Of the weights; the scale has one of its own."""
        own = {id(self._scale), id(self._bias)}
        groups = self._optimizer.param_groups
        weights = [g["lr"] for g in groups if not own.issuperset(map(id, g["params"]))]
        return float(max(weights, default=groups[0]["lr"]))

    # --- an epoch ---

    def _end_epoch(self) -> dict[str, Any]:
        """Validate, keep the best, and move on; returns the epoch's metrics."""
        progress, epoch = self.progress, self.progress.epoch + 1
        self.towers.model.eval()
        found = None
        if self.world.rank == 0:
            with torch.no_grad():
                found = self.validation.measure(self.towers, self._loss)
        found = self.world.agree(found)
        if found is None:
            raise RuntimeError("the first process measured nothing")
        row = {
            "epoch": epoch,
            "loss": round(progress.loss / max(1, progress.step), 6),
            "validation_loss": round(found.loss, 6),
            "rate": self._highest_rate(),
            "scale": round(float(self._scale.detach().exp()), 3),
            **found.recall.as_json(),
        }
        progress.metrics.append(row)
        if found.recall.mean_recall > progress.best_recall:
            progress.best_recall, progress.best_epoch = found.recall.mean_recall, epoch
            if self.world.rank == 0:
                self.folder.save_best(self.towers.folder, self.parts.merged())
        self._watch_plateau(found.loss)
        progress.epoch, progress.step, progress.loss = epoch, 0, 0.0
        if self.world.rank == 0:
            self.folder.write_metrics(progress.metrics)
        return row

    def _watch_plateau(self, loss: float) -> None:
        progress = self.progress
        if loss < progress.best_loss:
            progress.best_loss, progress.epochs_above = loss, 0
        else:
            progress.epochs_above += 1
        if self.settings.schedule == "plateau" and progress.epochs_above > _PLATEAU_PATIENCE:
            progress.rate_factor *= _PLATEAU_FACTOR
            progress.epochs_above = 0

    def _is_stuck(self) -> bool:
        patience = self.settings.patience
        return bool(patience) and self.progress.epoch - self.progress.best_epoch >= patience

    def _kept(self) -> str:
        if not self.folder.best.exists():
            return f"; remove {self.folder.path} first"
        return f", or from the best checkpoint so far: --model {self.folder.best}"


def rate_factor(done: int, total: int, settings: Settings) -> float:
    """What the rates are multiplied by after `done` of `total` steps: linear warm-up, cosine."""
    warm_up = round(settings.warm_up * total)
    if done < warm_up:
        return (done + 1) / (warm_up + 1)
    if settings.schedule == "plateau":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * (done - warm_up) / max(1, total - warm_up))


def _scale_and_bias(model: Any, settings: Settings) -> tuple[nn.Parameter, nn.Parameter]:
    """The model's log inverse temperature, and its bias or one of our own.

    A model without a bias starts SigLIP's loss from that paper's values: scale 10, bias -10.
    """
    scale, bias = model.logit_scale, getattr(model, "logit_bias", None)
    if bias is None:
        bias = nn.Parameter(torch.full_like(scale.detach(), -10.0))
        if settings.loss == "sigmoid":
            scale.data.fill_(math.log(10.0))
    return scale, bias


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
    )
