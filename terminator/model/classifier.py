"""The frame of the comparison models: features → pixel mean → linear head, as in Terminator (spec §7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from terminator.model.network import Output
from terminator.model.slow_network import SlowNetwork


class Classifier(nn.Module):
    """Images (B, C, *pixels) → Output without kernels. `features` ends in (B, channels, …)."""

    def __init__(self, features: nn.Module, channels: int, classes: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.features = features
        self.head = nn.Linear(channels, classes)
        nn.init.kaiming_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Output:
        features = self.features(images)
        return Output(self.head(features.flatten(2).mean(2)), ())

    def penalty(self) -> Tensor:
        """Terminator's rule (spec §8) carried over: the sum of the norms of the parameters outside the head and the
        slow networks; scalar."""
        slow = [module for module in self.features.modules() if isinstance(module, SlowNetwork)]
        free = {id(parameter) for network in slow for parameter in network.parameters()}
        return torch.stack([each.norm() for each in self.features.parameters() if id(each) not in free]).sum()
