"""Embeddings as Parquet files, made on a cluster without an index.

Only this process writes, so that each picture is in the files once whatever the cluster loses,
and a local folder is one of the machine where it was asked for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from searchengine.catalog.paths import is_url
from searchengine.errors import ClusterError
from searchengine.images import UnreadableFolder
from searchengine.scale.cluster import addresses, sources
from searchengine.scale.cluster.driver import ClusterWorkers
from searchengine.types import EncoderSpec, Failure, NothingKnown, Progress, Reading, Scope, Task

MANIFEST: Final = "_embeddings.json"
"""What reads a folder of Parquet files passes over names that start with an underscore."""

_FILE_ROWS: Final = 250_000
_TOGETHER: Final = 4096  # rows written at a time


class Written(NamedTuple):
    """What was written, and whether it is all that there was to embed."""

    images: int
    failed: int
    files: int
    complete: bool


def write(
    workers: ClusterWorkers,
    folders: Iterable[str | Path],
    out: str,
    scope: Scope,
    progress: Progress,
    stop: threading.Event,
) -> Written:
    """Embed the pictures of folders into `part-00000.parquet` and on, below a folder or address.

    A row has path, size, mtime_ns, digest (hex), width, height, format, taken_at, camera, lens,
    latitude, longitude, phash, and embedding, `dim` float32. Copies have a row each. Beside the
    files, `_embeddings.json` tells the model, the failures, and whether the work was done or
    stopped.

    Raises `ClusterError` where there is something at `out` already or it cannot be written, and
    what `ClusterWorkers.embed` raises; what was embedded until then is kept.
    """
    listed = workers.list_folders(folders)
    place = _Place(out)
    tasks, unlisted = _tasks(workers, listed, scope)
    spec = workers.folder.spec
    failures: list[Failure] = []
    progress(0, len(tasks))
    done = 0
    files = _Files(place, spec)
    try:
        for batch in workers.embed(tasks, NothingKnown(), stop) if tasks else ():
            failures += [Failure(each.task.file, each.reason) for each in batch if each.reason]
            files.write([each for each in batch if not each.reason])
            done += len(batch)
            progress(done, len(tasks))
    finally:
        files.close()
        complete = done == len(tasks) and not unlisted
        place.write_text(MANIFEST, _manifest(spec, files, failures, unlisted, complete))
    return Written(files.rows, len(failures), files.count, complete)


def _tasks(
    workers: ClusterWorkers, roots: Iterable[str], scope: Scope
) -> tuple[list[Task], list[str]]:
    """The pictures of folders, and what could not be listed."""
    tasks, unlisted = [], []
    for root in roots:
        for each in workers.walk(root, "", scope):
            if isinstance(each, UnreadableFolder):
                unlisted.append(f"{root}/{each.path}: {each.reason}")
            else:
                tasks.append(Task(each))
    return tasks, unlisted


def _manifest(
    spec: EncoderSpec,
    files: _Files,
    failures: Sequence[Failure],
    unlisted: Sequence[str],
    complete: bool,
) -> str:
    content = {
        "model": asdict(spec),
        "images": files.rows,
        "files": files.count,
        "complete": complete,
        "failures": [{"path": _utf8(f.file.absolute), "reason": f.reason} for f in failures],
        "not_listed": [_utf8(each) for each in unlisted],
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


class _Place:
    """A new folder, of this machine or behind an address."""

    def __init__(self, out: str) -> None:
        self.name = sources.name_folder(out)
        if addresses.has_entries(self.name):
            raise ClusterError(f"{self.name} exists already and is not empty; name a new folder")
        self.system, self.path = addresses.open_root(self.name)
        if not is_url(self.name):
            self._guard(self.system.makedirs, self.path, exist_ok=True)

    def open(self, name: str) -> Any:
        """A new file to write to."""
        return self._guard(self.system.open, f"{self.path}/{name}", "wb")

    def write_text(self, name: str, text: str) -> None:
        """Write a small file."""
        self._guard(self.system.pipe_file, f"{self.path}/{name}", text.encode())

    def _guard(self, act: Any, *args: Any, **options: Any) -> Any:
        return addresses.guarded(self.name, act, *args, **options)


class _Files:
    """Parquet files that are begun one after the other."""

    def __init__(self, place: _Place, spec: EncoderSpec) -> None:
        self.place = place
        self.schema = _schema(spec)
        self.rows = self.count = 0
        self._waiting: list[Reading] = []
        self._file: Any = None
        self._writer: Any = None

    def write(self, readings: Sequence[Reading]) -> None:
        """Add readings that have an embedding."""
        self._waiting += readings
        self.rows += len(readings)
        if len(self._waiting) >= _TOGETHER:
            self._flush()

    def close(self) -> None:
        """Write what waits, and end the last file; without any row there is one empty file."""
        if self._waiting or self._writer is None:
            self._flush()
        self._end()

    def _flush(self) -> None:
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        if self._writer is None:
            self._file = self.place.open(f"part-{self.count:05}.parquet")
            self._writer = ParquetWriter(
                self._file,
                self.schema,
                compression="zstd",
                use_byte_stream_split=["embedding.list.element"],
                use_dictionary=["format", "camera", "lens"],
            )
            self._begun_at, self.count = self.rows - len(self._waiting), self.count + 1
        rows = [_row(each) for each in self._waiting]
        addresses.guarded(
            self.place.name, self._writer.write_table, pa.Table.from_pylist(rows, self.schema)
        )
        self._waiting = []
        if self.rows - self._begun_at >= _FILE_ROWS:
            self._end()

    def _end(self) -> None:
        if self._writer is not None:
            addresses.guarded(self.place.name, self._writer.close)
            addresses.guarded(self.place.name, self._file.close)
            self._writer = None


def _row(reading: Reading) -> dict[str, Any]:
    file, info = reading.task.file, reading.info
    return {
        "path": _utf8(file.absolute),
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "digest": reading.digest.hex(),
        **(asdict(info) if info else {}),
        "embedding": np.asarray(reading.embedding, np.float32),
    }


def _utf8(text: str) -> str:
    """Names may hold other bytes, which a Parquet file may not."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _schema(spec: EncoderSpec) -> Any:
    import pyarrow as pa

    text, whole, real = pa.string(), pa.int64(), pa.float64()
    return pa.schema(
        [
            *(("path", text), ("size", whole), ("mtime_ns", whole), ("digest", text)),
            *(("width", pa.int32()), ("height", pa.int32()), ("format", text)),
            *(("taken_at", text), ("camera", text), ("lens", text)),
            *(("latitude", real), ("longitude", real), ("phash", whole)),
            ("embedding", pa.list_(pa.float32(), spec.dim)),
        ],
        metadata={b"searchengine": json.dumps(asdict(spec))},
    )
