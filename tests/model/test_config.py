"""Configurations that cannot be are refused in one line; per-block lists mean what they say."""

from __future__ import annotations

from typing import Any

import pytest

from terminator.errors import UserError
from terminator.model.config import Branches, SlowNetworkKind, Standardisation, TerminatorConfig, Wiring


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"local_kernels": [3, 4]}, "model.local_kernels=[3, 4]: sizes must be odd and positive"),
        ({"local_kernels": [-3]}, "model.local_kernels=[-3]: sizes must be odd and positive"),
        ({"depth": 0}, "model.depth=0: must be at least 1"),
        ({"width": 0.0}, "model.width=0.0: must be positive and finite"),
        ({"omega_0": float("inf")}, "model.omega_0=inf: must be positive and finite"),
        ({"channels": []}, "model.channels=[]: must have at least one entry"),
        ({"channels": [12, 20]}, "model.channels=[12, 20]: entries must divide by 12 with standardisation=g_ibs"),
        ({"dropout": [1.0]}, "model.dropout=[1.0]: rates must be at least 0, below 1"),
        ({"global_layers": [0]}, "model.global_layers=[0]: entries must be at least 1"),
        ({"previous_blocks": [[], [1]]}, "model.previous_blocks=[[], [1]]: entry 1 can name earlier blocks only (0)"),
        (
            {"previous_blocks": [[0]]},
            "model.previous_blocks=[[0]]: entry 0 can name earlier blocks only (none for the first block)",
        ),
    ],
    ids=str,
)
def test_a_refusal_names_key_value_and_rule(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        TerminatorConfig(**change)
    assert str(refused.value) == message


def test_fourier_features_come_in_pairs() -> None:
    with pytest.raises(UserError, match=r"model.slow_network=fourier_mlp: hidden sizes .* must be even"):
        TerminatorConfig(slow_network=SlowNetworkKind.fourier_mlp, local_hidden=7)


def test_without_groups_any_channels_will_do() -> None:
    config = TerminatorConfig(channels=[10, 20], depth=2, standardisation=Standardisation["is"])
    assert config.block_channels() == [10, 20]


def test_lists_shorter_than_the_depth_repeat_their_last_entry() -> None:
    config = TerminatorConfig(depth=4, channels=[12, 24], global_layers=[3, 2], dropout=[0.0, 0.1])
    assert config.block_channels() == [12, 24, 24, 24]
    assert [config.block_global_layers(block) for block in range(4)] == [3, 2, 2, 2]
    assert [config.block_dropout(block) for block in range(4)] == [0.0, 0.1, 0.1, 0.1]


def test_width_rounds_to_whole_groups() -> None:
    assert TerminatorConfig(width=0.5).block_channels() == [12, 24, 36, 72, 144]  # 6 → 12 and 18 → 24
    assert TerminatorConfig(width=1.2).block_channels() == [12, 48, 84, 168, 348]  # 86.4 → 84


def test_a_block_reads_earlier_blocks_only_where_the_branch_is_on() -> None:
    config = TerminatorConfig(depth=6)
    assert [config.block_previous(block) for block in range(6)] == [[], [], [0], [1], [2, 1], []]
    without = TerminatorConfig(branches=Branches(previous=False))
    assert [without.block_previous(block) for block in range(5)] == [[]] * 5


def test_wirings_repeat_over_the_kernels() -> None:
    config = TerminatorConfig(local_kernels=[3, 5, 7], local_wiring=[Wiring.z_to_m, Wiring.m_to_z])
    assert config.local_branches() == [(3, Wiring.z_to_m), (5, Wiring.m_to_z), (7, Wiring.z_to_m)]
    assert TerminatorConfig(branches=Branches(local=False)).local_branches() == []
