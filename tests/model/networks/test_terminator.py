"""Terminators: the presets' sizes, the fast form against the plain one, the penalty, reload, layout, fixed kernels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from terminator.model.build import forward_flops
from terminator.model.classifier import Output
from terminator.model.config import Branches, TerminatorConfig, Wiring
from terminator.model.networks.terminator import SLOW_FACTOR, Terminator
from terminator.training.step import channel_sum_loss
from tests.model.conftest import SMALL, images, network

PRESETS = Path(__file__).parents[3] / "conf" / "model"
SEVERAL = TerminatorConfig(
    depth=3, channels=[12, 24], global_hidden=8, local_hidden=6, interaction_spatial_hidden=8, dropout=[0.0]
)
# Tracing takes seconds a branch, and a layer of a slow network.
TRACED = replace(
    SEVERAL, depth=2, local_kernels=[3], global_layers=[1], local_layers=1, channel_layers=1, interaction_layers=1
)
INSIDE = ("slow.", "slow_", "global_slow", "channel_slow", "spatial_slow", "rgu_slow", "rgu_fast")


def preset(name: str) -> TerminatorConfig:
    values: dict[str, Any] = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    del values["defaults"]
    if "branches" in values:
        values["branches"] = Branches(**values["branches"])
    if "local_wiring" in values:
        values["local_wiring"] = [Wiring[wiring] for wiring in values["local_wiring"]]
    return TerminatorConfig(**values)


def parameters(built: Terminator) -> int:
    return sum(parameter.numel() for parameter in built.parameters())


def test_the_release_has_its_published_size_and_cost() -> None:
    release = network(preset("release"), (3, 32, 32))
    assert parameters(release) == 1_336_855
    assert parameters(network(preset("release"), (3, 32, 32), classes=100)) == 1_362_865
    assert round(forward_flops(release, (3, 32, 32)) / 1e9, 2) == 2.22
    assert release.training


def test_the_paper_has_nine_branches() -> None:
    config = preset("paper")
    assert config.local_branches() == [(5, Wiring.z_to_hc), (7, Wiring.z_to_m), (9, Wiring.m_to_z)]
    assert all(len(block.order) == 9 for block in network(config, (3, 8, 8)).blocks)  # type: ignore[arg-type]


def test_tiny_is_about_a_hundred_thousand_parameters_with_all_branches() -> None:
    config = preset("tiny")
    assert (config.depth, config.branches, len(config.local_kernels)) == (5, Branches(), 4)
    assert 80_000 < parameters(network(config, (1, 8, 8))) < 120_000


def test_reload_is_exact() -> None:
    data = images(4, (1, 6, 6))
    saved = network(SMALL, (1, 6, 6))
    saved(data)
    loaded = network(SMALL, (1, 6, 6), seed=2)
    loaded.load_state_dict(saved.state_dict())
    assert torch.equal(loaded(data).logits, saved(data).logits)


def test_one_generator_gives_one_network() -> None:
    first, second = network(SMALL, (1, 6, 6)), network(SMALL, (1, 6, 6))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_layout_of_the_images_does_not_matter() -> None:
    data = images(4, (3, 6, 6))
    built = network(SMALL, (3, 6, 6))
    assert torch.equal(built(data).logits, built(data.contiguous(memory_format=torch.channels_last)).logits)


@torch.no_grad()
def test_fixed_kernels_are_generated_once() -> None:
    data = images(4, (1, 6, 6))
    built = network(SMALL, (1, 6, 6)).eval()
    expected = built(data)
    with built.fixed_kernels():
        first, second = built(data), built(data)
        assert torch.equal(first.logits, expected.logits)
        assert all(a is b for a, b in zip(first.kernels, second.kernels, strict=True))
    assert built(data).kernels[0] is not first.kernels[0]


def test_autocast_leaves_kernels_in_float32() -> None:
    data = images(4, (1, 6, 6))
    built = network(SMALL, (1, 6, 6))
    expected = built(data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = built(data)
    assert all(torch.equal(a, b) for a, b in zip(output.kernels, expected.kernels, strict=True))
    torch.testing.assert_close(output.logits.float(), expected.logits, rtol=0.1, atol=0.1)
    output.logits.float().square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in built.parameters())


def test_without_branches_the_bottleneck_reads_the_input() -> None:
    config = TerminatorConfig(depth=1, channels=[12], branches=Branches(*[False] * 8))
    built = network(config, (1, 6, 6))
    assert {name.split(".")[2] for name in built.state_dict() if name.startswith("blocks")} == {"bottleneck", "bias"}
    assert built(torch.zeros(2, 1, 6, 6)).kernels == ()


def test_a_residual_adds_the_tiled_input() -> None:
    data = images(4, (3, 6, 6))
    plain, residual = (network(replace(SMALL, depth=1, residual=added), (3, 6, 6)) for added in (False, True))
    features = [built.blocks[0](data, [], *built.generate_hyper_kernels()).features for built in (plain, residual)]
    torch.testing.assert_close(features[1], features[0] + data.repeat(1, 4, 1, 1))


def test_kernels_that_see_nothing_more_are_warned_of() -> None:
    config = TerminatorConfig(depth=1, channels=[12], local_kernels=[3, 13])
    with pytest.warns(UserWarning, match=r"model.local_kernels=\[3, 13\]: on 6×6 pixels sizes beyond 11 see nothing"):
        network(config, (1, 6, 6))


@pytest.mark.parametrize(
    ("compiler", "image_shape"),
    [(None, (3, 10, 10)), (None, (2, 25)), ("aot_eager", (3, 10, 10)), ("eager", (2, 25))],
    ids=["image", "sequence", "compiled image", "traced sequence"],
)
def test_values_and_gradients_agree(compiler: str | None, image_shape: tuple[int, ...]) -> None:
    """Compiled: what PyTorch makes of the trace and of its gradients, but not the code; a sequence is traced alone."""
    config = TRACED if compiler else SEVERAL
    trained, data = network(config, image_shape, classes=5).double(), images(3, image_shape).double()
    form: Callable[[Tensor], Output] = torch.compile(trained, backend=compiler) if compiler else trained
    plain, fast = trained.forward_ref(data), form(data)
    torch.testing.assert_close(fast.logits, plain.logits, rtol=1e-10, atol=1e-10)
    losses = [output.logits.square().sum() + channel_sum_loss(output.kernels) for output in (plain, fast)]
    expected, actual = (torch.autograd.grad(loss, list(trained.parameters())) for loss in losses)
    largest = max(gradient.abs().max() for gradient in expected)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10 * float(largest))


def test_the_penalty_is_the_sum_of_the_norms() -> None:
    config = TerminatorConfig(depth=2, channels=[12], local_kernels=[3], global_hidden=4, interaction_spatial_hidden=4)
    built = network(config, (3, 6, 6), classes=2)
    expected = torch.zeros(())
    for name, parameter in built.blocks.named_parameters():
        if not any(part in name for part in INSIDE):
            expected = expected + parameter.norm()
        elif name.endswith("weight") and parameter.dim() == 4:
            expected = expected + SLOW_FACTOR * parameter.norm()
    expected.backward()  # type: ignore[no-untyped-call]
    gradients = [parameter.grad for parameter in built.parameters()]
    built.zero_grad()

    penalty = built.penalty()
    penalty.backward()  # type: ignore[no-untyped-call]

    torch.testing.assert_close(penalty, expected)
    for parameter, gradient in zip(built.parameters(), gradients, strict=True):
        if gradient is None:
            assert parameter.grad is None
        else:  # a norm has no gradient at 0, where biases start; ours is 0
            torch.testing.assert_close(parameter.grad, gradient.nan_to_num())
