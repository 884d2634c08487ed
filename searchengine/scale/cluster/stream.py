"""The pipeline of Ray Data: tables of tasks in, tables of readings out.

It is built and pulled inside of the cluster, by an actor of its own: Ray Data cannot be used
through `ray://`, and so its logs stay there, and whoever asks can stop waiting.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any, Final

from searchengine.errors import ClusterError
from searchengine.scale.cluster.plan import Plan, machines
from searchengine.scale.cluster.shipping import ShippedModel
from searchengine.scale.cluster.worker import Embedder, read_pictures

_LOOK_SECONDS: Final = 2.0
_ALONE_SECONDS: Final = 60.0


class Stream:
    """An actor that pulls the readings of tasks through a pipeline."""

    def __init__(self, plan: Plan, model: ShippedModel, device: str, attempts: Any) -> None:
        """`attempts` is a handle of the actor `Attempts`."""
        self.plan = plan
        self.attempts = attempts
        self.model = model
        self.device = "cuda" if plan.gpus else ("cpu" if device == "auto" else device)
        self.tables: Iterator[Any] = iter(())

    def start(self, blocks: Sequence[Any]) -> None:
        """Begin with references to tables of tasks."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.scheduling_strategy = "SPREAD"  # over the machines
        readings = self._embedded(ray.data, self._read(ray.data.from_arrow_refs(list(blocks))))
        self.tables = iter(
            readings.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        )

    def next(self) -> Any:
        """The next table of readings, in any order; None after the last."""
        return next(self.tables, None)

    def _read(self, tasks: Any) -> Any:
        if not self.plan.readers:
            return tasks
        return tasks.map_batches(
            read_pictures,
            batch_size=None,
            batch_format="pyarrow",
            fn_kwargs={"model": self.model, "attempts": self.attempts},
            num_cpus=1,
        )

    def _embedded(self, data: Any, rows: Any) -> Any:
        actors = self.plan.actors
        pool = data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors)
        return rows.map_batches(
            Embedder,
            batch_size=None,
            batch_format="pyarrow",
            fn_constructor_args=(self.model, self.device, self.attempts),
            compute=pool,
            num_cpus=self.plan.cpus,
            num_gpus=self.plan.gpus or None,
        )


def pull(ray: Any, stream: Any, stop: Event) -> Iterator[Any]:
    """The tables of a remote `Stream` that was started, until the last one or until `stop`.

    Raises `ClusterError` where no machine is left to go on with: Ray would wait for ever.
    """
    last_seen = time.monotonic()
    waiting = stream.next.remote()
    while not stop.is_set():
        ready, _ = ray.wait([waiting], timeout=_LOOK_SECONDS)
        if ready:
            table = ray.get(waiting)
            if table is None:
                return
            waiting = stream.next.remote()
            yield table
        if ready or any(machine.cpus for machine in machines(ray)):
            last_seen = time.monotonic()
        elif time.monotonic() - last_seen > _ALONE_SECONDS:
            raise ClusterError(
                "every machine of the cluster is gone; what is done is kept, run the command again"
            )
