"""A whole run: a model folder and captioned images in, another model folder out."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from searchengine import encoders
from searchengine.encoders.folder import WEIGHTS, ModelFolder
from searchengine.encoders.reference import TEXTS, calibrate, extended
from searchengine.encoders.retrained import save_retrained
from searchengine.errors import TrainingError
from searchengine.finetune import report
from searchengine.finetune.batches import Batches
from searchengine.finetune.checkpoint import METRICS, SETTINGS, RunFolder
from searchengine.finetune.distributed import World
from searchengine.finetune.settings import Settings
from searchengine.finetune.towers import Towers
from searchengine.finetune.trainer import Trainer, Watch, WatchEpoch
from searchengine.finetune.validation import Validation
from searchengine.finetune.wise_ft import ALPHAS, Mixture, choose, interpolate
from searchengine.types import CaptionedImage

CURVES, CARD_PAGE = "curves.png", "README.md"


@dataclass(frozen=True)
class Data:
    """Images to train on, to validate on, and general photographs to keep recall on."""

    train: Sequence[CaptionedImage]
    validation: Sequence[CaptionedImage]
    general: Sequence[CaptionedImage] = ()


@dataclass(frozen=True)
class Watchers:
    """Who is told of every step, of every epoch, and of every point of the WiSE-FT line."""

    step: Watch = lambda step: None
    epoch: WatchEpoch = lambda row: None
    mixture: Callable[[Mixture], None] = lambda mixture: None


@dataclass(frozen=True)
class Outcome:
    """The new model folder, and recall before and after."""

    folder: ModelFolder
    rows: list[report.Row]
    chosen: Mixture
    metrics: list[dict[str, Any]]
    broken: dict[str, str] = field(default_factory=dict)
    """Pictures that could not be read, and why."""


class Run:
    """Fine-tuning of one model; `train` and then `finish`."""

    def __init__(
        self,
        source: ModelFolder,
        data: Data,
        out: Path,
        settings: Settings,
        device: str,
        world: World | None = None,
    ):
        """Load the model; raises `TrainingError`, `ModelError`."""
        if out.exists():
            raise TrainingError(f"{out} exists already; choose another --out or remove it first")
        report.require("matplotlib", "finetune")
        if settings.train == "lora":
            report.require("peft", "--train lora")
        if len(data.train) < 2:
            raise TrainingError(
                f"{len(data.train)} images are left to train on, beside those to validate on; "
                "at least two are needed"
            )
        self.source, self.data, self.out, self.settings = source, data, out, settings
        self.device = device
        self.folder = RunFolder(out)
        self.world = world or World()
        if settings.batch_size % self.world.size:
            raise TrainingError(
                f"a batch of {settings.batch_size} cannot be shared by {self.world.size} processes"
            )
        torch.manual_seed(settings.seed + self.world.rank)
        self.towers = Towers(source, device)
        self.batches = Batches(
            data.train, self.towers.preprocess, settings, self.world.rank, self.world.size
        )
        self.validation = Validation(data.validation, settings.batch_size)
        self.general = Validation(data.general, settings.batch_size)

    def train(
        self, watchers: Watchers, *, resume: bool = False, stop: threading.Event | None = None
    ) -> bool:
        """Train until the end; False when `stop` was set, to be gone on with by `resume`.

        Raises `TrainingError` when it cannot go on; what is best so far stays in `OUT.training`.
        """
        facts = {
            "model": self.source.spec.fingerprint,
            "training_images": len(self.data.train),
            "validation_images": len(self.data.validation),
        }
        if self.world.rank == 0:
            self.folder.begin(self.settings, facts, resume=resume)
        trainer = Trainer(
            self.towers, self.settings, self.batches, self.validation, self.folder, self.world
        )
        if resume:
            trainer.resume()
        done = trainer.run(watchers.step, watchers.epoch, stop)
        self.metrics = trainer.progress.metrics
        return done

    def finish(self, watchers: Watchers, wise_ft: float | None, *, sweep: bool = False) -> Outcome:
        """Write the model folder of the best epoch, or of a point on the way to it.

        `wise_ft` is that point in [0, 1]; with `sweep` it is chosen on the validation images (see
        `wise_ft.choose`). Raises `ModelError` where the new model cannot be exported.
        """
        self.towers = Towers(self.source, self.device)
        before = {name: tensor.clone() for name, tensor in self.towers.model.state_dict().items()}
        after = load_file(self.folder.best / WEIGHTS)
        after = {name: after[name].to(tensor) for name, tensor in before.items()}
        alphas = ALPHAS if sweep else (0.0, 1.0 if wise_ft is None else wise_ft)
        mixtures = []
        for alpha in dict.fromkeys(alphas):
            mixtures.append(self._measure(interpolate(before, after, alpha), alpha))
            watchers.mixture(mixtures[-1])
        chosen = choose(mixtures) if sweep else mixtures[-1]
        rows = self._rows(mixtures[0], chosen)
        folder = save_retrained(
            self.source,
            interpolate(before, after, chosen.alpha),
            self.out,
            self._card(chosen),
            self._files(rows, chosen),
        )
        if self._has_references:
            calibrate(folder, encoders.load(folder, "cpu"))
        self.folder.remove()
        broken = self.batches.broken | self.validation.broken | self.general.broken
        return Outcome(folder, rows, chosen, self.metrics, broken)

    @property
    def _has_references(self) -> bool:
        return (self.source.path / TEXTS).is_file()

    def _measure(self, weights: dict[str, Any], alpha: float) -> Mixture:
        self.towers.model.load_state_dict(weights)
        self.towers.model.eval()
        with torch.no_grad():
            domain = self.validation.recall(self.towers)
            general = self.general.recall(self.towers) if self.data.general else None
        return Mixture(alpha, domain, general)

    def _rows(self, before: Mixture, after: Mixture) -> list[report.Row]:
        rows: list[report.Row] = [("validation", before.domain, after.domain)]
        if before.general and after.general:
            rows.append(("general", before.general, after.general))
        return rows

    def _card(self, chosen: Mixture) -> dict[str, Any]:
        return {
            "provenance": f"{self.source.name}, fine-tuned on {len(self.data.train)} images",
            "finetuned": {
                "from": self.source.spec.fingerprint,
                "wise_ft": chosen.alpha,
                **asdict(self.settings),
            },
        }

    def _files(self, rows: list[report.Row], chosen: Mixture) -> dict[str, bytes]:
        """What lies in the model folder besides the model."""
        page = report.model_card(
            self.out.name, self.source.name, self.settings, rows, chosen, len(self.data.train)
        )
        references = {}
        if self._has_references:
            captions = [image.captions for image in self.data.train]
            references[TEXTS] = extended(self.source, captions)
        return references | {
            CARD_PAGE: page.encode(),
            CURVES: report.draw_curves(self.metrics),
            METRICS: "".join(json.dumps(row) + "\n" for row in self.metrics).encode(),
            SETTINGS: (self.folder.path / SETTINGS).read_bytes(),
        }
