"""A model folder on its way to machines that do not have it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchengine import encoders
from searchengine.errors import ClusterError, ModelError

BUILTIN = "builtin"


@dataclass(frozen=True)
class ShippedModel:
    """A model by its name and fingerprint, and where Ray keeps its files, unless built in."""

    name: str
    fingerprint: str
    files: dict[str, Any] = field(default_factory=dict)
    """Path relative to the model folder -> reference to its bytes, (n,) uint8."""
    checksum: str = ""
    """Of all the files: their fingerprint leaves out what is derived, such as the graphs."""

    @classmethod
    def of(cls, folder: encoders.ModelFolder, put: Any) -> ShippedModel:
        """Take a model along; `put` gives Ray an array and returns the reference to it.

        Every installation has the built-in model, so that only its name travels.
        """
        name, fingerprint = folder.spec.name, folder.spec.fingerprint
        if name == BUILTIN:
            return cls(name, fingerprint)
        files, digests = {}, {}
        for path in _files(folder):
            content = np.fromfile(folder.path / path, np.uint8)
            files[path], digests[path] = put(content), _digest(content)
        return cls(name, fingerprint, files, _checksum(digests))

    def unpack(self, get: Any) -> encoders.ModelFolder:
        """The model folder on this machine, written unless it is there already.

        `get` resolves a reference. Raises `ModelError` where the model here is another one.
        """
        if self.name == BUILTIN:
            folder = encoders.find(BUILTIN)
        else:
            folder = encoders.ModelFolder.open(self._written(get))
        if folder.spec.fingerprint != self.fingerprint:
            raise ModelError(
                f"the model {self.name} of this machine is another one; install the same version "
                "of searchengine on every machine"
            )
        return folder

    def _written(self, get: Any) -> Path:
        home = _own_folder() / self.checksum
        if home.is_dir():  # it appears whole or not at all
            return home
        partial = home.with_name(f".{secrets.token_hex(8)}")
        digests = {}
        try:
            for path, reference in self.files.items():
                content = get(reference)
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                content.tofile(partial / path)
                digests[path] = _digest(content)
            if _checksum(digests) != self.checksum:
                raise ModelError(f"the model {self.name} arrived damaged; run the command again")
            partial.rename(home)
        except OSError as error:
            if not home.is_dir():  # else another process was faster
                raise ModelError(f"cannot write the model {self.name}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return home


def _digest(content: NDArray[np.uint8]) -> str:
    return hashlib.sha256(content.data).hexdigest()


def _checksum(digests: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _files(folder: encoders.ModelFolder) -> Iterator[str]:
    """The files of a model folder that are not empty, relative to it."""
    for path in sorted(folder.path.rglob("*")):
        if path.is_file() and path.stat().st_size:
            yield path.relative_to(folder.path).as_posix()


def _own_folder() -> Path:
    """A folder of this user's alone, where models that arrived are kept."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    folder = Path(tempfile.gettempdir()) / f"searchengine-models-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise ClusterError(f"{folder} belongs to somebody else; remove it")
    return folder
