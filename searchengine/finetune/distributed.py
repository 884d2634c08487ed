"""Several processes on one batch: `torchrun --nproc-per-node 2 -m searchengine finetune ...`.

Each process reads and encodes its share of every batch. Embeddings are gathered, so that every
caption is told from the images of all processes; each process computes the whole loss, and the
gradients that reach its own share are summed. The result is the step of one process with the whole
batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a run; without torchrun there is one, and nothing here does anything."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: str) -> World:
        """Meet the other processes that torchrun started, if it did."""
        if int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    def leave(self) -> None:
        """End the group."""
        if self.size > 1:
            dist.destroy_process_group()

    def gather_lists(self, items: list[T]) -> list[T]:
        """The items of all processes, in the order of ranks."""
        if self.size == 1:
            return items
        found: list[list[T]] = [[] for _ in range(self.size)]
        dist.all_gather_object(found, items)
        return [item for part in found for item in part]

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (n, dim) of all processes; only this process's own carry gradients."""
        if self.size == 1:
            return rows
        counts = self.gather_lists([len(rows)])
        padded = nn.functional.pad(rows.detach(), (0, 0, 0, max(counts) - len(rows)))
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded.contiguous())
        parts = [part[:count] for part, count in zip(found, counts, strict=True)]
        parts[self.rank] = rows
        return torch.cat(parts)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.size == 1:
            return
        for parameter in (trained := [p for p in parameters if p.requires_grad]):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in trained if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def agree(self, value: T) -> T:
        """What the first process has."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]
