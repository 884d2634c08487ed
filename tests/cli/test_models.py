"""`searchengine models build`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from searchengine.encoders import ModelFolder
from searchengine.encoders.build import BuildSettings
from searchengine.encoders.folder import BUILTIN
from tests.cli.conftest import Run, json_lines
from tests.encoders.helpers import hide
from tests.models import make_bert
from tests.pictures import fill

PARTS = ("--image-encoder", "timm:test_vit", "--text-encoder", "hf:./bert")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What `build_model` is called with, without the seconds that it takes."""
    calls: list[tuple[Any, ...]] = []

    def build_model(*arguments: Any) -> ModelFolder:
        calls.append(arguments)
        return ModelFolder.open(BUILTIN)

    monkeypatch.setattr("searchengine.encoders.build.build_model", build_model)
    return calls


def test_a_built_model_indexes_and_searches(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under torch: here it is spared the seconds that its graphs take."""
    for name in ("export_graphs", "check_agreement"):
        monkeypatch.setattr(f"searchengine.encoders.export.{name}", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    make_bert(tmp_path / "bert")
    fill(tmp_path / "photos", 3)
    built = run("models", "build", *PARTS, "--no-pretrained", "--dim", 8, "--out", "my model")
    assert built.exit_code == 0, built.output
    assert built.stdout == "wrote my model\n"
    assert built.stderr.splitlines()[-1].endswith(
        "searchengine finetune PAIRS --images DIR --model 'my model' --out FOLDER"
    )
    (facts,) = json_lines(run("models", "show", "./my model", "--json"))
    assert facts["dim"] == 8
    options = ("--index", tmp_path / "index", "--device", "cpu")
    indexed = run("index", tmp_path / "photos", "--model", "./my model", *options)
    assert indexed.exit_code == 0, indexed.output
    (answer,) = json_lines(run("search", "two red boats", *options, "--json"))
    assert len(answer["hits"]) == 3


def test_defaults_are_those_of_the_package(
    run: Run, tmp_path: Path, asked: list[tuple[Any, ...]]
) -> None:
    assert run("models", "build", *PARTS, "--out", tmp_path / "new").exit_code == 0
    assert asked == [("timm:test_vit", "hf:./bert", tmp_path / "new", BuildSettings())]


def test_every_option_reaches_the_package(
    run: Run, tmp_path: Path, asked: list[tuple[Any, ...]]
) -> None:
    weights = tmp_path / "weights.pth"
    weights.touch()
    result = run(
        *("models", "build", *PARTS, "--out", "~/new", "--dim", 64, "--head", "linear"),
        *("--pooler", "cls", "--context-length", 32, "--no-pretrained"),
        *("--image-weights", weights),
    )
    assert result.exit_code == 0, result.output
    ((*_, destination, settings),) = asked
    assert destination == Path("~/new").expanduser()
    assert settings == BuildSettings(64, "linear", "cls", 32, False, weights)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--head", "residual"), 2, "--head"),
        (("--pooler", "max"), 2, "--pooler"),
        (("--dim", "0"), 2, "--dim"),
        (("--image-weights", "nowhere.pth"), 2, "nowhere.pth"),
        (("--image-encoder", "resnet50"), 1, "timm:resnet50"),
        (("--text-encoder", "hf:./nowhere"), 1, "no such folder"),
    ],
)
def test_what_cannot_be_built_is_one_error(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = run("models", "build", *PARTS, "--out", tmp_path / "new", *arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "new").exists()


def test_building_needs_torch(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "open_clip")
    result = run("models", "build", *PARTS, "--out", tmp_path / "new")
    assert result.exit_code == 1
    assert "searchengine[torch]" in result.stderr
