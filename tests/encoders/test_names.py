"""A model's name leads to its folder, or to the command that brings it."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from searchengine.encoders import BUILTIN, ModelFolder, available, find, pulled_folder
from searchengine.encoders.folder import CONFIG, WEIGHTS
from searchengine.encoders.names import models_home
from tests.encoders.helpers import model_error

PAIR = "ViT-B-32/laion2b_s34b_b79k"


@pytest.fixture
def builtin(clip_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the built-in model."""
    monkeypatch.setattr("searchengine.encoders.names.BUILTIN", clip_folder.path)
    return clip_folder.path


def put(source: ModelFolder, destination: Path) -> None:
    shutil.copytree(source.path, destination)


def test_builtin(builtin: Path, home: Path) -> None:
    folder = find("builtin")
    assert (folder.path, folder.name) == (builtin, "builtin")


def test_builtin_lies_in_the_package() -> None:
    assert BUILTIN.parts[-3:] == ("searchengine", "models", "builtin")


def test_path_of_a_folder(clip_folder: ModelFolder, home: Path) -> None:
    folder = find(str(clip_folder.path))
    assert (folder.path, folder.spec) == (clip_folder.path, clip_folder.spec)


def test_path_below_the_home_folder(
    copied_clip: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(copied_clip.parent))
    monkeypatch.setenv("USERPROFILE", str(copied_clip.parent))
    assert find(f"~/{copied_clip.name}").path == copied_clip


def test_pulled_pair(clip_folder: ModelFolder, home: Path) -> None:
    put(clip_folder, pulled_folder(PAIR))
    assert pulled_folder(PAIR).parent == home
    folder = find(PAIR)
    assert (folder.path, folder.name) == (pulled_folder(PAIR), PAIR)
    assert folder.spec.fingerprint == clip_folder.spec.fingerprint


def test_the_name_of_a_found_folder_finds_it_again(
    clip_folder: ModelFolder, home: Path, builtin: Path
) -> None:
    put(clip_folder, pulled_folder(PAIR))
    for name in ("builtin", PAIR, str(clip_folder.path)):
        folder = find(name)
        assert find(folder.spec.name).path == folder.path


def test_unknown_pair_names_the_command(home: Path) -> None:
    with model_error(PAIR, f"searchengine models pull {PAIR}", str(home)):
        find(PAIR)


@pytest.mark.parametrize(
    "name", ["nothing", "a/b/c", "./here", "~nobody-at-all/x", "", "/no/where"]
)
def test_unknown_name(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with model_error(CONFIG if name == "" else name):
        find(name)


def test_folder_that_is_no_model(home: Path, tmp_path: Path) -> None:
    with model_error(str(tmp_path), CONFIG):
        find(str(tmp_path))


def test_half_a_model(copied_clip: Path, home: Path) -> None:
    (copied_clip / WEIGHTS).unlink()
    with model_error(WEIGHTS):
        find(str(copied_clip))


def test_available(clip_folder: ModelFolder, home: Path, builtin: Path) -> None:
    assert [folder.name for folder in available()] == ["builtin"]
    put(clip_folder, pulled_folder(PAIR))
    put(clip_folder, pulled_folder("RN50/openai"))
    folders = available()
    assert [folder.name for folder in folders] == ["builtin", "RN50/openai", PAIR]
    assert [folder.path for folder in folders[1:]] == [
        pulled_folder("RN50/openai"),
        pulled_folder(PAIR),
    ]


def test_available_skips_what_is_broken(
    clip_folder: ModelFolder, home: Path, builtin: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(clip_folder, pulled_folder(PAIR))
    (pulled_folder(PAIR) / WEIGHTS).unlink()
    put(clip_folder, home / ".ViT-B-32--interrupted-x7f3")
    with caplog.at_level(logging.WARNING):
        assert [folder.name for folder in available()] == ["builtin"]
    (record,) = caplog.records
    assert str(pulled_folder(PAIR)) in record.message


def test_models_live_in_the_users_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name, appauthor: str(tmp_path / name))
    assert models_home() == tmp_path / "searchengine" / "models"
