from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from searchengine.cli import main
from searchengine.encoders.folder import BUILTIN, CARD
from tests.pictures import fill

Run = Callable[..., Result]

ENGINE = [sys.executable, "-m", "searchengine"]
ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "error"}


@pytest.fixture
def run() -> Run:
    """Run a command in this process; stdout and stderr are kept apart."""
    runner = CliRunner()
    return lambda *arguments, **options: runner.invoke(main, [str(a) for a in arguments], **options)


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of `photos/`, twelve pictures and one broken file, and of their `index/`."""
    home = tmp_path_factory.mktemp("home")
    fill(home / "photos", 12)
    (home / "photos" / "broken.jpg").write_text("not a picture")
    command = [*ENGINE, "index", str(home / "photos"), "--index", str(home / "index"), "--quiet"]
    subprocess.run(command, check=True, env=ENVIRONMENT)
    return home


def json_lines(result: Result) -> list[dict[str, Any]]:
    """What a command printed with --json; every line must be one object."""
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in model under another fingerprint, as if it had been trained on."""
    path = tmp_path_factory.mktemp("models") / "other"
    shutil.copytree(BUILTIN, path)
    card = json.loads((path / CARD).read_bytes())
    (path / CARD).write_text(json.dumps({**card, "fingerprint": "f" * 64}))
    return path
