"""What a block has to compute for the branches that are on (spec §6)."""

from __future__ import annotations

from dataclasses import dataclass

from terminator.model.config import TerminatorConfig, Wiring


@dataclass(frozen=True)
class Needs:
    """The intermediate features that some branch reads; the others are neither built nor computed."""

    product: bool  # O
    gate: bool  # F
    mixed: bool  # M
    channel: bool  # Hc
    kernel: bool  # K̂, and with it K_g


def block_needs(config: TerminatorConfig) -> Needs:
    """What the branches of `config` read."""
    on = config.branches
    wirings = {wiring for _, wiring in config.local_branches()}
    product = on.global_gated or on.si_glu or on.interaction
    gate = product or on.gated
    return Needs(
        product=product,
        gate=gate,
        mixed=on.global_mixed or not wirings.isdisjoint({Wiring.m_to_z, Wiring.z_to_m}),
        channel=on.global_channel or not wirings.isdisjoint({Wiring.z_to_hc, Wiring.hc_to_z}),
        kernel=gate or on.global_mixed or on.global_channel,
    )


def bottleneck_order(config: TerminatorConfig, previous: int) -> list[str]:
    """The branches in the order in which the release concatenates them (spec §6), those that are on.

    Local branches 0 to 3 and the first two previous blocks stand where the release has them; any further ones follow
    the last of their kind.
    """
    on, locals_ = config.branches, len(config.local_branches())
    slots = [
        ("global_gated", on.global_gated),
        ("local.1", locals_ > 1),
        ("previous.0", previous > 0),
        ("gated", on.gated),
        ("global_mixed", on.global_mixed),
        ("local.0", locals_ > 0),
        ("si_glu", on.si_glu),
        ("local.2", locals_ > 2),
        ("global_channel", on.global_channel),
        *((f"local.{i}", True) for i in range(3, locals_)),
        *((f"previous.{i}", True) for i in range(1, previous)),
        ("interaction", on.interaction),
    ]
    return [name for name, is_on in slots if is_on]
