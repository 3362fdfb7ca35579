"""Which names mean the same network: said of it where parameters and outputs are equal, and only there."""

from __future__ import annotations

import pytest
import torch

from terminator.config import RunConfig
from terminator.model.build import build
from terminator.planning.compose import Composer
from terminator.planning.plan import plan, plan_choices
from terminator.planning.show import notes, same_runs

SMALL = ["model.channels=[12]", "model.depth=2"]


def _output(config: RunConfig) -> torch.Tensor:
    data = config.data
    network = build(
        config.model, image_shape=data.input_shape, classes=data.classes, generator=torch.Generator().manual_seed(0)
    ).eval()
    with torch.no_grad():
        output = network(torch.ones(2, *data.input_shape))
    logits = output if isinstance(output, torch.Tensor) else output.logits
    assert isinstance(logits, torch.Tensor)
    return logits


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("model.width=1", "model.width=0.5", True),
        ("model.width=2", "model.width=2.1", True),
        ("model.width=2", "model.channels=[24]", True),
        ("model.width=1", "model.width=2", False),
        ("model.dropout=[0.0]", "model.dropout=[0.0,0.0,0.3]", True),
        ("model.dropout=[0.0]", "model.dropout=[0.0,0.3]", False),
        ("model.branches.previous=true", "model.branches.previous=false", True),  # two blocks of tiny read none
        ("model.branches.local=false", "model.local_kernels=[]", True),
        ("model.product=auto", "model.product=matmul", True),
        ("model.product=auto", "model.product=fft", False),
        ("model=resnet20 model.width=1", "model=resnet20 model.width=1.001", True),
        ("model=resnet20 model.width=1", "model=resnet20 model.width=1.1", False),
        ("model=ckcnn model.channels=20", "model=ckcnn model.channels=40 model.width=0.5", True),
        ("seed=0", "training.epochs=3", False),
    ],
)
def test_the_same_network_by_two_names(composer: Composer, one: str, other: str, are_same: bool) -> None:
    family = [] if one.startswith("model=") else SMALL
    planned = plan_choices(composer, [one.split(), other.split()], family, [0]).ablations[0].variants
    assert same_runs(planned) == ([[one, other]] if are_same else [])
    if are_same:
        assert torch.equal(*(_output(each.config) for each in planned))


def test_the_plan_names_both(composer: Composer) -> None:
    words = [*SMALL, "ablation.one_at_a_time={model.width:[0.5,2.0,2.1]}"]
    [planned] = plan(composer, ["width"], words, [0]).ablations
    assert notes(planned) == [
        "full and width=0.5 are the same network: their words come to equal channels and settings.",
        "width=2.0 and width=2.1 are the same network: their words come to equal channels and settings.",
    ]
