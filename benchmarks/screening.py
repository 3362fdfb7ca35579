"""Do screens keep their word? A made-up system of eight parts, screened and judged by the code that judges real ones.

    python -m benchmarks.screening [SCREENS]

The logit of a run's accuracy is the sum of what the parts that are off do, of two interactions, of the seed's level and
of noise; 1,000 test images add theirs. Three parts do nothing in any cell. Without any part accuracy is near chance.
Printed, in Markdown: how many screens call some part wrongly (one that does nothing as helping or hurting, another as
hurting or without effect), and how many of the five others are found: judged by logits, as screens with collapsed cells
are, and in points, as they would be otherwise. *By itself*: effects are a third as large, and the cell without any part
falls to chance all the same, as if by an interaction of all eight.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from terminator.analysis.factors import Crossing
from terminator.analysis.measured import Measured, main_effects
from terminator.analysis.metrics import metric
from terminator.analysis.statistics.looks import take_look
from terminator.analysis.statistics.tests import FloatArray
from terminator.ledger import OFF, ON, LookPlan, Verdict
from terminator.planning.screen import cells

PARTS = tuple("abcdefgh")
EFFECTS = np.array([-1.2, 0.0, -0.8, 0.0, -2.0, -0.5, 0.0, -0.3])  # in logits
INTERACTIONS = {(0, 4): -0.8, (2, 5): 0.4}  # where both are off
MAIN_EFFECTS = EFFECTS + np.array(
    [sum(each for pair, each in INTERACTIONS.items() if at in pair) / 2 for at in range(8)]
)
FULL, CHANCE = 3.7, -2.2  # 97.6 % and 10 %
SEED_SPREAD, NOISE, IMAGES = 0.3, 0.15, 1_000
MARGIN = 0.5  # points
DESIGN = np.array(cells(PARTS))
NAMES = ["full", *(f"cell {number}" for number in range(1, len(DESIGN)))]
LEVELS = [tuple(OFF if off else ON for off in cell) for cell in DESIGN]
CROSSED = Crossing(PARTS, dict(zip(LEVELS, NAMES, strict=True)), (ON,) * len(PARTS))
SCALES = {"logits": metric("test_accuracy"), "points": metric("accuracy")}  # of which no logit is taken


class System(NamedTuple):
    """By how much effects are smaller, and whether the cell without any part falls to chance by itself."""

    smaller: float
    collapses: bool = False


NO_EFFECTS, SUMS, BY_ITSELF = System(0.0), System(1.0), System(1 / 3, collapses=True)
SYSTEMS = {"no effects": NO_EFFECTS, "sums of logits": SUMS, "one cell collapses by itself": BY_ITSELF}


def accuracies(random: np.random.Generator, seeds: int, system: System = SUMS) -> FloatArray:
    """The results of one screen in per cent, (cells, seeds)."""
    logit = DESIGN @ EFFECTS
    for (one, other), both in INTERACTIONS.items():
        logit = logit + both * (DESIGN[:, one] & DESIGN[:, other])
    logit = FULL + np.where(system.collapses & DESIGN.all(axis=1), CHANCE - FULL, system.smaller * logit)
    noise = random.normal(0, SEED_SPREAD, seeds) + random.normal(0, NOISE, (len(DESIGN), seeds))
    return 100 * random.binomial(IMAGES, 1 / (1 + np.exp(-(logit[:, None] + noise)))) / IMAGES


@dataclass(frozen=True)
class Judged:
    """What one screen said: whether some part is called `wrong`, and the share of the real ones `found`."""

    wrong: bool
    found: float


def screen(results: FloatArray, scale: str, system: System = SUMS) -> Judged:
    """Judge one screen as terminator.looks does."""
    shown = SCALES[scale]
    values = {name: dict(enumerate(row)) for name, row in zip(NAMES, results.tolist(), strict=True)}
    effects = main_effects(Measured(values, shown, True, MARGIN, IMAGES, 100 / IMAGES), CROSSED, "full")
    seeds = range(results.shape[1])
    margin, resolution = effects.smallest_effect, effects.resolution
    plan = LookPlan.fixed(len(seeds))
    look = take_look(plan, (), seeds, effects.values, "full", margin=margin, resolution=resolution)
    wrong, found = False, []
    for part, effect in zip(PARTS, MAIN_EFFECTS * system.smaller, strict=True):
        verdict = look.decisions[part].verdict
        if not effect:
            wrong |= verdict in (Verdict.better, Verdict.worse)
            continue
        matters = abs(effect) >= effects.smallest_effect
        wrong |= verdict is Verdict.better or (verdict is Verdict.equivalent and matters)
        found.append(verdict is Verdict.worse)
    return Judged(wrong, sum(found) / max(1, len(found)))


def main() -> None:
    """Print the table."""
    screens = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    print("| system | judged in | seeds | runs | wrong | effects found |")
    print("|---|---|---|---|---|---|")
    for name, system in SYSTEMS.items():
        for scale in SCALES:
            for seeds in (3, 5, 8):
                random = np.random.default_rng(0)
                judged = [screen(accuracies(random, seeds, system), scale, system) for _ in range(screens)]
                wrong, found = np.mean([each.wrong for each in judged]), np.mean([each.found for each in judged])
                runs = len(DESIGN) * seeds
                print(f"| {name} | {scale} | {seeds} | {runs} | {wrong:.1%} | {found:.1%} |", flush=True)


if __name__ == "__main__":
    main()
