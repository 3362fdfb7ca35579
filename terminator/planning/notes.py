"""What must be said of a plan beside its numbers."""

from __future__ import annotations

from terminator.planning.budget import NEAR, signed_percent
from terminator.planning.matching import miss, obstacle, spent
from terminator.planning.plan import PlannedAblation
from terminator.planning.same import same_runs


def notes(planned: PlannedAblation) -> list[str]:
    """Lines on variants that are the same network, and on twins that miss their budget."""
    same = [
        f"{' and '.join(names)} are the same network: their words come to equal channels and settings."
        for names in same_runs(planned.variants)
    ]
    return [*same, *_far_twins(planned)]


def _far_twins(planned: PlannedAblation) -> list[str]:
    match = planned.settings.match
    if match is None:
        return []
    baseline = planned.variants[0]
    lines = []
    for each in planned.variants:
        if each.variant.twin_of and abs(off := miss(each.config, baseline.cost, match)) > NEAR:
            budget = f"{spent(baseline.cost, match):,} {match.value} of {baseline.variant.name}"
            why = obstacle(each.config, baseline.cost, match)
            lines.append(f"{each.variant.name} misses the {budget} by {signed_percent(off)}: {why}.")
    return lines
