"""Captions in JSON: one object a line, or COCO's document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from searchengine.captions.lines import decode, lines
from searchengine.captions.rows import (
    CAPTION_NAMES,
    IMAGE_IS_MISSING,
    IMAGE_NAMES,
    Row,
    Rows,
    Skip,
    expected,
)
from searchengine.errors import CaptionError


def read_json_lines(source: Path) -> Iterator[Row]:
    """Read objects with a picture's name and its caption, or a list of them.

    Raises `CaptionError` at a line that is no such object.
    """
    for number, line in lines(source):
        if not line.strip():
            continue
        where = f"{source.name}:{number}"
        entry = parse(line.rstrip(), source.name, number)
        if not isinstance(entry, dict):
            raise CaptionError(f"{where}: not a JSON object but {_kind(entry)}")
        name = _name(_pick(entry, IMAGE_NAMES, where), where)
        for caption in captions_of(entry, where):
            yield Row(where, name, name, caption)


def read_coco(source: Path) -> Rows:
    """Read COCO's captions (Chen et al. 2015, arXiv:1504.00325).

    Its `images` have an `id` and a `file_name`; its `annotations` an `image_id` and a `caption`.
    Raises `CaptionError` where one of these is not there, or not of its type.
    """
    document = parse(decode(source.read_bytes(), source.name), source.name)
    names: dict[int | str, str] = {}
    for where, image in _entries(document, "images", source.name):
        image_id, name = _id(image.get("id"), where), _name(image.get("file_name"), where)
        if names.setdefault(image_id, name) != name:
            raise CaptionError(f"{where}: the id {image_id} is that of another image already")
    for where, annotation in _entries(document, "annotations", source.name):
        image_id = _id(annotation.get("image_id"), where)
        if "caption" not in annotation:
            raise CaptionError(f"{where}: no caption; is this one of COCO's captions_*.json?")
        if image_id not in names:
            yield Skip(where, IMAGE_IS_MISSING, f"image_id {image_id}")
            continue
        name = names[image_id]
        for caption in captions_of(annotation, where):
            yield Row(where, name, name, caption)


def parse(text: str, name: str, first: int = 1) -> Any:
    """The value that JSON text means; `first` is the number of its first line in its file.

    Raises `CaptionError` with the line where it is not JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first + error.lineno - 1
        reason = f"{error.msg.lower()}, column {error.colno}"
        raise CaptionError(f"{name}:{line}: this is not JSON: {reason}; mend it") from error
    except (ValueError, RecursionError) as error:  # a number or a nesting without end
        raise CaptionError(f"{name}:{first}: this is not usable JSON: {error}") from error


def captions_of(entry: Mapping[str, Any], where: str) -> Sequence[str]:
    """The captions of an object, at least one; null or an empty list is one empty caption.

    Raises `CaptionError` where the object has none, or what is no text.
    """
    value = _pick(entry, CAPTION_NAMES, where)
    texts = value if isinstance(value, list) else [value]
    for text in texts:
        if not isinstance(text, str | None):
            raise CaptionError(f"{where}: the caption is {_kind(text)}; expected a string")
    return [text or "" for text in texts] or [""]


def _pick(entry: Mapping[str, Any], names: Sequence[str], where: str) -> Any:
    for name in names:
        if name in entry:
            return entry[name]
    raise CaptionError(f"{where}: the object lacks a key: {expected(entry)}")


def _entries(document: Any, key: str, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (place, object) of each object in one of the document's lists."""
    entries = document.get(key) if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise CaptionError(
            f"{name}:1: no list of {key}; a .json file of captions has COCO's `images` and "
            "`annotations`, and one object a line is a .jsonl file"
        )
    for number, entry in enumerate(entries):
        where = f"{name}: {key}[{number}]"
        if not isinstance(entry, dict):
            raise CaptionError(f"{where}: not an object but {_kind(entry)}")
        yield where, entry


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise CaptionError(f"{where}: the picture's name is {_kind(value)}; expected a string")
    return value.strip()


def _id(value: Any, where: str) -> int | str:
    if not isinstance(value, int | str):
        raise CaptionError(f"{where}: the image's id is {_kind(value)}; expected a number")
    return value


def _kind(value: Any) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a truth value",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")
