"""This machine as the worker: a pool of threads that decode, and an encoder."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from searchengine import images
from searchengine.catalog.paths import is_url, outermost
from searchengine.errors import ImageError
from searchengine.types import (
    Encoder,
    ImageFile,
    ImageInfo,
    KnownContent,
    Pixels,
    Reading,
    Scope,
    Task,
)

SHARD = ".tar"


class LocalWorkers:
    """Reads local folders in a pool of threads, and encodes in the calling one.

    The encoder is loaded only when there is something to encode.
    """

    def __init__(self, load_encoder: Callable[[], Encoder]) -> None:
        self.load_encoder = load_encoder

    def list_folders(self, folders: Iterable[str | Path]) -> dict[str, bool]:
        """See `list_folders`."""
        return list_folders(folders)

    def walk(
        self, root: str, under: str, scope: Scope
    ) -> Iterator[ImageFile | images.UnreadableFolder]:
        """See `images.walk`."""
        return images.walk(
            root, under=under, include_hidden=scope.include_hidden, exclude=scope.exclude
        )

    def out_of_sight(self, root: str, paths: Iterable[str]) -> set[str]:
        """What is behind an address, or inside of a shard that is there: a cluster reads those."""
        return {path for path in paths if is_url(root) or _is_in_shard(root, path)}

    def is_gone(self, file: ImageFile) -> bool:
        """Whether a file is missing, while its root is there: of an unmounted drive nothing is."""
        if not os.path.isdir(file.root) or os.path.lexists(file.absolute):
            return False
        return not _is_in_shard(file.root, file.path)

    def embed(
        self, tasks: Sequence[Task], known: KnownContent, stop: threading.Event
    ) -> Iterator[list[Reading]]:
        """Decode in a bounded look-ahead pool, encode each new content once."""
        encoder = self.load_encoder()
        read = partial(_read, encoder, known)
        for batch in images.read_batches(read, tasks, encoder.batch_size, stop):
            yield _encode(encoder, known, batch)


class _Decoded(NamedTuple):
    info: ImageInfo
    pixels: Pixels


class _Read(NamedTuple):
    """A file that was read. Its content is `decoded`, or known already, or there is a `reason`."""

    task: Task
    digest: bytes = b""
    decoded: _Decoded | None = None
    reason: str = ""


def _read(encoder: Encoder, known: KnownContent, task: Task) -> _Read:
    """Hash a file and, unless its content is known, decode it. Runs in the pool."""
    try:
        digest, picture = images.read_unless_known(
            task.file.absolute,
            partial(known.holds, task.file.size),
            min_side=min(encoder.pixel_shape[1:]),
        )
    except ImageError as error:
        return _Read(task, reason=str(error))
    if picture is None:
        return _Read(task, digest)
    return _Read(task, digest, _Decoded(picture.info, encoder.preprocess(picture.image)))


def _encode(encoder: Encoder, known: KnownContent, batch: Sequence[_Read]) -> list[Reading]:
    """Encode each new content once, whichever files have it."""
    contents = {item.digest: item.decoded for item in batch if item.decoded is not None}
    for digest in known.among(contents):
        del contents[digest]
    embeddings: dict[bytes, NDArray[np.float32]] = {}
    if contents:
        pixels = np.stack([each.pixels for each in contents.values()])
        embeddings = dict(zip(contents, encoder.encode_images(pixels), strict=True))
    return [
        Reading(
            item.task,
            item.digest,
            item.decoded.info if item.decoded else None,
            embeddings.get(item.digest),
            item.reason,
        )
        for item in batch
    ]


def list_folders(folders: Iterable[str | Path]) -> dict[str, bool]:
    """Absolute paths of folders, and whether there is anything in each.

    Those that lie inside another one are left out. Raises `ImageError` where one is no folder, or
    cannot be listed.
    """
    folders = list(folders)
    for folder in folders:
        if is_url(folder):
            raise ImageError(f"{folder} is not a folder of this machine; --ray reads addresses")
    paths = (os.path.abspath(os.path.expanduser(folder)) for folder in folders)
    try:
        return {path: bool(os.listdir(path)) for path in outermost(paths)}
    except OSError as error:
        raise ImageError(
            f"cannot list the folder {error.filename}: {error.strerror}; nothing was changed"
        ) from error


def _is_in_shard(root: str, path: str) -> bool:
    """Whether a path leads into a tar archive that is there."""
    parts = path.split("/")
    return any(
        part.lower().endswith(SHARD) and os.path.isfile(os.path.join(root, *parts[: number + 1]))
        for number, part in enumerate(parts[:-1])
    )
