"""A residual multilayer perceptron."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

import sweeper


@sweeper.model("resmlp")
class ResMLP(nn.Module):
    """Multilayer perceptron in which each block adds to what it gets.

    Args:
        width: Width of every layer.
        depth: Number of blocks.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        n_outputs: int,
        width: Annotated[int, Field(ge=1, le=4096)] = 64,
        depth: Annotated[int, Field(ge=0, le=100)] = 2,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), width))
        self.blocks = nn.ModuleList(nn.Sequential(nn.ReLU(), nn.Linear(width, width)) for _ in range(depth))
        self.head = nn.Linear(width, n_outputs)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        features_NW = self.stem(images_NCHW)
        for block in self.blocks:
            features_NW = features_NW + block(features_NW)
        return self.head(features_NW)
