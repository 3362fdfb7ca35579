"""From a configuration to its network, and what one image costs in it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from terminator.model.config import ModelConfig
from terminator.model.networks import module_of


def build(
    config: ModelConfig, *, image_shape: Sequence[int], classes: int, generator: torch.Generator | None = None
) -> nn.Module:
    """The network of `config` for images of (C, H, W), or sequences of (C, L). Its weights are drawn from `generator`
    (None: PyTorch's own). Raises UserError where the configuration does not fit the images."""
    generator = generator or torch.default_generator
    build_network = import_module(module_of(config.architecture)).build
    network: nn.Module = build_network(config, image_shape=image_shape, classes=classes, generator=generator)
    return network


BATCH = 16  # with it the release comes to the 2.22 GFLOP of §7


def forward_flops(network: nn.Module, image_shape: Sequence[int]) -> int:
    """FLOP (2·MAC) per image (C, *pixels) of a batch of sixteen, by PyTorch's formulas for products and convolutions.

    Per image of a batch, because the slow networks run once a batch, whatever its size. As in training: evaluation
    merges mixers.
    """
    parameter = next(network.parameters())
    was_training = network.training
    counter = _FlopCounter()
    with torch.enable_grad(), counter:
        network.eval()(torch.zeros(BATCH, *image_shape, dtype=parameter.dtype, device=parameter.device))
    network.train(was_training)
    return counter.flops // BATCH


class _FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """PyTorch's FlopCounterMode without its table by module; that one first imports the compiler, for seconds."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func.overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=out)
        return out
