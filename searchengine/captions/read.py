"""Recognise a source of captions, and read it."""

from __future__ import annotations

from pathlib import Path

from searchengine.captions.documents import read_coco, read_json_lines
from searchengine.captions.folders import read_folder
from searchengine.captions.gather import Captions, gather
from searchengine.captions.lines import lines
from searchengine.captions.rows import Rows
from searchengine.captions.shards import expand, is_pattern, read_shards, refuse_compressed
from searchengine.captions.tables import is_flickr, read_flickr, read_table
from searchengine.errors import CaptionError

KINDS = (
    "a .csv, .tsv or .txt table, a .jsonl file, COCO's .json, a folder of pictures with a .txt "
    "beside each, or .tar shards"
)


def read_captions(source: Path, images: Path | None = None) -> Captions:
    """Read captioned images: a table, JSON lines, COCO's captions, a folder, or tar shards.

    `source` may be a pattern of shards, such as `shard-{000..012}.tar`. Relative names of
    pictures are below `images`, by default the folder of the source. Captions come stripped and
    with single spaces. A row that is of no use is counted and never stops anything; a damaged
    source is a `CaptionError` that names the file and the line, and so is one without a single
    usable caption.
    """
    if images is not None and not images.is_dir():
        raise CaptionError(f"{images} is not a folder; name that of the pictures")
    try:
        if (shards := _shards(source)) is not None:
            return gather(read_shards(shards), source, None)
        if source.is_dir():
            folder = images or source
            return gather(read_folder(source, folder), source, folder)
        return gather(_read_file(source), source, images or source.parent)
    except OSError as error:
        place = error.filename or source
        raise CaptionError(f"cannot read {place}: {error.strerror or error}") from error


def _shards(source: Path) -> list[Path] | None:
    """The shards that a source stands for; None if it is of another kind."""
    if source.is_dir():
        return sorted(shard for shard in source.glob("*.tar") if shard.is_file()) or None
    refuse_compressed(source)
    if is_pattern(source) and not source.exists():
        return list(expand(source))
    if not source.exists():
        raise CaptionError(f"{source} does not exist; captions are {KINDS}")
    if not source.is_file():
        raise CaptionError(f"{source} is not a regular file; captions are {KINDS}")
    return [source] if source.suffix.lower() == ".tar" else None


def _read_file(source: Path) -> Rows:
    kind = source.suffix.lower()
    if kind not in (".csv", ".tsv", ".txt", ".token", ".jsonl", ".ndjson", ".json"):
        raise CaptionError(f"{source} is of no known kind; captions are {KINDS}")
    if kind == ".json":
        return read_coco(source)
    first = next((line for _, line in lines(source) if line.strip()), None)
    if first is None:
        raise CaptionError(f"{source} is empty; captions are {KINDS}")
    if kind in (".jsonl", ".ndjson"):
        return read_json_lines(source)
    return read_flickr(source) if is_flickr(first) else read_table(source)
