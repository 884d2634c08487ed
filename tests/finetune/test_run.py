"""A model folder and captioned images in, a better model folder out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from searchengine import encoders
from searchengine.cli import main
from searchengine.encoders import ModelFolder
from searchengine.errors import TrainingError
from searchengine.evaluation.recall import evaluate_recall
from searchengine.finetune.run import Data, Outcome, Run, Watchers
from searchengine.finetune.settings import Settings
from searchengine.finetune.wise_ft import Mixture
from searchengine.types import CaptionedImage

SETTINGS = Settings(
    epochs=4, batch_size=6, micro_batch=6, image_rate=3e-3, text_rate=3e-3, head_rate=1e-2, crop=1
)
Captioned = list[CaptionedImage]


@pytest.fixture(scope="module")
def outcome(
    clip_folder: ModelFolder, colours: Captioned, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, list[Mixture]]:
    """A finished run with a sweep, and the mixtures it tried."""
    out = tmp_path_factory.mktemp("runs") / "model"
    data = Data(colours[:12], colours[12:], colours[10:])
    run, mixtures = Run(clip_folder, data, out, SETTINGS, "cpu"), []
    watchers = Watchers(mixture=mixtures.append)
    assert run.train(watchers)
    return run.finish(watchers, None, sweep=True), mixtures


def test_the_folder_is_complete_and_says_what_it_is(
    outcome: tuple[Outcome, list[Mixture]], clip_folder: ModelFolder
) -> None:
    found, _ = outcome
    path = found.folder.path
    names = {file.name for file in path.iterdir()}
    assert {"image.onnx", "text.onnx", "README.md", "metrics.jsonl", "curves.png"} <= names
    assert found.folder.card["finetuned"]["from"] == clip_folder.spec.fingerprint
    assert found.folder.card["name"] == "model"
    assert len((path / "metrics.jsonl").read_text().splitlines()) == 4
    assert (path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not path.with_name("model.training").exists()


def test_the_table_says_what_the_folder_does(
    outcome: tuple[Outcome, list[Mixture]], clip_folder: ModelFolder, colours: Captioned
) -> None:
    found, _ = outcome
    for folder, claimed in ((clip_folder, found.rows[0][1]), (found.folder, found.rows[0][2])):
        measured, _ = evaluate_recall(encoders.load(folder, "cpu"), colours[12:])
        assert measured.mean_recall == pytest.approx(claimed.mean_recall, abs=13)
    assert [name for name, _, _ in found.rows] == ["validation", "general"]


def test_the_sweep_tries_the_whole_way(outcome: tuple[Outcome, list[Mixture]]) -> None:
    found, mixtures = outcome
    assert [mixture.alpha for mixture in mixtures] == pytest.approx(np.linspace(0, 1, 11))
    assert found.chosen in mixtures
    assert all(mixture.general for mixture in mixtures)


def test_an_existing_folder_is_not_touched(
    clip_folder: ModelFolder, colours: Captioned, out: Path
) -> None:
    out.mkdir()
    with pytest.raises(TrainingError, match="exists already"):
        Run(clip_folder, Data(colours, colours), out, SETTINGS, "cpu")
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.slow
def test_broken_pictures_are_counted_and_stop_nothing(
    clip_folder: ModelFolder, colours: Captioned, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG and no more")
    images = [*colours[:8], replace(colours[0], name="broken.png", path=str(broken))]
    data = Data(images, [*colours[8:], replace(images[-1], name="other")])
    run = Run(
        clip_folder, data, tmp_path / "model", replace(SETTINGS, epochs=1, batch_size=9), "cpu"
    )
    assert run.train(Watchers())
    assert set(run.finish(Watchers(), 0.5).broken) == {"broken.png", "other"}


def test_a_failed_export_leaves_no_model_folder(
    clip_folder: ModelFolder,
    colours: Captioned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("searchengine.encoders.retrained.export_graphs", fail)
    out = tmp_path / "model"
    run = Run(clip_folder, Data(colours, colours), out, replace(SETTINGS, epochs=1), "cpu")
    assert run.train(Watchers())
    with pytest.raises(OSError, match="no space"):
        run.finish(Watchers(), None)
    assert [path.name for path in tmp_path.iterdir()] == ["model.training"]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(
    clip_folder: ModelFolder, colours: Captioned, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.csv"
    rows = [f"{image.path},{text}" for image in colours for text in image.captions]
    pairs.write_text("image,caption\n" + "\n".join(rows) + "\n")
    options = ["--epochs", "2", "--batch-size", "8", "--micro-batch", "3", "--validation", "0.2"]
    options += ["--device", "cpu", "--json", "--captions-per-image", "2"]
    options += ["--model", str(clip_folder.path)]
    one = CliRunner().invoke(main, ["finetune", str(pairs), "--out", str(tmp_path / "1"), *options])
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    engine = [sys.executable, "-m", "searchengine"]
    two = subprocess.run(
        [sys.executable, *launcher, *engine, "finetune", pairs, "--out", tmp_path / "2", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert two.returncode == 0, two.stderr
    for ours, theirs in zip(one.stdout.splitlines()[:2], two.stdout.splitlines()[:2], strict=True):
        expected, found = json.loads(ours), json.loads(theirs)
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-3)
        assert found["validation_loss"] == pytest.approx(expected["validation_loss"], rel=1e-2)
