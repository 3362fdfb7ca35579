"""Kar3 and Kar2 by hand; the fused form against the plain one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from terminator.config import OptimizerConfig, OptimizerName
from terminator.errors import UserError
from terminator.training.optimizer import Kar, build_optimizer, kar_step


def _trace(betas: tuple[float, ...], gradients: list[float], *, plain: bool) -> list[float]:
    parameter = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    optimizer, averages = Kar([parameter], lr=0.1, betas=betas), [torch.zeros_like(parameter) for _ in betas]
    values = []
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        if plain:
            kar_step(parameter.data, parameter.grad, averages, 0.1, betas)
        else:
            optimizer.step()
        values.append(parameter.item())
    return values


@pytest.mark.parametrize("plain", [True, False])
def test_kar3_by_hand(plain: bool) -> None:
    # The averages start at 0, so the first step moves by one sign; after it m1 = 1, m2 = 0.1.
    # g = -0.5: -1 + 1 + 1 = 1, m1 = 0.25, m2 = 0.045. g = -0.5 again: 1, m1 = -0.125, m2 = -0.0045. g = 0: -2.
    values = _trace((0.5, 0.95), [2.0, -0.5, -0.5, 0.0], plain=plain)
    m2 = [0.1, 0.95 * 0.1 - 0.05 * 0.5, 0.95 * (0.95 * 0.1 - 0.05 * 0.5) - 0.05 * 0.5]
    assert m2[2] > 0  # its sign is still that of the first gradient, m1's is not: the last step's signs cancel
    assert values == pytest.approx([0.9, 0.8, 0.7, 0.7], abs=1e-12)


@pytest.mark.parametrize("plain", [True, False])
def test_kar2_by_hand(plain: bool) -> None:
    # After g = 1 and β = 0.5 the average is 0.5, so g = -2 cancels against it and turns it to -0.75.
    assert _trace((0.5,), [1.0, -2.0, 0.0], plain=plain) == pytest.approx([0.9, 0.9, 1.0], abs=1e-12)


def test_fused_equals_plain_to_the_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    plain = [torch.randn(shape, generator=generator) for shape in [(3, 5), (7,), (2, 3, 4)]]
    fused = [nn.Parameter(tensor.clone()) for tensor in plain]
    averages = [[torch.zeros_like(tensor) for _ in range(2)] for tensor in plain]
    optimizer = Kar(fused, lr=0.01, betas=(0.5, 0.95))
    for _ in range(5):
        for index, parameter in enumerate(fused):
            parameter.grad = torch.randn(parameter.shape, generator=generator)
            kar_step(plain[index], parameter.grad, averages[index], 0.01, (0.5, 0.95))
        optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(fused, plain, strict=True))


def test_parameters_without_gradient_stay() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = Kar([parameter], lr=0.1, betas=(0.5, 0.95))
    optimizer.step()
    assert torch.equal(parameter, torch.ones(2))
    assert not optimizer.state


def test_state_round_trip() -> None:
    network = nn.Linear(2, 2)
    optimizer = Kar(network.parameters(), lr=0.1, betas=(0.5, 0.95))
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    other = Kar(network.parameters(), lr=0.2, betas=(0.5, 0.95))
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.1
    assert torch.equal(other.state[network.weight]["averages"][1], optimizer.state[network.weight]["averages"][1])


@pytest.mark.parametrize(
    ("name", "betas", "kind"),
    [
        (OptimizerName.kar3, [0.5, 0.95], Kar),
        (OptimizerName.kar2, [0.95], Kar),
        (OptimizerName.adamw, [0.9, 0.999], torch.optim.AdamW),
        (OptimizerName.sgd, [0.9], torch.optim.SGD),
    ],
)
def test_build(name: OptimizerName, betas: list[float], kind: type) -> None:
    optimizer = build_optimizer(OptimizerConfig(name=name, lr=0.25, betas=betas), nn.Linear(2, 2))
    assert type(optimizer) is kind
    group = optimizer.param_groups[0]
    assert group["lr"] == 0.25
    assert [group["momentum"]] == betas if name is OptimizerName.sgd else list(group["betas"]) == betas


def test_closure_is_run_with_gradients() -> None:
    parameter = nn.Parameter(torch.tensor([2.0]))

    def closure() -> float:
        (parameter**2).sum().backward()
        return 4.0

    assert Kar([parameter], lr=0.5, betas=()).step(closure) == 4.0
    assert parameter.item() == 1.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lr": 0.0}, r"^optimizer.lr=0.0: must be a positive number$"),
        ({"lr": float("nan")}, r"^optimizer.lr=nan: "),
        ({"betas": [0.9]}, r"^optimizer.betas=\[0.9\]: kar3 takes 2, each in \[0, 1\)$"),
        ({"betas": [0.9, 1.0]}, r"^optimizer.betas=\[0.9, 1.0\]: "),
        ({"weight_decay": 0.1}, r"^optimizer.weight_decay=0.1: kar3 has no weight decay; it must be 0"),
    ],
)
def test_bad_values(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        OptimizerConfig(**fields)  # type: ignore[arg-type]
