"""What a block computes for the branches that are on, in what order its bottleneck reads them, and a new branch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from terminator.model import branches
from terminator.model.branches import BRANCHES, Branch, Site, bottleneck_order, computed_branches
from terminator.model.build import build
from terminator.model.config import Branches, TerminatorConfig
from terminator.model.mixer import Init, Mixer

OFF = Branches(*[False] * 8)


def test_the_releases_order() -> None:
    assert bottleneck_order(TerminatorConfig(), previous=2) == [
        "global_gated",
        "local.1",
        "previous.0",
        "gated",
        "global_mixed",
        "local.0",
        "si_glu",
        "local.2",
        "global_channel",
        "local.3",
        "previous.1",
        "interaction",
    ]


def test_other_numbers_of_kernels_keep_the_order_of_the_rest() -> None:
    one = bottleneck_order(TerminatorConfig(local_kernels=[3]), previous=0)
    assert one == ["global_gated", "gated", "global_mixed", "local.0", "si_glu", "global_channel", "interaction"]
    six = bottleneck_order(TerminatorConfig(local_kernels=[3] * 6), previous=1)
    assert six[-4:] == ["local.3", "local.4", "local.5", "interaction"]


def test_what_no_branch_reads_is_not_computed() -> None:
    only = {name: TerminatorConfig(branches=replace(OFF, **{name: True})) for name in vars(OFF)}
    computed = {name: {branch.name for branch in computed_branches(config, 0)} for name, config in only.items()}
    product = {"global_kernel", "hyper_kernel", "gated", "factor", "global_gated"}
    assert computed == {
        "gated": {"global_kernel", "hyper_kernel", "gated"},
        "si_glu": product | {"si_glu"},
        "global_gated": product,
        "global_mixed": {"global_kernel", "hyper_kernel", "factor", "m", "global_mixed"},
        "global_channel": {"global_kernel", "hyper_kernel", "factor", "hc", "global_channel"},
        "local": {"m", "hc", "local"},
        "interaction": product | {"interaction"},
        "previous": set(),
    }
    assert [branch.name for branch in computed_branches(only["previous"], 1)] == ["previous"]


@dataclass(frozen=True)
class MoreBranches(Branches):
    """As if config.py had one switch more."""

    cubed: bool = True


def test_a_new_branch_is_one_object_and_its_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixer(site: Site) -> dict[str, nn.Module]:
        init = Init.kaiming_normal
        return {
            "cube_mixer": Mixer(site.channels, site.channels, len(site.pixels), init=init, generator=site.generator)
        }

    cubed = Branch("cubed", lambda block, x: block.cube_mixer(x["m"]) ** 3, needs=("m",), slots=(12,), build=mixer)
    monkeypatch.setattr(branches, "BRANCHES", [*BRANCHES, cubed])

    def network(**switches: bool) -> nn.Module:
        config = TerminatorConfig(depth=1, channels=[12], branches=MoreBranches(*[False] * 8, **switches))
        return build(config, image_shape=(3, 4, 4), classes=2, generator=torch.Generator().manual_seed(0))

    on, off = network(), network(cubed=False)
    images = torch.randn(2, 3, 4, 4)
    on(images).logits.sum().backward()
    assert on.get_parameter("blocks.0.cube_mixer.weight").grad is not None
    assert on.blocks[0].order == ["cubed"]  # type: ignore[index,union-attr]
    assert {name.split(".")[2] for name, _ in off.named_parameters() if "blocks" in name} == {"bottleneck", "bias"}
    assert on.get_parameter("blocks.0.channel_mixer.weight").shape == (3, 3, 1, 1)
