"""JSON lines and COCO's captions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from searchengine.captions import read_captions
from searchengine.errors import CaptionError
from tests.captions.toys import as_coco, shown, write


@pytest.mark.parametrize("image", ["image", "file_name", "filename", "filepath", "path"])
@pytest.mark.parametrize("caption", ["caption", "text", "title", "captions"])
def test_keys_of_json_lines(photos: Path, image: str, caption: str) -> None:
    lines = [{image: "a.jpg", caption: "a dog", "id": 7}, {caption: ["x", "y"], image: "b.jpg"}]
    text = "\ufeff" + "\n\n".join(map(json.dumps, lines))
    for name in ("x.jsonl", "x.NDJSON"):
        captions = read_captions(write(photos, name, text))
        assert shown(captions) == {"a.jpg": ("a dog",), "b.jpg": ("x", "y")}


def test_null_and_an_empty_list_are_empty_captions(photos: Path) -> None:
    values = [None, [], ["", "a dog", None]]
    text = "".join(json.dumps({"image": "a.jpg", "caption": value}) + "\n" for value in values)
    captions = read_captions(write(photos, "x.jsonl", text))
    assert (shown(captions), captions.skipped) == ({"a.jpg": ("a dog",)}, {"caption is empty": 4})


def test_half_a_pair_of_surrogates_becomes_a_question_mark(photos: Path) -> None:
    text = r'{"image": "a.jpg", "caption": "\ud83d \ud83d\udc15"}' + "\n"
    text += r'{"image": "\ud83d.jpg", "caption": "x"}' + "\n"
    captions = read_captions(write(photos, "x.jsonl", text))
    assert shown(captions) == {"a.jpg": ("? 🐕",)}
    assert captions.examples == ("x.jsonl:2: image is missing: ?.jpg",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "x.jsonl:3: this is not JSON: .*, column 2"),
        ("[" * 100_000, "x.jsonl:3: this is not usable JSON"),
        ('{"n": ' + "9" * 5000 + "}", "x.jsonl:3: this is not usable JSON"),
        ("[]", "x.jsonl:3: not a JSON object but a list"),
        ("3", "but a number"),
        ('{"photo": "a.jpg", "caption": "x"}', "x.jsonl:3: .*found photo, caption; expected"),
        ('{"image": "a.jpg"}', "lacks a key: found image; expected"),
        ("{}", "found nothing"),
        ('{"image": 3, "caption": "x"}', "x.jsonl:3: the picture's name is a number"),
        ('{"image": "a.jpg", "caption": {}}', "x.jsonl:3: the caption is an object"),
        ('{"image": "a.jpg", "caption": ["x", 3]}', "the caption is a number"),
        (b'{"image": "\xe9"}', "x.jsonl:3: this is not UTF-8"),
    ],
)
def test_a_line_that_is_no_captioned_image(photos: Path, line: str | bytes, message: str) -> None:
    line = line.encode() if isinstance(line, str) else line
    text = b'\n{"image": "a.jpg", "caption": "a dog"}\n' + line + b"\n"
    with pytest.raises(CaptionError, match=message):
        read_captions(write(photos, "x.jsonl", text))


def test_an_unknown_image_id_is_a_missing_image(photos: Path) -> None:
    rows = [("a.jpg", "a dog"), ("b.jpg", "a cat"), ("no.jpg", "x")]
    captions = read_captions(write(photos, "x.json", as_coco(rows, unknown=["b.jpg"])))
    assert shown(captions) == {"a.jpg": ("a dog",)}
    assert captions.examples == (
        "x.json: annotations[1]: image is missing: image_id 10",
        "x.json: annotations[2]: image is missing: no.jpg",
    )


IMAGES = [{"id": 1, "file_name": "a.jpg"}, {"id": "two", "file_name": "b.jpg"}]


def test_ids_may_be_texts_and_images_given_twice(photos: Path) -> None:
    texts = [{"image_id": "two", "caption": "a cat"}]
    document = json.dumps({"images": IMAGES * 2, "annotations": texts}, indent=1)
    assert shown(read_captions(write(photos, "x.json", document))) == {"b.jpg": ("a cat",)}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "x.json:1: no list of images"),
        ({"images": IMAGES}, "no list of annotations; .*jsonl"),
        ({"images": {}, "annotations": []}, "no list of images"),
        ({"images": ["a.jpg"], "annotations": []}, r"images\[0\]: not an object but a string"),
        ({"images": [{"id": 1}], "annotations": []}, r"images\[0\]: the picture's name is null"),
        ({"images": [{"file_name": "a"}], "annotations": []}, "the image's id is null"),
        ({"images": [{"id": [1], "file_name": "a"}], "annotations": []}, "id is a list"),
        (
            {"images": [*IMAGES, {"id": 1, "file_name": "b.jpg"}], "annotations": []},
            r"images\[2\]: the id 1 is that of another image",
        ),
        ({"images": IMAGES, "annotations": [{"image_id": 1, "bbox": []}]}, "captions_.*json"),
        ({"images": IMAGES, "annotations": [{"image_id": 1, "caption": 3}]}, "is a number"),
        ({"images": IMAGES, "annotations": [3]}, r"annotations\[0\]: not an object but a number"),
    ],
)
def test_a_document_that_is_not_cocos(photos: Path, document: Any, message: str) -> None:
    with pytest.raises(CaptionError, match=message):
        read_captions(write(photos, "x.json", json.dumps(document)))


def test_damage_is_named_with_its_line(photos: Path) -> None:
    with pytest.raises(CaptionError, match=r"x\.json:3: this is not JSON"):
        read_captions(write(photos, "x.json", '{"images": [],\n"annotations":\n[}'))
    with pytest.raises(CaptionError, match=r"x\.json:2: this is not UTF-8"):
        read_captions(write(photos, "x.json", b'{"images":\n"\xff"}'))
