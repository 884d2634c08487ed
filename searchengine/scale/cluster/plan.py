"""Who does what: how many actors embed, with what each, and whether others read for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from searchengine.errors import ClusterError

_FREE_SECONDS: Final = 15.0


class Plan(NamedTuple):
    """A pool of `actors` that embed, each with so many CPUs and GPUs of the cluster.

    With `readers`, tasks of one CPU each read the pictures for them, on every machine: a GPU
    embeds faster than the CPUs beside it read. Otherwise each actor reads what it embeds, and
    no picture leaves the machine that read it.
    """

    actors: int
    cpus: float
    gpus: int
    readers: bool


class Machine(NamedTuple):
    """What a node of the cluster has to give, as Ray counts it."""

    cpus: int
    gpus: int


def machines(ray: Any) -> list[Machine]:
    """The nodes that are alive."""
    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Machine(int(each.get("CPU", 0)), int(each.get("GPU", 0))) for each in found]


def plan(nodes: Sequence[Machine], free_cpus: float, device: str) -> Plan:
    """Share the work out over nodes of which so many CPUs are free now.

    Ray waits for ever, and silently, for what a cluster does not have, and where actors hold all
    that readers need. So none is asked for: raises `ClusterError` where there is too little.
    """
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    if device == "cuda" and not gpus:
        raise ClusterError("no machine of the cluster has a GPU; leave out --device cuda")
    if cpus < 1:
        raise ClusterError("the cluster has no CPU to work with; add machines to it")
    if free_cpus < 1:
        raise ClusterError(
            f"all {cpus} CPUs of the cluster are in use; wait for its other jobs, or add machines"
        )
    if gpus and device != "cpu":
        return _with_gpus(gpus, free_cpus)
    # One actor a machine uses all its cores, of which Ray is told one less: something is left
    # for the others. A machine of twice the cores of the smallest gets two.
    smallest = min(node.cpus for node in nodes if node.cpus)
    share = max(1, smallest - 1)
    wanted = sum(node.cpus // smallest for node in nodes)
    actors = max(1, min(wanted, int(free_cpus // share)))
    return Plan(actors, min(share, int(free_cpus)), 0, readers=False)


def _with_gpus(gpus: int, free_cpus: float) -> Plan:
    actors = min(gpus, int(free_cpus) - 1)
    if actors < 1:
        raise ClusterError(
            f"{free_cpus:g} free CPU is too little: one is needed beside each GPU, and one more "
            "to read pictures; add machines, or take --device cpu"
        )
    return Plan(actors, 1, 1, readers=True)


def free_cpus(ray: Any) -> float:
    """The CPUs of the cluster that nobody holds, once there are any, or after some seconds."""
    deadline = time.monotonic() + _FREE_SECONDS
    while True:
        free = float(ray.available_resources().get("CPU", 0))
        if free >= 1 or time.monotonic() > deadline:
            return free
        time.sleep(0.2)
