"""One process is a world of its own; two meet and sum what each has.

That two take the steps of one is proved in test_run.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from searchengine.finetune.distributed import World

MEETING = """
import torch
from searchengine.finetune.distributed import World
world = World.join("cpu")
rows = torch.full((1 + world.rank, 2), float(world.rank + 1), requires_grad=True)
found = world.gather(rows)
assert found.tolist() == [[1, 1], [2, 2], [2, 2]], found
found.sum().backward()
assert rows.grad.tolist() == [[1, 1]] * len(rows)
weight = torch.nn.Parameter(torch.zeros(2))
idle = torch.nn.Parameter(torch.zeros(3))
if world.rank:
    idle.grad = torch.ones(3)
weight.grad = torch.tensor([1.0, world.rank])
world.sum_gradients([weight, idle])
assert weight.grad.tolist() == [2, 1]
assert idle.grad.tolist() == [1, 1, 1]
assert world.gather_lists([world.rank, "x"]) == [0, "x", 1, "x"]
assert world.agree(world.rank + 5) == 5
world.leave()
"""


def test_alone_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = World.join("cpu")
    rows = torch.randn(3, 2)
    parameter = nn.Parameter(torch.zeros(2))
    assert world == World(0, 1)
    assert world.gather(rows) is rows
    assert world.gather_lists([1, 2]) == [1, 2]
    assert world.agree("this") == "this"
    world.sum_gradients([parameter])
    assert parameter.grad is None
    world.leave()


@pytest.mark.slow
def test_two_processes_share_what_they_have() -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    found = subprocess.run(
        [*launcher, "--no-python", sys.executable, "-c", MEETING],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert found.returncode == 0, found.stderr
