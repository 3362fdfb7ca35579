"""Which features a block needs, and the order in which its bottleneck reads them."""

from __future__ import annotations

from dataclasses import replace

from terminator.model.config import Branches, TerminatorConfig, Wiring
from terminator.model.networks.terminator import Needs, block_needs, bottleneck_order

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


def test_what_no_branch_reads_is_not_needed() -> None:
    only = {name: block_needs(TerminatorConfig(branches=replace(OFF, **{name: True}))) for name in vars(OFF)}
    nothing = Needs(product=False, gate=False, mixed=False, channel=False, kernel=False)
    to_product = Needs(product=True, gate=True, mixed=False, channel=False, kernel=True)
    assert only == {
        "gated": replace(nothing, gate=True, kernel=True),
        "si_glu": to_product,
        "global_gated": to_product,
        "global_mixed": replace(nothing, mixed=True, kernel=True),
        "global_channel": replace(nothing, channel=True, kernel=True),
        "local": replace(nothing, mixed=True, channel=True),
        "interaction": to_product,
        "previous": nothing,
    }
    z_to_m = TerminatorConfig(branches=replace(OFF, local=True), local_kernels=[3], local_wiring=[Wiring.z_to_m])
    assert block_needs(z_to_m) == replace(nothing, mixed=True)
