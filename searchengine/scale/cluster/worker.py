"""What runs on the machines of a cluster: read pictures, embed them.

Tasks and readings travel as Arrow tables. Paths are bytes in them, as names need not be UTF-8.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from searchengine import encoders, images
from searchengine.catalog.paths import is_url
from searchengine.encoders.preprocess import Preprocess
from searchengine.errors import ClusterError, ImageError, ModelError
from searchengine.scale.cluster import addresses
from searchengine.scale.cluster.shards import ShardMember
from searchengine.scale.cluster.shipping import ShippedModel
from searchengine.types import ImageInfo, Task

DEATHS: Final = 4
"""How many processes may die at the same work before it is given up."""

_TOGETHER: Final = 32

TASKS = pa.schema(
    [
        *(("number", pa.int64()), ("root", pa.binary()), ("path", pa.binary())),
        *(("offset", pa.int64()), ("size", pa.int64())),
        ("known", pa.list_(pa.binary())),
    ]
)
"""`offset` only of what is inside of a shard; `known` are digests that need no embedding."""

READINGS = pa.schema(
    [
        *(("number", pa.int64()), ("digest", pa.binary()), ("info", pa.string())),
        *(("embedding", pa.binary()), ("reason", pa.string()), ("node", pa.string())),
    ]
)
"""`info` is JSON, `embedding` float32; both are null where the content is known or unreadable."""

PICTURES = pa.schema(
    [*list(READINGS)[:3], ("pixels", pa.binary()), *list(READINGS)[4:], ("path", pa.binary())]
)
"""Readings before they are embedded: `pixels` are (height, width, 3) uint8, as the model takes."""


def tabulate(numbered: Sequence[tuple[int, Task]], known: Mapping[int, list[bytes]]) -> pa.Table:
    """Tasks as a table, each with the known contents of its size."""
    rows = []
    for number, (file, _) in numbered:
        where = file.shard if isinstance(file, ShardMember) else file.path
        rows.append(
            {
                "number": number,
                "root": os.fsencode(file.root),
                "path": os.fsencode(where),
                "offset": file.offset if isinstance(file, ShardMember) else None,
                "size": file.size,
                "known": known.get(file.size, []),
            }
        )
    return pa.Table.from_pylist(rows, TASKS)


class Row(NamedTuple):
    """A reading on its way."""

    number: int
    path: bytes
    digest: bytes = b""
    info: str | None = None
    array: NDArray[Any] | None = None
    """The picture, as far as it has been prepared."""
    reason: str = ""


class Reader:
    """Reads the files of tasks. Safe in many threads."""

    def __init__(self, min_side: int, prepare: Callable[[Image.Image], NDArray[Any]]) -> None:
        self.min_side = min_side
        self.prepare = prepare

    def read(self, task: dict[str, Any]) -> Row:
        """Read one file; what is wrong with it becomes a reason, with the machine an error."""
        try:
            digest, picture = self._content(task)
        except ImageError as error:
            return Row(task["number"], task["path"], reason=str(error))
        if picture is None:
            return Row(task["number"], task["path"], digest)
        info = json.dumps(asdict(picture.info))
        return Row(task["number"], task["path"], digest, info, self.prepare(picture.image))

    def _content(self, task: dict[str, Any]) -> images.Content:
        root, path = os.fsdecode(task["root"]), os.fsdecode(task["path"])
        known = frozenset(task["known"])
        if task["offset"] is None and not is_url(root):
            return self._on_disk(root, path, known)
        content = fetch(root, path, task["offset"], task["size"])
        return images.read_bytes_unless_known(
            content, path, known.__contains__, min_side=self.min_side
        )

    def _on_disk(self, root: str, path: str, known: frozenset[bytes]) -> images.Content:
        try:
            return images.read_unless_known(
                os.path.join(root, path), known.__contains__, min_side=self.min_side
            )
        except ImageError:
            require_root(root)
            raise


def fetch(root: str, path: str, offset: int | None, size: int) -> bytes:
    """The bytes of a file behind an address, or of a picture inside of a shard.

    Raises `ImageError` where it is not there, `SourceError` where its store does not answer.
    """
    try:
        if is_url(root):
            return addresses.read_bytes(root, path, None if offset is None else (offset, size))
        with open(os.path.join(root, path), "rb") as shard:
            shard.seek(offset or 0)
            return shard.read(size)
    except OSError as error:
        if not is_url(root):
            require_root(root)
        raise ImageError((error.strerror or "no such file").lower()) from error


def require_root(root: str) -> None:
    """Raise `ClusterError` where this machine does not see a folder of the index, or it is empty.

    It holds the files at hand: an empty one is where a drive is to be mounted.
    """
    try:
        with os.scandir(root) as entries:
            is_there = next(entries, None) is not None
    except OSError:
        is_there = False
    if not is_there:
        import socket

        raise ClusterError(
            f"the machine {socket.gethostname()} sees nothing in {root}; mount it at the same path "
            "on every machine of the cluster, or index an address such as s3://bucket/folder"
        )


class Attempts:
    """An actor that counts how often the same work was begun."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()

    def begin(self, what: str, number: int) -> int:
        """How often it was begun, with this time."""
        self.counts[what, number] += 1
        return self.counts[what, number]


def require_life(attempts: Any, what: str, table: pa.Table) -> None:
    """Raise `ClusterError` for work at which process after process died.

    Ray would try for ever, and where it is told how often, a lost machine counts many times.
    """
    import ray

    numbers = table["number"].to_pylist()
    if numbers and ray.get(attempts.begin.remote(what, numbers[0])) > DEATHS:
        paths = [os.fsdecode(each) for each in table["path"].to_pylist()]
        raise ClusterError(
            f"{DEATHS} processes of the cluster died one after the other while they read "
            f"{paths[0]} or one of the {len(paths) - 1} files after it, perhaps for lack of "
            "memory; what is done is kept"
        )


def read_pictures(tasks: pa.Table, *, model: ShippedModel, attempts: Any) -> Iterator[pa.Table]:
    """Tasks to pictures, where few machines can embed: a fourth of the bytes of `Pixels`."""
    import ray

    require_life(attempts, "read", tasks)
    preprocess = Preprocess.from_folder(model.unpack(ray.get))
    min_side = min(preprocess.height, preprocess.width)
    reader = Reader(min_side, lambda image: np.asarray(preprocess.fit(image)))
    for rows in images.read_batches(reader.read, tasks.to_pylist(), _TOGETHER, threading.Event()):
        pixels = [None if row.array is None else row.array.tobytes() for row in rows]
        yield _table(rows, PICTURES, pixels=pixels, path=[row.path for row in rows])


class Embedder:
    """An actor that embeds, and reads as well unless it is given pictures."""

    def __init__(self, model: ShippedModel, device: str, attempts: Any) -> None:
        import ray

        self.attempts = attempts
        self.encoder = encoders.load(model.unpack(ray.get), device)
        self.reader = Reader(min(self.encoder.pixel_shape[1:]), self.encoder.preprocess)

    def __call__(self, table: pa.Table) -> Iterator[pa.Table]:
        """Tasks or pictures to readings, batch by batch, while the next ones are read."""
        require_life(self.attempts, "embed", table)
        read = self._scale if "pixels" in table.column_names else self.reader.read
        size, never = self.encoder.batch_size, threading.Event()
        for rows in images.read_batches(read, table.to_pylist(), size, never):
            yield self._embed(rows)

    def _scale(self, row: dict[str, Any]) -> Row:
        pixels, shape = row["pixels"], (*self.encoder.pixel_shape[1:], 3)
        array = None
        if pixels is not None:
            fitted = Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape))
            # What fits already keeps its size, so that only the scaling is left to be done.
            array = self.encoder.preprocess(fitted)
        return Row(
            row["number"], row["path"], row["digest"], row["info"], array, reason=row["reason"]
        )

    def _embed(self, rows: Sequence[Row]) -> pa.Table:
        shown = {row.number: row.array for row in rows if row.array is not None}
        found: dict[int, bytes] = {}
        if shown:
            embeddings = self.encoder.encode_images(np.stack(list(shown.values())))
            found = {n: each.tobytes() for n, each in zip(shown, embeddings, strict=True)}
        return _table(rows, READINGS, embedding=[found.get(row.number) for row in rows])


def _table(rows: Sequence[Row], schema: pa.Schema, **columns: Sequence[bytes | None]) -> pa.Table:
    """Rows as a table that also says on which machine it was made."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    return pa.table(
        {
            "number": [row.number for row in rows],
            "digest": [row.digest for row in rows],
            "info": [row.info for row in rows],
            **columns,
            "reason": [row.reason for row in rows],
            "node": [node] * len(rows),
        },
        schema,
    )


def info_of(text: str) -> ImageInfo:
    """The facts of a picture from a reading's JSON."""
    return ImageInfo(**json.loads(text))


class Sight(NamedTuple):
    """What a machine says of itself."""

    node: str
    version: str
    problem: str


def look(roots: Sequence[str], model: ShippedModel) -> Sight:
    """Whether this machine can do the work: same version and model, and it sees the folders."""
    import ray

    from searchengine import __version__

    node = ray.get_runtime_context().get_node_id()
    try:
        for root in roots:
            if not is_url(root):
                require_root(root)
        model.unpack(ray.get)
    except (ClusterError, ModelError) as error:
        return Sight(node, __version__, str(error))
    return Sight(node, __version__, "")
