"""From a model's name to its folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from searchengine.encoders.folder import BUILTIN, CONFIG, ModelFolder
from searchengine.errors import ModelError


def models_home() -> Path:
    """Where pulled models are kept: `models/` in the user's data folder."""
    return Path(platformdirs.user_data_dir("searchengine", appauthor=False)) / "models"


def pulled_folder(name: str) -> Path:
    """The folder that a pulled `ARCH/PRETRAINED` pair has."""
    return models_home() / name.replace("/", "--")


def find(name: str) -> ModelFolder:
    """The folder of `builtin`, of a pulled `ARCH/PRETRAINED` pair, or of a path to a model folder.

    Raises `ModelError` that says where it looked and which command would bring the model.
    """
    if name == "builtin":
        return ModelFolder.open(BUILTIN)
    folder = Path(name).expanduser()
    pulled = pulled_folder(name)
    for candidate in (folder, pulled):
        if (candidate / CONFIG).is_file():
            return ModelFolder.open(candidate)
    if folder.is_dir():
        raise ModelError(f"{folder} is not a model folder: it has no {CONFIG}")
    if name.count("/") == 1 and not name.startswith((".", "~", os.sep)):
        raise ModelError(
            f"model {name} is not on this machine (no such folder, and nothing in {pulled}); "
            f"bring it with: searchengine models pull {name}"
        )
    raise ModelError(
        f"no model named {name}: it is neither a model folder nor pulled; "
        "`searchengine models list` shows those that are here"
    )


def available() -> list[ModelFolder]:
    """The built-in model and every pulled one."""
    home = models_home()
    pulled = sorted(path.parent for path in home.glob(f"*/{CONFIG}")) if home.is_dir() else []
    return [ModelFolder.open(path) for path in (BUILTIN, *pulled)]
