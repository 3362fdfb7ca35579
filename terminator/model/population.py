"""Population statistics: what stands in for a batch's statistics when the batch must not matter (spec §9.2)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class PopulationStatistics(nn.Module):
    """Mean and biased variance of one place in a network over a whole set, merged exactly from those of its batches.

    They replace the batch's statistics in evaluation mode, once gathered. Not part of the state that is saved.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_gathering = False
        self.forget()

    def forget(self) -> None:
        """Go back to the batch's statistics."""
        self.count = 0
        self.mean = self.variance = torch.zeros(())

    @property
    def is_used(self) -> bool:
        """Whether these statistics replace the batch's now."""
        return self.count > 0 and not self.training and not self.is_gathering

    @torch.no_grad()
    def observe(self, x: Tensor, dims: list[int]) -> None:
        """Add a batch (B, …): its statistics over `dims`, weighted by B (Chan et al. 1979)."""
        variance, mean = torch.var_mean(x.double(), dims, correction=0, keepdim=True)
        share = len(x) / (self.count + len(x))
        shift = mean - self.mean.to(mean)
        self.variance = (
            torch.lerp(self.variance.to(mean).expand_as(mean), variance, share) + share * (1 - share) * shift**2
        )
        self.mean = self.mean.to(mean) + share * shift
        self.count += len(x)


@torch.no_grad()
def gather_population_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """One pass over `batches` of images (B, C, *pixels); from then on evaluation mode's predictions ignore their batch.

    Each batch goes through the network as in training, standardised by its own statistics but without dropout, and what
    is gathered is the exact mean and variance over all images of what each place saw: the statistics that the layers
    were trained with, not those of an average over the last steps. (Statistics given the population's own at earlier
    layers would need one pass a layer, and differ from these by the batches' scatter alone.)
    """
    places = [module for module in network.modules() if isinstance(module, PopulationStatistics)]
    was_training = network.training
    network.eval()
    for place in places:
        place.forget()
        place.is_gathering = True
    try:
        for images in batches:
            network(images)
    finally:
        for place in places:
            place.is_gathering = False
        network.train(was_training)


def forget_population_statistics(network: nn.Module) -> None:
    """Evaluate by the batch's statistics again."""
    for module in network.modules():
        if isinstance(module, PopulationStatistics):
            module.forget()
