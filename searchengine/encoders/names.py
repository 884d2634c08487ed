"""From a model's name to its folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import platformdirs

from searchengine.encoders.folder import BUILTIN, CONFIG, ModelFolder
from searchengine.errors import ModelError

log = logging.getLogger(__name__)


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
        return ModelFolder.open(BUILTIN, name)
    folder = Path(os.path.expanduser(name))  # leaves "~nobody" as it is
    pulled = pulled_folder(name)
    if (folder / CONFIG).is_file():
        return ModelFolder.open(folder)
    if (pulled / CONFIG).is_file():
        return ModelFolder.open(pulled, name)
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
    """The built-in model and every pulled one; a broken folder is skipped with a warning."""
    home = models_home()
    pulled = sorted(path.parent.name for path in home.glob(f"*/{CONFIG}")) if home.is_dir() else []
    names = [name.replace("--", "/", 1) for name in pulled if not name.startswith(".")]
    folders = []
    for name in ("builtin", *names):
        try:
            folders.append(find(name))
        except ModelError as error:
            log.warning("%s", error)
    return folders
