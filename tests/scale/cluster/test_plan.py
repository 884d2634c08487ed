"""How work is shared out over the machines of a cluster."""

from __future__ import annotations

import pytest

from searchengine.errors import ClusterError
from searchengine.scale.cluster.plan import Machine, Plan, plan

CPU16, CPU32, GPU = Machine(16, 0), Machine(32, 0), Machine(8, 2)


@pytest.mark.parametrize(
    ("machines", "free", "expected"),
    [
        ([Machine(1, 0)], 1, Plan(1, 1, 0, readers=False)),
        ([Machine(2, 0)], 2, Plan(1, 1, 0, readers=False)),
        ([CPU16], 16, Plan(1, 15, 0, readers=False)),
        ([CPU16, CPU16], 32, Plan(2, 15, 0, readers=False)),
        ([CPU16, CPU32], 48, Plan(3, 15, 0, readers=False)),
        ([Machine(0, 0), CPU16], 16, Plan(1, 15, 0, readers=False)),
        ([CPU16, CPU16], 15, Plan(1, 15, 0, readers=False)),
        ([CPU16], 4, Plan(1, 4, 0, readers=False)),
        ([GPU, CPU16], 24, Plan(2, 1, 1, readers=True)),
        ([GPU], 2, Plan(1, 1, 1, readers=True)),
    ],
)
def test_each_machine_has_an_actor_and_gpus_have_readers(
    machines: list[Machine], free: float, expected: Plan
) -> None:
    assert plan(machines, free, "auto") == expected


def test_gpus_rest_where_the_cpu_is_asked_for() -> None:
    assert plan([GPU, GPU], 16, "cpu") == Plan(2, 7, 0, readers=False)


@pytest.mark.parametrize(
    ("machines", "free", "device", "message"),
    [
        ([CPU16], 16, "cuda", "no machine of the cluster has a GPU"),
        ([Machine(0, 0)], 0, "auto", "has no CPU"),
        ([], 0, "auto", "has no CPU"),
        ([CPU16], 0, "auto", "all 16 CPUs of the cluster are in use"),
        ([Machine(1, 1)], 1, "auto", "1 free CPU is too little"),
    ],
)
def test_too_little_is_said_rather_than_waited_for(
    machines: list[Machine], free: float, device: str, message: str
) -> None:
    with pytest.raises(ClusterError, match=message):
        plan(machines, free, device)


@pytest.mark.parametrize("free", range(1, 60))
def test_no_plan_holds_more_than_is_free(free: int) -> None:
    for machines in ([CPU16, CPU32, Machine(3, 0)], [GPU, GPU, CPU16]):
        for device in ("auto", "cpu"):
            try:
                made = plan(machines, free, device)
            except ClusterError:
                assert free < 2
                continue
            assert made.actors >= 1
            assert made.actors * made.cpus + made.readers <= free
