"""Labelled pictures: a folder of class folders, or a folder and a file of labels."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from searchengine import images
from searchengine.errors import EvaluationError
from searchengine.types import ImageFile

_SPLITS = {"train", "training", "val", "valid", "validation", "test"}
_JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """A picture file and the number of its class; `name` is its path below the folder given."""

    name: str
    path: str
    label: int
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class LabelledImages:
    """Pictures and their classes: `keys` as folders or labels have them, `names` as people do.

    `skipped` counts what was left out, by reason.
    """

    images: tuple[LabelledImage, ...]
    keys: tuple[str, ...]
    names: tuple[str, ...]
    skipped: Mapping[str, int]


def read_labelled(
    folder: Path, labels: Path | None = None, classnames: Path | None = None
) -> LabelledImages:
    """List the labelled pictures below `folder`; no picture is opened.

    A picture's class is the first folder on its path. With `labels`, it is what that file says:
    CSV of `image,label` or JSON lines of {"image", "label"}, with paths relative to `folder`.
    `classnames`, CSV of `folder,name`, names classes in words; others are called by their folder
    or label, with underscores and hyphens as spaces.

    Raises `EvaluationError` when a file cannot be read or there are not two classes, `ImageError`
    when the folder cannot be listed.
    """
    skipped: Counter[str] = Counter()
    listed = (
        _from_folders(folder, skipped) if labels is None else _from_file(folder, labels, skipped)
    )
    pairs = [(name, key) for name, key in listed if key]
    keys = tuple(sorted({key for _, key in pairs}))
    _require_classes(folder, keys, skipped, by_folder=labels is None)
    numbers = {key: number for number, key in enumerate(keys)}
    found = tuple(
        LabelledImage(name, os.path.join(folder, name), numbers[key]) for name, key in pairs
    )
    return LabelledImages(found, keys, _names(keys, classnames), dict(skipped))


def _from_folders(folder: Path, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    """The path and the class folder of every picture below `folder`, in sorted order."""
    root = os.path.abspath(folder)
    seen = set()
    for found in images.walk(root):
        if not isinstance(found, ImageFile):
            skipped["unreadable folders"] += 1
            continue
        key, slash, _ = found.path.partition("/")
        if slash:
            seen.add(key)
            yield found.path, key
        else:
            skipped["pictures outside of a class folder"] += 1
    for name in set(os.listdir(root)) - seen:
        if not name.startswith(".") and os.path.isdir(os.path.join(root, name)):
            skipped["class folders without a picture"] += 1


def _from_file(folder: Path, file: Path, skipped: Counter[str]) -> Iterator[tuple[str, str]]:
    """The path and the label of every row whose picture is there."""
    for name, key in _rows(file, ("image", "label")):
        if not (name and key):
            skipped["rows without an image and a label"] += 1
        elif not os.path.isfile(os.path.join(folder, name)):
            skipped["rows whose picture is not there"] += 1
        else:
            yield name, key


def _rows(file: Path, columns: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """Two columns of a CSV file, with or without a header, or of JSON lines; "" where missing."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            if file.suffix.lower() in _JSON_LINES:
                for line in filter(str.strip, lines):
                    row = json.loads(line)
                    cells = ["" if row.get(name) is None else str(row[name]) for name in columns]
                    yield cells[0].strip(), cells[1].strip()
                return
            first, second = 0, 1
            for number, cells in enumerate(csv.reader(lines)):
                header = [cell.strip().lower() for cell in cells]
                if number == 0 and set(columns) <= set(header):
                    first, second = header.index(columns[0]), header.index(columns[1])
                elif cells:
                    padded = [*cells, *[""] * (max(first, second) + 1)]
                    yield padded[first].strip(), padded[second].strip()
    except OSError as error:
        raise EvaluationError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, AttributeError, csv.Error) as error:
        raise EvaluationError(
            f"{file} is neither CSV of {','.join(columns)} nor JSON lines in UTF-8: {error}"
        ) from error


def _names(keys: tuple[str, ...], classnames: Path | None) -> tuple[str, ...]:
    given = dict(_rows(classnames, ("folder", "name"))) if classnames else {}
    if classnames and not given.keys() & set(keys):
        raise EvaluationError(
            f"{classnames} names none of the classes (the first is {keys[0]}); "
            "write a line `folder,name` for each"
        )
    return tuple(given.get(key) or " ".join(_spaced(key).split()) or key for key in keys)


def _spaced(key: str) -> str:
    return key.replace("_", " ").replace("-", " ")


def _require_classes(
    folder: Path, keys: tuple[str, ...], skipped: Mapping[str, int], *, by_folder: bool
) -> None:
    """Raise `EvaluationError` unless there are two classes, and no sign of a misunderstanding."""
    if by_folder and keys and {key.lower() for key in keys} <= _SPLITS:
        raise EvaluationError(
            f"the folders in {folder} are splits, not classes; name one of them: "
            f"{os.path.join(folder, keys[-1])}"
        )
    if len(keys) >= 2:
        return
    found = f"only the class {keys[0]}" if keys else "no labelled picture"
    reasons = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
    wanted = "give each class a folder of pictures" if by_folder else "give at least two labels"
    raise EvaluationError(
        f"there is {found} in {folder}{f'; skipped: {reasons}' if reasons else ''}; {wanted}"
    )
