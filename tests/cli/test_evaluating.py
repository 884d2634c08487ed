"""`searchengine evaluate`."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from searchengine import encoders
from searchengine.evaluation import extras
from tests.cli.conftest import Run, json_lines
from tests.evaluation.toys import fill_classes, loaded_once
from tests.pictures import fill


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "load", loaded_once)


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of `photos/`, one of which is broken, and of their `captions.csv`."""
    home = tmp_path_factory.mktemp("captioned")
    fill(home / "photos", 4)
    (home / "photos" / "0003.jpg").write_bytes(b"broken")
    rows = [f"000{n % 5}.jpg,picture number {n}" for n in range(10)]
    (home / "captions.csv").write_text("\n".join(["image,caption", *rows]))
    (home / "named.csv").write_text("image,caption\nphotos/0000.jpg,a picture\n")
    return home


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of pictures in one colour."""
    folder = tmp_path_factory.mktemp("colours")
    fill_classes(folder, 5)
    return folder


def test_recall_has_the_fixed_json_and_says_what_it_left_out(run: Run, captioned: Path) -> None:
    result = run(
        "evaluate",
        *("recall", captioned / "captions.csv", "--images", captioned / "photos", "--json"),
    )
    (found,) = json_lines(result)
    for direction in ("text_to_image", "image_to_text"):
        assert list(found[direction]) == ["R@1", "R@5", "R@10", "median_rank"]
        assert found[direction]["R@10"] == 100  # of three pictures and six captions
        assert 1 <= found[direction]["median_rank"] <= 6
    assert (found["images"], found["captions"]) == (3, 6)
    assert found["model"] == "builtin"
    assert found["skipped"] == {"image is missing": 2}
    assert [each["image"] for each in found["failures"]] == ["0003.jpg"]
    assert "skipped: image is missing (2)" in result.stderr
    assert "0003.jpg: not a picture" in result.stderr


def test_recall_as_a_table(run: Run, captioned: Path) -> None:
    result = run("evaluate", "recall", captioned / "captions.csv", "--images", captioned / "photos")
    head, texts, images, counts = result.stdout.splitlines()
    assert head.split() == ["R@1", "R@5", "R@10", "median", "rank"]
    assert texts.startswith("text to image")
    assert images.startswith("image to text")
    assert len({len(line) for line in (head, texts, images)}) == 1
    assert counts == "3 pictures, 6 captions"


def test_recall_of_an_index_takes_its_captions_and_its_model(
    run: Run, captioned: Path, other_model: Path, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    options = ["--captions", captioned / "captions.csv", "--quiet"]
    run("index", captioned / "photos", "--index", index, "--model", other_model, *options)
    (found,) = json_lines(run("evaluate", "recall", index, "--json"))
    assert (found["images"], found["captions"]) == (3, 6)
    assert found["model"] == str(other_model)
    (found,) = json_lines(run("evaluate", "recall", index, "--model", "builtin", "--json"))
    assert found["model"] == "builtin"


def test_zeroshot_tells_people_and_programs_the_same(
    run: Run, colours: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "confusion.png"
    result = run("evaluate", "zeroshot", colours, "--json", "--confusion", picture)
    (found,) = json_lines(result)
    assert {"top1", "top5", "mean_per_class", "per_class", "images"} <= found.keys()
    assert (found["images"], found["top5"]) == (15, 100)
    assert [each["class"] for each in found["per_class"]] == ["blue", "green", "red"]
    assert sum(each["images"] for each in found["per_class"]) == 15
    assert found["skipped"] == {}
    assert found["failures"] == []
    with Image.open(picture) as image:
        assert image.format == "PNG"
    lines = run("evaluate", "zeroshot", colours).stdout.splitlines()
    assert lines[0].startswith(f"top-1 {found['top1']:.2f} %")
    assert lines[0].endswith("(15 pictures, 3 classes)")
    assert lines[2].split()[:3] == ["pictures", "top-1", "class"]
    assert [line.split()[2] for line in lines[3:]] == ["blue", "green", "red"]


def test_zeroshot_by_a_file_of_labels_with_own_names_and_templates(
    run: Run, colours: Path, tmp_path: Path
) -> None:
    labels, names = tmp_path / "labels.csv", tmp_path / "names.csv"
    labels.write_text("image,label\nred/000.png,a\nblue/000.png,b\ngreen/000.png,c\nno.png,a\n")
    names.write_text("folder,name\na,red\nb,red\n")
    result = run(
        *("evaluate", "zeroshot", colours, "--labels", labels, "--classnames", names),
        *("--template", "the colour {}", "--template", "{}", "--json"),
    )
    (found,) = json_lines(result)
    assert [each["class"] for each in found["per_class"]] == ["red", "red", "c"]
    assert found["skipped"] == {"rows whose picture is not there": 1}
    assert "2 classes are called red" in result.stderr
    # One text for both: a picture is at best half recognised.
    assert {each["top1"] for each in found["per_class"][:2]} <= {0, 50}


def test_probe_measures_and_says_on_what(run: Run, colours: Path, tmp_path: Path) -> None:
    (found,) = json_lines(run("evaluate", "probe", colours, "--shots", "1,2", "--json"))
    assert found["accuracy"] == 100
    assert (found["train"], found["validation"], found["test"]) == (9, 3, 3)
    assert [each["shots"] for each in found["few_shot"]] == [1, 2]
    assert {"mean", "std"} <= found["few_shot"][0].keys()
    fill_classes(tmp_path, 2, first=70)
    fill(tmp_path / "stranger", 1)
    result = run("evaluate", "probe", colours, "--test", tmp_path)
    assert result.stdout.startswith("accuracy 100.00 %")
    assert "12 pictures to train, 3 to choose C (then trained on too), 6 measured on" in (
        result.stdout
    )
    assert "left out" in result.stderr
    assert "stranger" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["recall", "none.csv"], 1, "none.csv"),
        (["recall", "{home}/captions.csv", "--images", "{home}/no"], 1, "not a folder"),
        (["zeroshot", "{home}"], 1, "only the class photos"),
        (["zeroshot", "{home}/photos"], 1, "no labelled picture"),
        (["zeroshot", "{home}/none"], 1, "cannot list"),
        (["zeroshot", "{home}", "--template", "no place"], 1, "photo of a {{}}"),
        (["zeroshot", "{home}", "--confusion", "a.gif"], 1, "PNG"),
        (["zeroshot", "{home}", "--labels", "{home}/none"], 1, "cannot read"),
        (["zeroshot", "{home}", "--templates", "none"], 2, "imagenet"),
        (["probe", "{home}"], 1, "only the class photos"),
        (["probe", "{home}", "--shots", "1,x"], 2, "1,2,4,8,16"),
        (["probe", "{home}", "--shots", "0"], 2, "1,2,4,8,16"),
        (["recall", "{home}/named.csv", "--model", "none"], 1, "no model named none"),
    ],
)
def test_what_cannot_be_measured_is_one_error(
    run: Run, captioned: Path, arguments: list[str], code: int, says: str
) -> None:
    result = run("evaluate", *(each.replace("{home}", str(captioned)) for each in arguments))
    assert result.exit_code == code
    assert says.replace("{{}}", "{}") in result.stderr
    assert result.stdout == ""
    if code == 1:
        assert len(result.stderr.splitlines()) == 1


def test_an_extra_that_is_missing_is_named_before_the_work(
    run: Run, colours: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    for arguments in (["probe", colours], ["zeroshot", colours, "--confusion", tmp_path / "a.png"]):
        result = run("evaluate", *arguments)
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert "pip install 'searchengine[evaluate]'" in line


def test_zeroshot_needs_neither_scikit_learn_nor_matplotlib(
    run: Run, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = builtins.__import__

    def without(name: str, *rest: object) -> ModuleType:
        if name.partition(".")[0] in ("sklearn", "matplotlib"):
            raise ImportError(name)
        return genuine(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert json.loads(run("evaluate", "zeroshot", colours, "--json").stdout)["images"] == 15
