"""The loop learns, stops where it should, and goes on bit for bit."""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from searchengine.encoders import ModelFolder
from searchengine.errors import TrainingError
from searchengine.finetune.batches import Batches
from searchengine.finetune.checkpoint import RunFolder
from searchengine.finetune.settings import Settings
from searchengine.finetune.towers import Towers
from searchengine.finetune.trainer import Step, Trainer, rate_factor
from searchengine.finetune.validation import Validation
from searchengine.types import CaptionedImage

SETTINGS = Settings(
    epochs=3, batch_size=4, micro_batch=4, image_rate=1e-3, text_rate=1e-3, head_rate=1e-2
)
Captioned = list[CaptionedImage]


def trainer(
    folder: ModelFolder,
    captioned: Captioned,
    out: Path,
    settings: Settings,
    *,
    resume: bool = False,
) -> Trainer:
    torch.manual_seed(settings.seed)
    towers = Towers(folder, "cpu")
    batches = Batches(captioned[:12], towers.preprocess, settings)
    run_folder = RunFolder(out)
    run_folder.begin(settings, {}, resume=resume)
    validation = Validation(captioned[12:], settings.batch_size)
    made = Trainer(towers, settings, batches, validation, run_folder)
    if resume:
        made.resume()
    return made


def run(made: Trainer, stop_after: int = 0) -> list[Step]:
    """Train; with `stop_after`, ask it to stop after so many steps."""
    stop, steps = threading.Event(), []

    def watch(step: Step) -> None:
        steps.append(step)
        if len(steps) == stop_after:
            stop.set()

    assert made.run(watch, lambda row: None, stop) is not bool(stop_after)
    return steps


def weights(made: Trainer) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in made.towers.model.state_dict().items()}


def test_it_learns_the_names_of_colours(
    hf_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    settings = replace(SETTINGS, epochs=12, patience=0, captions_per_image=2)
    made = trainer(hf_folder, colours, out, settings)
    steps = run(made)
    assert [step.done for step in steps] == list(range(1, 37))
    first, last = made.progress.metrics[0], made.progress.metrics[-1]
    assert last["loss"] < 0.7 * first["loss"]
    assert made.folder.best.is_dir()
    assert len(made.progress.metrics) == 12


@pytest.mark.parametrize("train", ["all", "lora"])
@pytest.mark.parametrize("stop_after", [1, 3, 5])
def test_going_on_after_a_stop_gives_the_same_bits(
    hf_folder: ModelFolder, colours: Captioned, tmp_path: Path, stop_after: int, train: Any
) -> None:
    settings = replace(SETTINGS, epochs=2, train=train)
    whole = trainer(hf_folder, colours, tmp_path / "whole", settings)
    run(whole)
    run(trainer(hf_folder, colours, tmp_path / "parts", settings), stop_after)
    torch.manual_seed(99)  # what else the process drew must not matter
    parts = trainer(hf_folder, colours, tmp_path / "parts", settings, resume=True)
    run(parts)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(parts)[name]), name
    assert whole.progress == parts.progress


def test_a_micro_batch_changes_memory_and_not_the_step(
    clip_folder: ModelFolder, colours: Captioned, tmp_path: Path
) -> None:
    losses = []
    for micro_batch in (12, 5, 1):
        settings = replace(SETTINGS, batch_size=12, micro_batch=micro_batch)
        made = trainer(clip_folder, colours, tmp_path / str(micro_batch), settings)
        losses.append([step.loss for step in run(made)])
    for cached in losses[1:]:
        assert cached == pytest.approx(losses[0], rel=1e-2)
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-4)


@pytest.mark.parametrize("loss", ["soft", "sigmoid"])
def test_the_other_losses_train_too(
    clip_folder: ModelFolder, colours: Captioned, out: Path, loss: Any
) -> None:
    made = trainer(clip_folder, colours, out, replace(SETTINGS, epochs=6, patience=0, loss=loss))
    run(made)
    losses = [row["loss"] for row in made.progress.metrics]
    assert losses[-1] < losses[0]


def test_a_locked_tower_keeps_every_bit(
    hf_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    made = trainer(hf_folder, colours, out, replace(SETTINGS, train="text"))
    before = weights(made)
    run(made)
    for name, value in weights(made).items():
        assert (
            torch.equal(value, before[name])
            is (name.startswith("visual.") or "position_ids" in name or "token_type" in name)
            or "text" in name
        )


def test_the_temperature_stays_below_its_bound(
    clip_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    made = trainer(clip_folder, colours, out, replace(SETTINGS, head_rate=5.0, image_rate=0))
    made.towers.model.logit_scale.data.fill_(4.6)
    run(made)
    assert all(row["scale"] <= 100.001 for row in made.progress.metrics)


def test_no_better_recall_ends_it(clip_folder: ModelFolder, colours: Captioned, out: Path) -> None:
    tiny = replace(SETTINGS, epochs=9, patience=2, image_rate=1e-12, text_rate=0, head_rate=1e-12)
    made = trainer(clip_folder, colours, out, tiny)
    run(made)
    assert made.progress.epoch == 3


def test_a_loss_that_is_not_finite_ends_it_and_keeps_the_best(
    clip_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    made = trainer(clip_folder, colours, out, replace(SETTINGS, epochs=5))
    steps = itertools.count()

    def poison(step: Step) -> None:
        if next(steps) == 4:
            made.towers.model.visual.proj.data.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"loss became nan in epoch 2.*lower rates.*best") as e:
        made.run(poison, lambda row: None)
    assert "\n" not in str(e.value)
    assert made.folder.best.is_dir()


def test_out_of_memory_says_what_to_change(
    clip_folder: ModelFolder, colours: Captioned, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(clip_folder, colours, out, SETTINGS)

    def fail(pixels: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(made.towers, "encode_images", fail)
    with pytest.raises(TrainingError, match=r"--micro-batch 2"):
        run(made)


def test_other_errors_of_torch_stay_what_they_are(
    clip_folder: ModelFolder, colours: Captioned, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(clip_folder, colours, out, SETTINGS)

    def fail(pixels: Tensor) -> Tensor:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(made.towers, "encode_images", fail)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run(made)


def test_rates_rise_then_fall_to_zero() -> None:
    settings = Settings(warm_up=0.1)
    factors = [rate_factor(step, 100, settings) for step in range(100)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] < 0.001
    plateau = replace(settings, schedule="plateau")
    assert {rate_factor(step, 100, plateau) for step in range(10, 100)} == {1.0}


def test_a_plateau_of_the_validation_loss_lowers_the_rates(
    clip_folder: ModelFolder, colours: Captioned, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, epochs=5, patience=0, schedule="plateau", warm_up=0.0)
    made = trainer(clip_folder, colours, out, settings)
    measure = made.validation.measure
    monkeypatch.setattr(made.validation, "measure", lambda *a: replace(measure(*a), loss=1.0))
    run(made)
    rates = [row["rate"] for row in made.progress.metrics]
    assert rates == pytest.approx([0.01, 0.01, 0.01, 0.008, 0.008])


def test_settings_must_be_those_it_began_with(
    clip_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    run(trainer(clip_folder, colours, out, SETTINGS), stop_after=2)
    with pytest.raises(TrainingError, match="unfinished run"):
        trainer(clip_folder, colours, out, SETTINGS)
    with pytest.raises(TrainingError, match=r"epochs 3 \(now 4\)"):
        trainer(clip_folder, colours, out, replace(SETTINGS, epochs=4), resume=True)
    with pytest.raises(TrainingError, match="nothing to resume"):
        RunFolder(out.with_name("other")).begin(SETTINGS, {}, resume=True)


def test_a_damaged_state_is_named(clip_folder: ModelFolder, colours: Captioned, out: Path) -> None:
    made = trainer(clip_folder, colours, out, SETTINGS)
    run(made, stop_after=2)
    (made.folder.path / "state.pt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
        trainer(clip_folder, colours, out, SETTINGS, resume=True)


def test_the_best_checkpoint_is_a_model_folder(
    hf_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    made = trainer(hf_folder, colours, out, SETTINGS)
    run(made)
    found = ModelFolder.open(made.folder.best)
    assert found.spec.dim == hf_folder.spec.dim
    assert found.spec.fingerprint != hf_folder.spec.fingerprint
    Towers(found, "cpu")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 1},
        {"micro_batch": 0},
        {"image_rate": -1.0},
        {"head_rate": float("nan")},
        {"crop": 0.0},
        {"warm_up": 1.0},
        {"loss": "triplet"},
        {"train": "everything"},
    ],
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(TrainingError):
        Settings(**wrong)
