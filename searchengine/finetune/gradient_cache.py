"""Large batches in small memory: encode in parts, twice (GradCache, arXiv 2101.06983).

A contrastive loss needs the embeddings of the whole batch, but each embedding depends on its own
part only. So the first pass keeps embeddings and no activations; the loss gives the gradient of
each embedding; the second pass runs a part again, with the same random numbers, and hands it its
gradients. The result is the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Encode = Callable[[Tensor], Tensor]


class PartwiseEncoding:
    """The embeddings of a batch in parts: `embeddings` (n, dim), and `backward` into the model.

    With `cached` every part is encoded twice, else once and its activations are kept. Where
    nothing of `encode` is trained there is one pass, without activations.
    """

    def __init__(
        self, encode: Encode, parts: Sequence[Tensor], device: str, *, trained: bool, cached: bool
    ):
        self._encode, self._parts, self._devices = encode, parts, [device] * (device == "cuda")
        self._states: list[list[Tensor]] = []
        self._cached = trained and cached
        with torch.set_grad_enabled(trained and not cached):
            self.embeddings = torch.cat([self._first(part) for part in parts])
        if self._cached:
            self.embeddings.requires_grad_()

    def _first(self, part: Tensor) -> Tensor:
        if self._cached:
            self._states.append(_random_state(self._devices))
        return self._encode(part)

    def backward(self) -> None:
        """Hand the gradients of `embeddings`, after the loss's own backward, to the model."""
        if not self._cached:
            return
        gradient = self.embeddings.grad
        if gradient is None:
            raise RuntimeError("the loss was not differentiated")
        at = 0
        for part, state in zip(self._parts, self._states, strict=True):
            with torch.random.fork_rng(self._devices):
                _set_random_state(state, self._devices)
                again = self._encode(part)
            torch.autograd.backward(again, gradient[at : at + len(again)])
            at += len(again)


def _random_state(devices: list[str]) -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state() for _ in devices)]


def _set_random_state(state: list[Tensor], devices: list[str]) -> None:
    torch.set_rng_state(state[0])
    for _ in devices:
        torch.cuda.set_rng_state(state[1])
