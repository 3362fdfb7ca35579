"""Fair controls: a variant's twin, widened or narrowed to the baseline's budget."""

from __future__ import annotations

import math
from dataclasses import replace

from terminator.config import RunConfig
from terminator.planning.cost import Cost, cost, parameters
from terminator.settings import Match

NARROWEST, WIDEST, STEPS = 1 / 16, 16.0, 12


def twin(config: RunConfig, budget: Cost, match: Match) -> tuple[float, RunConfig]:
    """The `model.width` whose network comes closest to the budget, and its configuration.

    Channels are whole, a Terminator's in whole groups, so the budget is met only as nearly as they allow.
    """

    wanted = getattr(budget, match.value)

    def reached(width: float) -> int:
        widened = _widened(config, width)
        return parameters(widened) if match is Match.parameters else cost(widened).flops

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


def _widened(config: RunConfig, width: float) -> RunConfig:
    return replace(config, model=replace(config.model, width=width))
