"""The folder of a run that is not finished: `OUT.training`, beside the model it will become."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from searchengine.encoders.folder import ModelFolder
from searchengine.encoders.retrained import save_weights_like
from searchengine.errors import TrainingError
from searchengine.finetune.settings import Settings

STATE, SETTINGS, METRICS, BEST = "state.pt", "settings.json", "metrics.jsonl", "best"


class RunFolder:
    """What a run leaves on disk as it goes; each file and folder appears whole or not at all.

    `state.pt` is where to go on from, `best/` the model folder (without graphs) of the epoch with
    the highest validation recall, `metrics.jsonl` one line an epoch.
    """

    def __init__(self, out: Path):
        self.path = out.with_name(f"{out.name}.training")
        self.best = self.path / BEST

    def begin(self, settings: Settings, facts: dict[str, Any], *, resume: bool) -> None:
        """Make the folder, or find it as it was left; raises `TrainingError`.

        `facts` are what else must be the same to go on: the model, the number of images.
        """
        asked = json.loads(json.dumps({**dataclasses.asdict(settings), **facts}))
        if not resume:
            if self.path.exists():
                raise TrainingError(
                    f"{self.path} holds an unfinished run; go on with --resume, or remove it"
                )
            self.path.mkdir(parents=True)
            _write(self.path / SETTINGS, json.dumps(asked, indent=2) + "\n")
            return
        if not (self.path / SETTINGS).is_file():
            raise TrainingError(f"nothing to resume: {self.path} holds no run")
        before = json.loads((self.path / SETTINGS).read_bytes())
        changed = [key for key in asked if before.get(key) != asked[key]]
        if changed:
            was = ", ".join(f"{key} {before.get(key)} (now {asked[key]})" for key in changed)
            raise TrainingError(f"cannot resume {self.path}: it began with {was}")

    def save_state(self, state: dict[str, Any]) -> None:
        """Replace the state to go on from."""
        partial = self.path / f"{STATE}.part"
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self.path / STATE)

    def load_state(self, device: str) -> dict[str, Any] | None:
        """The state to go on from, if one was saved; raises `TrainingError`."""
        path = self.path / STATE
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # torch raises anything for a damaged file
            raise TrainingError(f"{path} is damaged; remove {self.path} and start again") from error
        return state

    def save_best(self, like: ModelFolder, weights: dict[str, Any]) -> None:
        """Replace the best model by `weights` in a folder like that of the model it began with."""
        partial, old = self.path / f"{BEST}.part", self.path / f"{BEST}.old"
        shutil.rmtree(partial, ignore_errors=True)
        save_weights_like(like, weights, partial)
        shutil.rmtree(old, ignore_errors=True)
        if self.best.exists():
            os.replace(self.best, old)
        os.replace(partial, self.best)
        shutil.rmtree(old, ignore_errors=True)

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace `metrics.jsonl` by one line an epoch."""
        _write(self.path / METRICS, "".join(json.dumps(row) + "\n" for row in rows))

    def remove(self) -> None:
        """Drop the folder: the run is finished."""
        shutil.rmtree(self.path)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
