"""Fair controls: a variant's twin, widened or narrowed to the baseline's budget."""

from __future__ import annotations

import math
from dataclasses import replace

from terminator.config import RunConfig
from terminator.model.config import GROUPS, TerminatorConfig
from terminator.planning.cost import Cost, cost, parameters
from terminator.settings import Match

NARROWEST, WIDEST, STEPS = 1 / 16, 16.0, 12


def twin(config: RunConfig, budget: Cost, match: Match) -> tuple[float, RunConfig]:
    """The `model.width` whose network comes closest to the budget, and its configuration.

    Channels are whole, a Terminator's in whole groups, so the budget is met only as nearly as they allow: see `miss`.
    """
    wanted = spent(budget, match)

    def reached(width: float) -> int:
        return _count(_widened(config, width), match)

    low, high = math.log(NARROWEST), math.log(WIDEST)
    tried = {config.model.width}
    for _ in range(STEPS):  # cost grows with width: halve the interval towards the budget
        middle = (low + high) / 2
        width = round(math.exp(middle), 3)
        tried.add(width)
        if reached(width) < wanted:
            low = middle
        else:
            high = middle
    best = min(sorted(tried), key=lambda width: abs(math.log(reached(width) / wanted)))
    return best, _widened(config, best)


def spent(cost: Cost, match: Match) -> int:
    """The part of the cost that is to match."""
    return int(getattr(cost, match.value))


def miss(config: RunConfig, budget: Cost, match: Match) -> float:
    """By what share of the budget a twin lies above it, or below (negative)."""
    return _count(config, match) / spent(budget, match) - 1


def obstacle(config: RunConfig, budget: Cost, match: Match) -> str:
    """What keeps a twin from its budget."""
    widest = config.model.width * 2 > WIDEST and _count(_widened(config, WIDEST), match) < spent(budget, match)
    if widest:
        return f"the search ends at {WIDEST:g} times the width"
    if isinstance(config.model, TerminatorConfig):
        return f"channels come in steps of {GROUPS}, at least {GROUPS}"
    return "channels are whole, at least one"


def _count(config: RunConfig, match: Match) -> int:
    return parameters(config) if match is Match.parameters else cost(config).flops


def _widened(config: RunConfig, width: float) -> RunConfig:
    return replace(config, model=replace(config.model, width=width))
