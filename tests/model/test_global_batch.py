"""Two processes with half a batch each make the very steps of one process with all of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from terminator.config import SlowLoss
from terminator.model.build import build
from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.model.networks.resnet import ResNetConfig
from terminator.training.distributed import Distributed
from terminator.training.step import slow_loss
from tests.training.conftest import ended, start

STEPS = 10
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-6}  # relative
CONFIGS = {
    "terminator": TerminatorConfig(
        depth=2,
        channels=[12],
        local_kernels=[3, 5],
        global_hidden=4,
        local_hidden=4,
        interaction_spatial_hidden=4,
        dropout=[0.0],
    ),
    "resnet": ResNetConfig(depth=8, channels=2),
}


def train(config: ModelConfig, dtype: torch.dtype, distributed: Distributed) -> Tensor:
    """The losses of a few steps, each process on its shard of every batch, then the running statistics."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    network = build(config, image_shape=(1, 6, 6), classes=3, generator=generator).to(dtype)
    losses = []
    for _ in range(STEPS):
        images = torch.randn(8, 1, 6, 6, generator=generator, dtype=torch.float64).to(dtype)
        logits, kernels = network(distributed.shard(images))
        loss = logits.square().mean() + slow_loss(kernels, SlowLoss.channel_sum)
        network.zero_grad()
        loss.backward()
        distributed.average_gradients(network.parameters())
        losses.append(distributed.sum(loss.detach()) / distributed.world_size)
        with torch.no_grad():  # and no optimizer of PyTorch, which would import the compiler
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=0.01)
    running = [buffer.flatten() for name, buffer in network.named_buffers() if "running" in name]
    return torch.cat([torch.stack(losses), *running])


def train_in_process(folder: Path) -> None:
    distributed = Distributed.from_environment()
    distributed.connect(torch.device("cpu"))
    trained = {
        (name, dtype): train(config, dtype, distributed) for name, config in CONFIGS.items() for dtype in TOLERANCES
    }
    torch.save(trained, folder / f"trained-{distributed.rank}.pt")
    dist.barrier()  # who leaves first would take the connection along
    distributed.disconnect()


def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    assert ended(start(2, train_in_process, tmp_path)) == [0, 0]
    together = [torch.load(tmp_path / f"trained-{rank}.pt") for rank in (0, 1)]
    for (name, config), (dtype, tolerance) in itertools.product(CONFIGS.items(), TOLERANCES.items()):
        alone = train(config, dtype, Distributed())
        assert alone[STEPS - 1] < alone[0]
        for trained in together:
            torch.testing.assert_close(trained[name, dtype], alone, rtol=tolerance, atol=tolerance / 10)
