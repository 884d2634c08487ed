"""`searchengine finetune`, from captions to an index with the new model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from safetensors.numpy import load_file

from searchengine.encoders import ModelFolder
from searchengine.encoders.folder import WEIGHTS
from tests.cli.conftest import ENGINE, ENVIRONMENT, Run, json_lines

COLOURS = ("red", "lime", "blue", "cyan", "pink", "gold", "gray", "navy")
QUICK = ("--device", "cpu", "--batch-size", "4", "--epochs", "2")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures, and `captions.csv` with one useless row of each kind."""
    folder = tmp_path_factory.mktemp("photos")
    rows = ["image,caption"]
    for number in range(16):
        colour = COLOURS[number % 8]
        Image.new("RGB", (40 + number, 32), colour).save(folder / f"{number}.png")
        rows += [f"{number}.png,a {colour} {number}", f"{number}.png,{colour}"]
    rows += ["nowhere.png,a dog", "0.png,", "1.png,lime"]
    (folder / "captions.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.slow
def test_from_captions_to_a_search(
    run: Run, clip_folder: ModelFolder, photos: Path, tmp_path: Path
) -> None:
    before = sorted(photos.iterdir())
    out, index = tmp_path / "new", tmp_path / "index"
    assert run("index", photos, "--index", index, "--model", clip_folder.path).exit_code == 0
    result = run(
        *("finetune", photos / "captions.csv", "--out", out, "--model", clip_folder.path, *QUICK),
        *("--validation", "0.25", "--wise-ft", "sweep", "--tensorboard", tmp_path / "board"),
    )
    assert result.exit_code == 0, result.stderr
    assert "12 images to train on, 4 to validate on" in result.stderr
    for reason in ("image is missing (1)", "caption is empty (1)", "row repeats (1)"):
        assert f"skipped: {reason}" in result.stderr
    assert "epoch 2: loss" in result.stderr
    assert "validation, text to image" in result.stdout
    assert f"searchengine index --re-embed --model {out}" in result.stdout
    assert list((tmp_path / "board").iterdir())
    assert sorted(photos.iterdir()) == before

    result = run("index", "--index", index, "--re-embed", "--model", out)
    assert result.exit_code == 0, result.stderr
    assert len(json_lines(run("search", "red", "--index", index, "--json"))[0]["hits"]) == 10
    (measured,) = json_lines(
        run("evaluate", "recall", photos / "captions.csv", "--model", out, "--json")
    )
    assert measured["images"] == 16
    assert measured["captions"] == 32


@pytest.mark.slow
def test_json_is_one_object_an_epoch_and_one_for_the_end(
    run: Run, clip_folder: ModelFolder, photos: Path, tmp_path: Path
) -> None:
    result = run(
        *("finetune", photos / "captions.csv", "--out", tmp_path / "new", "--json", *QUICK),
        *("--model", clip_folder.path, "--validation", photos / "captions.csv"),
    )
    assert result.exit_code == 1  # nothing is left to train on
    result = run(
        *("finetune", photos / "captions.csv", "--out", tmp_path / "new", "--json", *QUICK),
        *("--model", clip_folder.path, "--general", photos / "captions.csv"),
    )
    first, second, last = json_lines(result)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert last["model"] == str(tmp_path / "new")
    for name in ("validation", "general"):
        for when in ("before", "after"):
            assert set(last[name][when]["text_to_image"]) == {"R@1", "R@5", "R@10", "median_rank"}


@pytest.mark.slow
def test_the_captions_of_an_index(
    run: Run, clip_folder: ModelFolder, photos: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    stored = run(
        *("index", photos, "--index", index, "--model", clip_folder.path),
        *("--captions", photos / "captions.csv"),
    )
    assert stored.exit_code == 0, stored.stderr
    result = run(
        *("finetune", index, "--out", tmp_path / "new", "--model", clip_folder.path, *QUICK)
    )
    assert result.exit_code == 0, result.stderr
    assert "14 images to train on, 2 to validate on" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--validation", "1.5"), 2, "between 0 and 1"),
        (("--validation", "nowhere.csv"), 1, "nowhere.csv does not exist"),
        (("--wise-ft", "2"), 2, "from 0 to 1"),
        (("--epochs", "0"), 1, "epochs must be at least 1"),
        (("--model", "nowhere"), 1, "nowhere"),
        (("--resume",), 1, "nothing to resume"),
        (("--device", "cuda"), 1, "CUDA"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    run: Run,
    clip_folder: ModelFolder,
    photos: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    result = run(
        *("finetune", photos / "captions.csv", "--out", tmp_path / "new"),
        *("--model", clip_folder.path, *QUICK, *options),
    )
    assert result.exit_code == code
    assert message in result.stderr
    assert code == 2 or len(result.stderr.strip().splitlines()[-1]) < 300
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_names_its_line(run: Run, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"image": "a.png", "caption": "a"}\n{"image": \n')
    result = run("finetune", pairs, "--out", tmp_path / "new")
    assert result.exit_code == 1
    assert "pairs.jsonl:2" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same_weights(
    run: Run, clip_folder: ModelFolder, photos: Path, tmp_path: Path
) -> None:
    def arguments(name: str) -> list[str]:
        options = ["--out", str(tmp_path / name), "--model", str(clip_folder.path), "--json"]
        options += [*QUICK[:-1], "12", "--patience", "0", "--validation", "0.25"]
        return ["finetune", str(photos / "captions.csv"), *options]

    whole = run(*arguments("whole"))
    command = [*ENGINE, *arguments("parts")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as victim:
        assert victim.stdout is not None
        for _ in range(3):
            victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
    assert not (tmp_path / "parts").exists()
    parts = run(*arguments("parts"), "--resume")
    assert json_lines(whole)[-2] == json_lines(parts)[-2]
    one, other = (load_file(tmp_path / name / WEIGHTS) for name in ("whole", "parts"))
    assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for a process there")
def test_ctrl_c_says_how_to_go_on(clip_folder: ModelFolder, photos: Path, tmp_path: Path) -> None:
    command = [
        *(*ENGINE, "finetune", str(photos / "captions.csv"), "--out", str(tmp_path / "new")),
        *("--model", str(clip_folder.path), *QUICK[:-1], "5000", "--json", "--patience", "0"),
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as victim:
        assert victim.stdout is not None
        json.loads(victim.stdout.readline())
        time.sleep(0.2)
        victim.send_signal(signal.SIGINT)
        _, errors = victim.communicate(timeout=60)
    assert victim.returncode == 130
    assert "--resume" in errors
    assert (tmp_path / "new.training" / "state.pt").is_file()
