"""Captions in the hand: sources written to a folder, and what is read of them at a glance."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from searchengine.captions import Captions


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def shown(captions: Captions) -> dict[str, tuple[str, ...]]:
    return {image.name: image.captions for image in captions.images}


def as_table(rows: Sequence[tuple[str, str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("image", "caption"), *rows])
    return text.getvalue()


def as_json_lines(rows: Sequence[tuple[str, str]]) -> str:
    return "".join(json.dumps({"image": name, "caption": text}) + "\n" for name, text in rows)


def as_coco(rows: Sequence[tuple[str, str]], unknown: Iterable[str] = ()) -> str:
    """COCO's document; it does not know the images in `unknown`."""
    ids = {name: number for number, name in enumerate(dict.fromkeys(name for name, _ in rows), 9)}
    images = [{"id": ids[name], "file_name": name} for name in ids if name not in set(unknown)]
    annotations = [{"image_id": ids[name], "id": 1, "caption": text} for name, text in rows]
    return json.dumps({"info": {}, "images": images, "annotations": annotations})


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
