"""Embedding on a cluster with Ray Data.

Tasks stream to actors that read and embed, and readings stream back to this process, which alone
writes. What a lost machine had in hand is done again by another one; a reading that comes twice
counts once.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from searchengine import encoders
from searchengine.errors import ClusterError
from searchengine.images import UnreadableFolder
from searchengine.scale.cluster import sources
from searchengine.scale.cluster.connection import LOCAL, check_address, connected, last_line
from searchengine.scale.cluster.plan import Plan, free_cpus, machines, plan
from searchengine.scale.cluster.shipping import ShippedModel
from searchengine.types import ImageFile, KnownContent, Reading, Scope, Task

_WAVE: Final = 1_000_000
"""Tasks that Ray holds at a time: some 200 bytes each."""
_BLOCK: Final = 256
"""Tasks that an actor gets at a time, and that are done again where one is lost."""
_BLOCKS_AN_ACTOR: Final = 4
_LOOK_SECONDS: Final = 120.0
_OURS: Final = re.compile(r"^searchengine\.[\w.]*Error: (.+)$", re.MULTILINE)
_MISSING: Final = re.compile(r"ModuleNotFoundError|ImportError")
_DIED: Final = re.compile(r"ActorDiedError|ActorUnavailableError|WorkerCrashedError")


class ClusterWorkers:
    """Lists folders, addresses and shards from here; reads and embeds on a Ray cluster."""

    def __init__(
        self, folder: encoders.ModelFolder, address: str = LOCAL, device: str = "auto"
    ) -> None:
        """`address` is `local`, `auto`, `HOST:PORT` or `ray://HOST:PORT`; see `connected`."""
        self.folder = folder
        self.address = check_address(address)
        self.device = device
        self.plan: Plan | None = None
        """What it comes to, once there is something to embed."""
        self.embedded: Counter[str] = Counter()
        """Id of a node of the cluster -> how many files it read."""

    def list_folders(self, folders: Iterable[str | Path]) -> dict[str, bool]:
        """See `sources.list_folders`."""
        return sources.list_folders(folders)

    def walk(self, root: str, under: str, scope: Scope) -> Iterator[ImageFile | UnreadableFolder]:
        """See `sources.walk`."""
        return sources.walk(root, under, scope)

    def out_of_sight(self, root: str, paths: Iterable[str]) -> set[str]:
        """None: it sees all that can be indexed."""
        return set()

    def is_gone(self, file: ImageFile) -> None:
        """To ask for each would take a request; the listing has told already."""
        return None

    def embed(
        self, tasks: Sequence[Task], known: KnownContent, stop: threading.Event
    ) -> Iterator[list[Reading]]:
        """Stream tasks to the cluster, and their readings back.

        Raises `ClusterError` where it cannot be reached, has too little, or gives up.
        """
        with connected(self.address) as ray, _plain_errors(ray):
            from searchengine.scale.cluster.stream import Stream, pull
            from searchengine.scale.cluster.worker import Attempts

            model = ShippedModel.of(self.folder, ray.put)
            _look_around(ray, sorted({task.file.root for task in tasks}), model)
            self.plan = plan(machines(ray), free_cpus(ray), self.device)
            at_head = {"num_cpus": 0, "scheduling_strategy": _on(_head(ray))}
            attempts = ray.remote(Attempts).options(**at_head).remote()
            stream = ray.remote(Stream).options(**at_head)
            stream = stream.remote(self.plan, model, self.device, attempts)
            for start in range(0, len(tasks), _WAVE):
                if stop.is_set():
                    return
                wave = _located(tasks[start : start + _WAVE])
                contents = known.of_sizes({task.file.size for task in wave})
                ray.get(stream.start.remote(_put(ray, wave, contents, self.plan.actors)))
                yield from self._readings(wave, pull(ray, stream, stop), stop)

    def _readings(
        self, tasks: Sequence[Task], tables: Iterator[Any], stop: threading.Event
    ) -> Iterator[list[Reading]]:
        """Readings of a wave of tasks, each once."""
        pending = dict(enumerate(tasks))
        for table in tables:
            batch = [
                self._reading(pending.pop(row["number"]), row)
                for row in table.to_pylist()
                if row["number"] in pending
            ]
            if batch:
                yield batch
        if pending and not stop.is_set():
            raise ClusterError(
                f"the cluster lost {len(pending)} of {len(tasks)} files; run the same command again"
            )

    def _reading(self, task: Task, row: Mapping[str, Any]) -> Reading:
        from searchengine.scale.cluster.worker import info_of

        self.embedded[row["node"]] += 1
        if row["embedding"] is None:
            return Reading(task, row["digest"], reason=row["reason"])
        embedding = np.frombuffer(row["embedding"], np.float32)
        return Reading(task, row["digest"], info_of(row["info"]), embedding)


def _located(tasks: Sequence[Task]) -> list[Task]:
    """Tasks that also say where in its shard a picture is, as those of a walk do."""
    files = sources.in_shards(task.file for task in tasks)
    return [Task(file, task.id) for file, task in zip(files, tasks, strict=True)]


def _put(
    ray: Any, tasks: Sequence[Task], contents: Mapping[int, list[bytes]], actors: int
) -> list[Any]:
    """Give Ray the tasks, numbered, in tables for one actor each; returns references."""
    from searchengine.scale.cluster.worker import tabulate

    size = max(1, min(_BLOCK, -(-len(tasks) // (actors * _BLOCKS_AN_ACTOR))))
    numbered = list(enumerate(tasks))
    return [
        ray.put(tabulate(numbered[at : at + size], contents))
        for at in range(0, len(numbered), size)
    ]


def _on(node: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node, soft=False)


def _head(ray: Any) -> str:
    """The machine without which there is no cluster."""
    nodes = [each for each in ray.nodes() if each["Alive"]]
    return str(max(nodes, key=lambda each: "node:__internal_head__" in each["Resources"])["NodeID"])


def _look_around(ray: Any, roots: Sequence[str], model: ShippedModel) -> None:
    """Ask every machine whether it can do the work, before hours of it.

    Raises `ClusterError` where one lacks the folders, the package or the model.
    """
    from searchengine.scale.cluster.worker import look

    nodes = {n["NodeID"]: n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")}
    remote = ray.remote(look)
    asked = {
        remote.options(num_cpus=0, scheduling_strategy=_on(node)).remote(
            roots, model
        ): f"the machine {each['NodeManagerAddress']} of the cluster"
        for node, each in nodes.items()
    }
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=_LOOK_SECONDS)
    for reference in done:
        _judge(ray, reference, asked[reference])
    if late:
        raise ClusterError(f"{asked[late[0]]} does not answer; is it overloaded?")


def _judge(ray: Any, reference: Any, where: str) -> None:
    """Raise `ClusterError` where a machine cannot do the work."""
    from searchengine import __version__

    try:
        sight = ray.get(reference)
    except ray.exceptions.RayError as error:
        if not _MISSING.search(str(error)):
            raise
        raise ClusterError(
            f"{where} lacks a library; install searchengine {__version__} with the extra `ray` on "
            f"every machine ({last_line(error)})"
        ) from error
    if sight.version != __version__:
        raise ClusterError(
            f"{where} has searchengine {sight.version}, this one {__version__}; install the same "
            "version on every machine"
        )
    if sight.problem:
        raise ClusterError(f"{where}: {sight.problem}")


@contextlib.contextmanager
def _plain_errors(ray: Any) -> Iterator[None]:
    """Turn what Ray raises into one line, and let through what is ours."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise ClusterError(_words(error)) from error


def _words(error: BaseException) -> str:
    """What is wrong, from the traceback of several processes that Ray makes a message of."""
    text = str(error)
    if ours := _OURS.findall(text):
        return str(ours[-1])
    if "OutOfMemoryError" in text:
        return "a machine of the cluster ran out of memory; give its workers more, or add machines"
    if _DIED.search(text):
        return (
            "a process of the cluster died, perhaps for lack of memory, or the machine that leads "
            "the others was lost; what is done is kept, run the command again"
        )
    return f"the cluster failed: {last_line(error)}; what is done is kept, run the command again"
