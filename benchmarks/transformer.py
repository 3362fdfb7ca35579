"""A plain Transformer encoder over pixels (Vaswani et al. 2017, 1706.03762), to compare costs with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

HEADS = 4


class Transformer(nn.Module):
    """Every pixel a token: embedding + positions, pre-norm layers, mean, head. (B, C, *pixels) → (B, classes)."""

    def __init__(self, image_shape: Sequence[int], *, width: int, layers: int, classes: int) -> None:
        super().__init__()
        channels, *pixels = image_shape
        self.embedding = nn.Linear(channels, width)
        self.positions = nn.Parameter(torch.zeros(math.prod(pixels), width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, HEADS, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.embedding(images.flatten(2).mT) + self.positions  # (B, pixels, width)
        for layer in self.layers:
            tokens = layer(tokens)
        logits: Tensor = self.head(tokens.mean(1))
        return logits
