"""`searchengine classify` and `searchengine describe`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from searchengine import encoders
from searchengine.encoders.folder import BUILTIN, CARD
from tests.cli.conftest import Run, json_lines
from tests.evaluation.toys import loaded_once
from tests.pictures import fill


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", loaded_once)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    fill(folder, 3)
    return folder


def test_every_picture_gets_its_labels(run: Run, photos: Path) -> None:
    pictures = sorted(photos.glob("*.jpg"))
    result = run("classify", *pictures, "--labels", "a dog, a cat,,snow,a cat", "--json")
    answers = json_lines(result)
    assert [answer["image"] for answer in answers] == [str(path) for path in pictures]
    for answer in answers:
        labels = answer["labels"]
        assert {label["label"] for label in labels} == {"a dog", "a cat", "snow"}
        assert [label["rank"] for label in labels] == [1, 2, 3]
        shares = [label["probability"] for label in labels]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=1e-5)
        assert all(-1 <= label["score"] <= 1 for label in labels)


def test_labels_from_a_file_and_only_the_best(run: Run, photos: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\ufeffone, two\n\nthree\nfour\n", encoding="utf-8")
    picture = photos / "0000.jpg"
    result = run("classify", picture, "--labels", labels, "--top", 2)
    name, *lines = result.stdout.splitlines()
    assert name == str(picture)
    assert len(lines) == 2
    (answer,) = json_lines(run("classify", picture, "--labels", labels, "--json"))
    assert {label["label"] for label in answer["labels"]} == {"one, two", "three", "four"}
    for line, label in zip(lines, answer["labels"], strict=False):
        share, text = line.split(maxsplit=1)
        assert float(share) == pytest.approx(label["probability"], abs=6e-4)
        assert text == label["label"]


def test_a_broken_picture_is_one_line_and_the_others_are_answered(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_text("not a picture")
    pictures = [photos / "0000.jpg", tmp_path / "broken.jpg", tmp_path, photos / "0001.jpg"]
    result = run("classify", *pictures, "--labels", "a,b", "--json")
    assert result.exit_code == 1
    assert [answer["image"] for answer in json_lines(result)] == [
        str(photos / "0000.jpg"),
        str(photos / "0001.jpg"),
    ]
    broken, folder = result.stderr.splitlines()
    assert broken.startswith(f"{tmp_path / 'broken.jpg'}: not a picture")
    assert folder.startswith(f"{tmp_path}: a folder")


def test_templates_change_the_answer_and_the_model_gives_the_scale(
    run: Run, photos: Path, tmp_path: Path
) -> None:
    picture = photos / "0000.jpg"

    def shares(*options: object) -> dict[str, float]:
        result = run("classify", picture, "--labels", "dog,cat,snow", *options, "--json")
        (answer,) = json_lines(result)
        return {label["label"]: label["probability"] for label in answer["labels"]}

    default = shares()
    assert shares("--templates", "simple") == default
    assert shares("--template", "{}") == shares("--templates", "plain") != default
    shutil.copytree(BUILTIN, tmp_path / "soft")
    card = json.loads((tmp_path / "soft" / CARD).read_bytes())
    (tmp_path / "soft" / CARD).write_text(json.dumps({**card, "logit_scale": 1e-3}))
    assert list(shares("--model", tmp_path / "soft").values()) == pytest.approx(
        [1 / 3] * 3, rel=0.01
    )


def test_describe_ranks_the_texts(run: Run, photos: Path, tmp_path: Path) -> None:
    texts = ["a dog", "two boats", "", "snow", "a dog", "colours"]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(texts))
    picture = photos / "0002.jpg"
    (answer,) = json_lines(run("describe", picture, "--captions", file, "--json"))
    assert answer["image"] == str(picture)
    captions = answer["captions"]
    assert sorted(each["caption"] for each in captions) == ["a dog", "colours", "snow", "two boats"]
    scores = [each["score"] for each in captions]
    assert scores == sorted(scores, reverse=True)
    result = run("describe", picture, "--captions", "-", "-k", 2, input="\n".join(texts))
    assert [line.split(maxsplit=2)[2] for line in result.stdout.splitlines()] == [
        each["caption"] for each in captions[:2]
    ]
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["classify", "{photos}/0000.jpg", "--labels", "cat"], 1, "the labels are cat"),
        (["classify", "{photos}/0000.jpg", "--labels", ""], 1, "the labels are empty"),
        (["classify", "{photos}/0000.jpg"], 2, "--labels"),
        (["classify", "--labels", "a,b"], 2, "IMAGE"),
        (["classify", "gone.jpg", "--labels", "a,b"], 1, "gone.jpg: no such file"),
        (["describe", "gone.jpg", "--captions", "{photos}/texts"], 1, "gone.jpg"),
        (["describe", "{photos}/0000.jpg", "--captions", "{photos}/blank"], 1, "holds no text"),
        (["describe", "{photos}/0000.jpg", "--captions", "none"], 2, "none"),
    ],
)
def test_what_has_no_answer_is_one_error(
    run: Run, photos: Path, arguments: list[str], code: int, says: str
) -> None:
    (photos / "texts").write_text("a dog\n")
    (photos / "blank").write_text("\n \n")
    result = run(*(each.replace("{photos}", str(photos)) for each in arguments))
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""
    if code == 1:
        assert len(result.stderr.splitlines()) == 1
