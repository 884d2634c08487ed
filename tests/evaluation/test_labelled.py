"""Labelled pictures from class folders and from files of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from searchengine.errors import EvaluationError, ImageError
from searchengine.evaluation.labelled import LabelledImages, read_labelled
from tests.evaluation.toys import fill_classes
from tests.pictures import fill


def pairs(labelled: LabelledImages) -> list[tuple[str, str]]:
    assert all(Path(each.path).is_file() for each in labelled.images)
    return [(each.name, labelled.keys[each.label]) for each in labelled.images]


def test_class_folders_at_any_depth(tmp_path: Path) -> None:
    fill(tmp_path / "gas_pump", 2)
    fill(tmp_path / "french-horn" / "deep" / "deeper", 1)
    fill(tmp_path / ".hidden", 1)
    (tmp_path / "gas_pump" / "notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    fill(tmp_path, 1)
    found = read_labelled(tmp_path)
    assert found.keys == ("french-horn", "gas_pump")
    assert found.names == ("french horn", "gas pump")
    assert pairs(found) == [
        ("french-horn/deep/deeper/0000.jpg", "french-horn"),
        ("gas_pump/0000.jpg", "gas_pump"),
        ("gas_pump/0001.jpg", "gas_pump"),
    ]
    assert found.skipped == {
        "pictures outside of a class folder": 1,
        "class folders without a picture": 1,
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "image,label\n0000.jpg,cat\n0001.jpg,dog\n"),
        ("a.csv", "\ufefflabel,more,Image\r\ncat,x,0000.jpg\r\ndog,y,0001.jpg\r\n"),
        ("a.txt", '0000.jpg,cat\n\n"0001.jpg", dog \n'),
        (
            "a.jsonl",
            '{"image": "0000.jpg", "label": "cat"}\n\n{"image": "0001.jpg", "label": "dog"}',
        ),
    ],
)
def test_files_of_labels(tmp_path: Path, name: str, content: str) -> None:
    fill(tmp_path / "pictures", 3)
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    found = read_labelled(tmp_path / "pictures", tmp_path / name)
    assert pairs(found) == [("0000.jpg", "cat"), ("0001.jpg", "dog")]
    assert found.skipped == {}


def test_rows_of_no_use_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label\n0000.jpg,0\n0001.jpg,1\n0001.jpg\n,2\nmissing.jpg,3\n")
    found = read_labelled(tmp_path, labels)
    assert found.keys == ("0", "1")
    assert found.skipped == {
        "rows without an image and a label": 2,
        "rows whose picture is not there": 1,
    }
    lines = tmp_path / "labels.jsonl"
    lines.write_text(
        '{"image":"0000.jpg","label":0}\n{"image":"0001.jpg","label":null}\n'
        '{"image":"0001.jpg","label":7}\n'
    )
    assert read_labelled(tmp_path, lines).keys == ("0", "7")


def test_class_names_from_a_file(tmp_path: Path) -> None:
    for key in ("n01440764", "n02102040", "some_other"):
        fill(tmp_path / "data" / key, 1)
    names = tmp_path / "names.csv"
    names.write_text('folder,name\nn01440764,"tench, a fish"\nn02102040,English springer\nn9,x\n')
    found = read_labelled(tmp_path / "data", None, names)
    assert found.names == ("tench, a fish", "English springer", "some other")
    names.write_text("other,tench\n")
    with pytest.raises(EvaluationError, match="names none of the classes"):
        read_labelled(tmp_path / "data", None, names)


def test_one_class_none_and_splits_are_errors(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no labelled picture"):
        read_labelled(tmp_path)
    fill(tmp_path / "cat", 1)
    with pytest.raises(EvaluationError, match="only the class cat"):
        read_labelled(tmp_path)
    fill_classes(tmp_path / "both" / "train", 1)
    fill_classes(tmp_path / "both" / "val", 1)
    with pytest.raises(EvaluationError, match=r"splits, not classes; name one of them: .*both/val"):
        read_labelled(tmp_path / "both")
    with pytest.raises(ImageError, match="cannot list"):
        read_labelled(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"\xff\xfe\x00", "neither CSV"),
        ("a.jsonl", b"[1]\n", "neither CSV"),
        ("a.jsonl", b"{", "neither CSV"),
        ("a.csv", b"gone.jpg,cat\n", r"no labelled picture.*not there \(1\)"),
        ("a.csv", b"", "no labelled picture"),
        ("gone/a.csv", None, "cannot read"),
    ],
)
def test_unusable_files_of_labels_are_one_error(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=says):
        read_labelled(tmp_path, tmp_path / name)
