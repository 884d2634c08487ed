"""What is done for speed changes no result beyond rounding."""

from __future__ import annotations

import copy

import torch
from torch import nn

from searchengine.finetune import cpu


def test_depthwise_convolutions_are_computed_in_float32() -> None:
    model = nn.Sequential(
        nn.Conv2d(8, 8, 5, groups=8), nn.Conv2d(8, 8, 3, stride=2, groups=8), nn.Conv2d(8, 4, 1)
    )
    plain = copy.deepcopy(model)
    cpu.widen_depthwise(model)
    pixels = torch.randn(2, 8, 16, 16)
    assert torch.equal(model(pixels), plain(pixels))
    with torch.autocast("cpu", torch.bfloat16):
        assert model[0](pixels).dtype == model[1](pixels[:, :, :9, :9]).dtype == torch.float32
        assert model[2](pixels).dtype == torch.bfloat16
        assert plain[0](pixels).dtype == torch.bfloat16


def test_keeping_freed_memory_can_be_asked_anywhere() -> None:
    cpu.keep_freed_memory()
