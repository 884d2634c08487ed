"""A folder of pictures with a text file beside each."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from searchengine.captions.lines import decode
from searchengine.captions.rows import IMAGE_IS_MISSING, Row, Rows, Skip
from searchengine.errors import CaptionError

_NO_PICTURES = ("", ".txt", ".json")


def read_folder(source: Path, images: Path) -> Rows:
    """Read `X.txt` as captions of `X.jpg`, or of `X` with any other extension.

    Every line that is not blank is a caption. Goes through all folders below in sorted order;
    dot files are skipped. The picture is at the same place below `images`, mostly `source` itself.
    """
    for folder, subfolders, names in os.walk(source, onerror=_cannot_list):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        sidecars = sorted(name for name in names if _is_sidecar(name))
        if not sidecars:
            continue
        under = Path(folder).relative_to(source).as_posix()
        pictures = _by_stem(names if images == source else _list(images / under))
        for name in sidecars:
            yield from _read_sidecar(Path(folder, name), posixpath.join(under, name), pictures)


def _read_sidecar(
    sidecar: Path, where: str, pictures: Mapping[str, list[str]]
) -> Iterator[Row | Skip]:
    where = posixpath.normpath(where)
    text = decode(sidecar.read_bytes(), where)
    if sidecar.stem not in pictures:
        yield Skip(where, IMAGE_IS_MISSING, f"{sidecar.stem}.*")
    captions = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    for picture in pictures.get(sidecar.stem, []):
        path = posixpath.join(posixpath.dirname(where), picture)
        for number, line in captions or [(1, "")]:
            yield Row(f"{where}:{number}", path, path, line)


def _is_sidecar(name: str) -> bool:
    # Not `._X.txt`: macOS leaves those, which are no text, on foreign drives.
    return name.lower().endswith(".txt") and not name.startswith(".")


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        stem, extension = os.path.splitext(name)
        if extension.lower() not in _NO_PICTURES:
            found.setdefault(stem, []).append(name)
    return found


def _list(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def _cannot_list(error: OSError) -> None:
    raise CaptionError(
        f"cannot list the folder {error.filename}: {error.strerror}; check that you may read it"
    ) from error
