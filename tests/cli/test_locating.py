"""`searchengine locate`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searchengine import encoders
from searchengine.types import Embeddings
from tests.cli.conftest import ENGINE, ENVIRONMENT, Run, json_lines
from tests.evaluation.test_locate import Colours, overlap, scene

RED = (200, 60, 280, 140)


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A grey picture with a red square, in a folder of its own; the current folder is another."""
    monkeypatch.setattr(encoders, "load", lambda folder, device: Colours())
    for name in ("photos", "elsewhere"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    scene((400, 300), RED).save(tmp_path / "photos" / "holiday.png")
    return tmp_path / "photos" / "holiday.png"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_json_has_the_box_in_pixels_of_the_picture_as_stored(run: Run, photo: Path) -> None:
    (answer,) = json_lines(run("locate", photo, "the red square", "--json"))
    assert set(answer) == {"query", "path", "box", "score", "picture"}
    assert (answer["query"], answer["path"]) == ("the red square", str(photo))
    assert overlap(tuple(answer["box"]), RED) > 0.4
    assert -1 <= answer["score"] <= 1
    assert Path(answer["picture"]).is_file()


def test_prints_box_score_and_the_written_picture(run: Run, photo: Path) -> None:
    result = run("locate", photo, "the red square!")
    assert result.exit_code == 0, result.stderr
    box, score, wrote = result.stdout.splitlines()
    left, top, right, bottom = (int(word.strip(",")) for word in box.split()[2::2])
    assert overlap((left, top, right, bottom), RED) > 0.4
    assert float(score.split()[1]) > 0.5
    assert wrote == "wrote  holiday-the-red-square.png"
    assert result.stderr == ""


def test_nothing_is_written_into_the_folder_of_the_photograph(run: Run, photo: Path) -> None:
    before = contents(photo.parent)
    assert run("locate", photo, "the red square").exit_code == 0
    assert contents(photo.parent) == before
    assert [path.name for path in Path.cwd().iterdir()] == ["holiday-the-red-square.png"]


def test_in_the_folder_of_the_photograph_a_name_must_be_given(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(photo.parent)
    monkeypatch.chdir(photo.parent)
    result = run("locate", photo.name, "the red square")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--out" in result.stderr
    assert contents(photo.parent) == before


def test_heat_and_box_lie_over_the_picture(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Colours, "pixel_shape", (3, 64, 64))  # so that it is not reduced
    (answer,) = json_lines(run("locate", photo, "the red square", "--out", "x.PNG", "--json"))
    with Image.open("x.PNG") as drawn, Image.open(photo) as plain:
        assert (drawn.format, drawn.mode, drawn.size) == ("PNG", "RGB", plain.size)
        heated = np.asarray(drawn, dtype=float)
    left, top, right, _ = answer["box"]
    edge = heated[top : top + 6, left:right].reshape(-1, 3)
    assert (edge == 255).all(axis=1).any()  # the white line
    assert (edge == 0).all(axis=1).any()  # between black ones
    middle, corner = heated[90:110, 230:250].mean(), heated[280:, :20].mean()
    assert middle > corner  # hot is light


@pytest.mark.parametrize("out", ["taken.png", "link.png"])
def test_a_file_that_is_there_stays_as_it_is(run: Run, photo: Path, out: str) -> None:
    Path("taken.png").write_bytes(b"mine")
    Path("link.png").symlink_to("nowhere.png")
    result = run("locate", photo, "the red square", "--out", out)
    assert result.exit_code == 1
    assert "already there" in result.stderr
    assert "--out" in result.stderr
    assert Path("taken.png").read_bytes() == b"mine"
    assert not Path("nowhere.png").exists()


def test_a_file_that_came_meanwhile_stays_as_it_is(
    run: Run, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Colours):
        def encode_texts(self, texts: Sequence[str]) -> Embeddings:
            Path("new.png").write_bytes(b"mine")
            return super().encode_texts(texts)

    monkeypatch.setattr(encoders, "load", lambda folder, device: Slow())
    result = run("locate", photo, "the red square", "--out", "new.png")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert Path("new.png").read_bytes() == b"mine"


def test_the_photograph_itself_is_never_overwritten(run: Run, photo: Path) -> None:
    before = contents(photo.parent)
    assert run("locate", photo, "the red square", "--out", photo).exit_code == 1
    assert contents(photo.parent) == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["missing.jpg", "a cat"], 1, "missing.jpg"),
        (["words.jpg", "a cat"], 1, "not a picture"),
        (["PHOTO", " \t"], 1, "text is empty"),
        (["PHOTO", ""], 1, "text is empty"),
        (["PHOTO", "the red one", "--out", "no/such/folder.png"], 1, "folder.png"),
        (["PHOTO", "the red one", "--out", "holiday.jpg"], 2, ".png"),
        (["PHOTO", "the red one", "--model", "nothing"], 1, "no model named nothing"),
        (["PHOTO"], 2, "TEXT"),
    ],
)
def test_what_has_no_answer_is_one_error(
    run: Run, photo: Path, arguments: list[str], code: int, says: str
) -> None:
    Path("words.jpg").write_text("not a picture")
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")  # the fixture changes back
    named = {"PHOTO": photo, "words.jpg": "../words.jpg"}
    result = run("locate", *(named.get(each, each) for each in arguments))
    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    assert not list(Path.cwd().iterdir())
    if code == 1:
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_pictures_of_any_mode(run: Run, photo: Path, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.full((40, 60), 30_000, np.uint16))
    else:
        picture = scene((60, 40), (30, 10, 50, 30)).convert(mode)
    picture.save(photo.parent / "other.png")
    (answer,) = json_lines(run("locate", photo.parent / "other.png", "the red one", "--json"))
    left, top, right, bottom = answer["box"]
    assert 0 <= left < right <= 60
    assert 0 <= top < bottom <= 40


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (90, 1), (1, 90)])
def test_tiny_pictures_are_drawn(run: Run, photo: Path, size: tuple[int, int]) -> None:
    scene(size, (0, 0, max(1, size[0] // 2), max(1, size[1] // 2))).save("tiny.bmp")
    result = run("locate", "tiny.bmp", "the red one", "--out", "drawn.png")
    assert result.exit_code == 0, result.stderr
    with Image.open("drawn.png") as drawn:
        assert drawn.size == size


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        ("holiday.png", "the red ../../x  one?", "holiday-the-red-x-one.png"),
        ("été.png", "the red café", "été-the-red-café.png"),
        (f"{'n' * 200}.png", f"the red {'long ' * 90}", f"{'n' * 60}-the-red-long-"),
        ("-v.png", "the red one", "-v-the-red-one.png"),
    ],
)
def test_default_name_is_made_of_picture_and_words(
    run: Run, photo: Path, name: str, text: str, written: str
) -> None:
    picture = photo.rename(photo.parent / name)
    assert run("locate", picture, text).exit_code == 0
    (found,) = Path.cwd().iterdir()
    assert found.name.startswith(written)
    assert len(found.name) < 110


def test_process_with_the_built_in_model_finds_the_square(photo: Path) -> None:
    command = [*ENGINE, "locate", str(photo), "a red square", "--device", "cpu", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert overlap(tuple(json.loads(done.stdout)["box"]), RED) > 0.3
    assert Path("holiday-a-red-square.png").is_file()


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from searchengine.cli import main\n"
        "main(['locate', '--help'], standalone_mode=False)\n"
        "print([m for m in ('numpy', 'PIL', 'onnxruntime', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([ENGINE[0], "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
