"""Networks are found by the names of their files; a configuration comes without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from terminator.errors import UserError
from terminator.model.build import build, forward_flops
from terminator.model.config import ModelConfig, Product, TerminatorConfig
from terminator.model.networks import architectures, network_config, network_modules
from terminator.model.networks.ckcnn import ContinuousKernelConfig
from terminator.model.networks.large_kernel_cnn import LargeKernelConfig
from terminator.model.networks.resnet import ResNetConfig


def test_every_network_has_its_configuration() -> None:
    assert architectures() == ["ckcnn", "custom", "large_kernel_cnn", "resnet", "terminator"]
    for architecture in architectures():
        assert network_config(architecture).architecture == architecture
    assert network_modules(ResNetConfig()) == ["terminator.model.networks.resnet"]


def test_an_unknown_network_is_refused_with_the_choices() -> None:
    with pytest.raises(UserError, match=r"^model\.architecture=resnext: no such network; choose from ckcnn, custom, "):
        network_config("resnext")


def test_light_modules_stay_light_and_counting_and_training_import_no_compiler() -> None:
    """Nor does a network import another. The compiler takes longer than the rest of a job's start."""
    code = """
import sys
import terminator.config
assert "torch" not in sys.modules
from terminator.model.networks.resnet import ResNetConfig
others = ("terminator.model.networks.terminator", "terminator.model.kernels", "terminator.model.branches")
assert not set(others) & set(sys.modules)
import torch
from terminator.config import OptimizerConfig
from terminator.model.build import build, forward_flops
from terminator.training.optimizer import build_optimizer
network = build(ResNetConfig(depth=8, channels=2), image_shape=(1, 8, 8), classes=2)
assert forward_flops(network, (1, 8, 8)) > 0
optimizer = build_optimizer(OptimizerConfig(), network)
network(torch.ones(2, 1, 8, 8)).logits.sum().backward()
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "config",
    [ResNetConfig(depth=8), LargeKernelConfig(channels=4), ContinuousKernelConfig(), TerminatorConfig(depth=2)],
    ids=lambda config: config.architecture,
)
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 20)], ids=["image", "sequence"])
def test_flops_are_those_of_pytorchs_counter(config: ModelConfig, shape: tuple[int, ...]) -> None:
    network = build(config, image_shape=shape, classes=3)
    network.eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(16, *shape))
    assert forward_flops(network, shape) == counter.get_total_flops() // 16


def test_canonical_settings_are_equal_for_equal_networks() -> None:
    def same(a: object, b: object) -> bool:
        return a.canonical((8, 8)) == b.canonical((8, 8))  # type: ignore[attr-defined, no-any-return]

    assert same(TerminatorConfig(), TerminatorConfig(product=Product.matmul))
    assert TerminatorConfig().canonical((64,))["product"] is Product.hadamard
    assert same(TerminatorConfig(depth=2, channels=[12]), TerminatorConfig(depth=2, channels=[12, 12, 24]))
    assert not same(TerminatorConfig(), TerminatorConfig(width=0.5))
    assert same(ResNetConfig(channels=8, width=2.0), ResNetConfig(channels=16))
    assert not same(ResNetConfig(channels=8, width=1.7), ResNetConfig(channels=14))  # 14, 27, 54 against 14, 28, 56
    assert same(LargeKernelConfig(channels=64, width=2.0), LargeKernelConfig(channels=128))
