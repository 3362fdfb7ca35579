"""Variants whose words differ, but whose runs would be the very same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from terminator.config import RunConfig, to_plain
from terminator.model.comparison_config import ComparisonConfig, ResNetConfig
from terminator.model.config import ModelConfig, TerminatorConfig
from terminator.model.hyperzzw import choose_product
from terminator.planning.plan import PlannedVariant


def same_runs(variants: Sequence[PlannedVariant]) -> list[list[str]]:
    """The names that mean the same network, trained in the same way; each list has at least two."""
    names: dict[str, list[str]] = {}
    for each in variants:
        names.setdefault(_meaning(each.config), []).append(each.variant.name)
    return [alike for alike in names.values() if len(alike) > 1]


def _meaning(config: RunConfig) -> str:
    """The configuration, with what the model's words come to in their place."""
    plain = to_plain(config, key_only=True)
    plain["model"] = _resolved(config.model, config.data.facts.image_shape[1:])
    return json.dumps(plain, sort_keys=True)


def _resolved(model: ModelConfig, pixels: Sequence[int]) -> object:
    if isinstance(model, ResNetConfig):
        return to_plain(replace(model, width=1.0, channels=1)), model.stage_channels()
    if isinstance(model, ComparisonConfig):
        return to_plain(replace(model, width=1.0, channels=model.scaled(model.channels)))
    if not isinstance(model, TerminatorConfig):
        return to_plain(model)
    blocks = range(model.depth)
    previous = [model.block_previous(block) for block in blocks]
    local = model.local_branches()
    per_block = replace(
        model,
        width=1.0,
        channels=model.block_channels(),
        dropout=[model.block_dropout(block) for block in blocks],
        global_layers=[model.block_global_layers(block) for block in blocks],
        previous_blocks=previous,
        local_kernels=[size for size, _ in local],
        local_wiring=[wiring for _, wiring in local] or model.local_wiring[:1],
        branches=replace(model.branches, previous=any(previous), local=bool(local)),
    )
    return {**to_plain(per_block), "product": choose_product(model.product, pixels).__name__}
