"""Do the verdicts keep their word? Simulated ablations with known effects, judged by the code that judges real ones.

    python benchmarks/coverage.py [TABLES]

A table has ten variants; a result is the seed's own level (which pairing takes out) + the variant's effect + noise.
Printed, in Markdown: for each kind of noise, the chance that some variant of a table without effect is called better or
worse, and that some variant just at the margin is called no effect: with planned looks, for users who type more seeds
again and again, and, to show what is at stake, for looks each at the full 5 %; how often the interval at which a row
stops holds the truth; and what planned looks decide, in how many runs, beside fixed numbers of seeds. Effects and
margin are in spreads: standard deviations of a paired difference of two equal variants. Tables without effect have no
margin, so that no row stops early as being without effect.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from terminator.analysis.statistics.looks import BETTER, EQUIVALENT, UNDECIDED, WORSE, judge, next_alpha
from terminator.analysis.statistics.tests import BoolArray, FloatArray, moments
from terminator.ledger import Look, LookPlan

VARIANTS = 10
MARGIN = 1.8
BATCH = 5_000  # tables at a time
PLAN = LookPlan()
Random = np.random.Generator
Shape = tuple[int, ...]


def equal(random: Random, shape: Shape) -> FloatArray:
    """Normal noise, (tables, 1 + variants, seeds), the baseline first; a difference of two has a spread of 1."""
    return random.normal(0.0, sqrt(0.5), shape)


def one_wild(random: Random, shape: Shape) -> FloatArray:
    """One variant whose differences have 20 times the spread."""
    noise = equal(random, shape)
    noise[:, 1] *= sqrt(2 * 20**2 - 1)
    return noise


def log_normal(random: Random, shape: Shape) -> FloatArray:
    """Every row with a spread of its own, drawn from a log-normal distribution."""
    return equal(random, shape) * random.lognormal(0.0, 1.0, (*shape[:2], 1))


def wild_baseline(random: Random, shape: Shape) -> FloatArray:
    """A baseline with three times the noise."""
    noise = equal(random, shape)
    noise[:, 0] *= 3
    return noise


def heavy_tails(random: Random, shape: Shape) -> FloatArray:
    """Student's t with three degrees of freedom, at the same standard deviation."""
    return random.standard_t(3, shape) * sqrt(0.5 / 3)


def failing(random: Random, shape: Shape) -> FloatArray:
    """One run in twenty fails."""
    return np.where(random.random(shape) < 0.05, np.nan, equal(random, shape))


NOISES: Mapping[str, Callable[[Random, Shape], FloatArray]] = {
    "equal spreads": equal,
    "one variant with 20 times the spread": one_wild,
    "log-normal spreads": log_normal,
    "baseline with 3 times the noise": wild_baseline,
    "t₃ tails": heavy_tails,
    "one run in twenty fails": failing,
}
IMAGES = 360
ACCURACIES = {f"accuracies on {IMAGES} images near {accuracy:.2%}": accuracy for accuracy in (0.995, 0.9997)}


def draw(scenario: str, random: Random, effects: FloatArray, seeds: int) -> tuple[FloatArray, float]:
    """A batch of tables, in spreads, (BATCH, 1 + variants, seeds), the baseline first; and their resolution."""
    shape = (BATCH, 1 + len(effects), seeds)
    shift = np.concatenate([[0.0], effects])[:, None]
    if scenario in NOISES:
        return NOISES[scenario](random, shape) + shift, 0.0
    accuracy = ACCURACIES[scenario]
    spread = sqrt(2 * accuracy * (1 - accuracy) / IMAGES)
    correct = random.binomial(IMAGES, accuracy - spread * shift, shape)
    return -correct / (IMAGES * spread), 1 / (IMAGES * spread)  # so an effect is lost accuracy


@dataclass(frozen=True)
class Outcome:
    """What became of a batch of tables: (tables, variants), and `runs` (tables)."""

    codes: NDArray[np.int8]
    covers: BoolArray
    runs: NDArray[np.int64]


def follow(drawn: tuple[FloatArray, float], effects: FloatArray, alphas: Mapping[int, float], margin: float) -> Outcome:
    """Look at tables at the numbers of seeds and levels of `alphas`; who is decided gets no more seeds."""
    results, resolution = drawn
    codes = np.zeros((results.shape[0], len(effects)), dtype=np.int8)
    covers, needed = np.ones(codes.shape, dtype=bool), np.zeros(codes.shape, dtype=np.int64)
    for seeds, alpha in alphas.items():
        undecided = codes == UNDECIDED
        sample = moments(results[:, 1:, :seeds], results[:, :1, :seeds], resolution)
        judged = judge(sample, codes, alpha=alpha, margin=margin)
        covers = np.where(undecided, ~((effects < judged.low) | (effects > judged.high)), covers)
        needed = np.where(undecided, seeds, needed)
        codes = judged.codes
    return Outcome(codes, covers, needed.sum(axis=1) + needed.max(axis=1))


def spend(plan: LookPlan, seeds: Sequence[int]) -> dict[int, float]:
    """The levels of looks at these numbers of seeds, under a plan."""
    made: list[Look] = []
    for n in seeds:
        made.append(Look(len(made) + 1, tuple(range(n)), next_alpha(plan, made, n), n in plan.seeds))
    return {len(look.seeds): look.alpha for look in made}


def hunt(
    drawn: tuple[FloatArray, float], effects: FloatArray, margin: float, planned: Mapping[int, float]
) -> NDArray[np.int8]:
    """The verdicts of a user who makes planned looks, and types one more seed whenever a p is nearly small enough."""
    results, resolution = drawn
    codes = np.zeros((results.shape[0], len(effects)), dtype=np.int8)
    reserve, nearly = np.full((results.shape[0], 1), PLAN.level * PLAN.reserve), np.zeros((results.shape[0], 1), bool)
    for n in MORE:
        alpha = np.where(nearly, reserve / 2, 0.0)
        if n in planned:
            alpha = np.full(reserve.shape, planned[n])
        else:
            reserve = reserve - alpha
        judged = judge(moments(results[:, 1:, :n], results[:, :1, :n], resolution), codes, alpha=alpha, margin=margin)
        codes = judged.codes
        p_values = np.fmin(np.nan_to_num(judged.p_difference, nan=1.0), np.nan_to_num(judged.p_equivalence, nan=1.0))
        p_values = np.where(codes == UNDECIDED, p_values, 1.0).min(axis=1, keepdims=True)
        nearly = np.where(alpha > 0, p_values < NEARLY, nearly)
    return codes


PLANNED = spend(PLAN, PLAN.seeds)
MORE = range(3, 31)
NEARLY = 0.1
LISTED = "3 seeds listed, then one more each time"
POLICIES = {
    "planned looks": PLANNED,
    "one more seed each time, 3 to 30": spend(PLAN, MORE),
    LISTED: spend(LookPlan.fixed(3), MORE),
    "every look at 5 %": dict.fromkeys(PLAN.seeds, PLAN.level),
}


def main() -> None:
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    batches = max(1, tables // BATCH)
    error = sqrt(PLAN.level * (1 - PLAN.level) / (batches * BATCH))
    print(f"{batches * BATCH:,} tables a line, {VARIANTS} variants; standard error of a rate of 5 %: {error:.2%}\n")
    print(
        "| noise | variants | "
        + " | ".join(POLICIES)
        + " | 3 seeds listed, then one more whenever p < 0.1 | interval covers |"
    )
    print("|---|---|" + "---|" * (len(POLICIES) + 2))
    for scenario in (*NOISES, *ACCURACIES):
        for effect, claims in ((0.0, (BETTER, WORSE)), (MARGIN, (EQUIVALENT,))):
            effects = np.full(VARIANTS, effect)
            rates: dict[str, list[float]] = {policy: [] for policy in (*POLICIES, "hunt", "covers")}
            random = np.random.default_rng(0)
            for _ in range(batches):
                drawn = draw(scenario, random, effects, max(MORE))
                for policy, alphas in POLICIES.items():
                    outcome = follow(drawn, effects, alphas, margin=effect)
                    rates[policy].append(float(np.isin(outcome.codes, claims).any(axis=1).mean()))
                    if alphas is PLANNED:
                        rates["covers"].append(float(outcome.covers.mean()))
                found = np.isin(hunt(drawn, effects, effect, spend(LookPlan.fixed(3), [3])), claims).any(axis=1)
                rates["hunt"].append(float(found.mean()))
            row = " | ".join(f"{np.mean(rate):.2%}" for rate in rates.values())
            print(f"| {scenario} | {'at the margin' if effect else 'without effect'} | {row} |", flush=True)
    power(batches)
    tuned(batches)


CANDIDATES = np.array([0.0, -0.5, -1.0, -2.0])  # what each setting adds to a variant, in spreads


def tuned(batches: int) -> None:
    """Print the errors of tables whose rows, baseline included, were tuned first: four settings, at seeds of their own.

    Without tuning all variants would be equal. *Wrong*: some row is called better or worse beside what its chosen
    settings come to. *Chosen*: some row is called so, if rightly, because tuning chose unlike settings.
    """
    print("\n| seeds of the tuning | wrong | chosen | rows tuned to the best setting |")
    print("|---|---|---|---|")
    for seeds in (1, 2, 5):
        random, seen = np.random.default_rng(2), []
        for _ in range(batches):
            seen_at_tuning = random.normal(0.0, sqrt(0.5 / seeds), (BATCH, 1 + VARIANTS, len(CANDIDATES)))
            chosen = (seen_at_tuning + CANDIDATES).argmax(axis=2)
            effects = CANDIDATES[chosen]
            truth = effects[:, 1:] - effects[:, :1]
            final = equal(random, (*effects.shape, max(PLAN.seeds))) + effects[..., None]
            codes = follow((final, 0.0), np.zeros(VARIANTS), PLANNED, margin=0.0).codes
            wrong = (codes == BETTER) & (truth <= 0) | (codes == WORSE) & (truth >= 0)
            real = np.isin(codes, (BETTER, WORSE)) & ~wrong
            seen.append([wrong.any(axis=1).mean(), real.any(axis=1).mean(), (chosen == 0).mean()])
        print(f"| {seeds} | {' | '.join(f'{each:.1%}' for each in np.mean(seen, axis=0))} |", flush=True)


def power(batches: int) -> None:
    """Print what is decided, and in how many runs, where half of the variants have an effect."""
    policies = {"planned looks": PLANNED}
    policies |= {f"{n} seeds for all": {n: PLAN.level} for n in (3, 5, 8, 20)}
    print(
        "\n| half of the variants at | seeds | rows decided | effects found | no effect found | wrong | runs | covers |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for effect in (1.0, 2.0, 3.0, 5.0):
        effects = np.where(np.arange(VARIANTS) % 2 == 0, effect, 0.0)
        for policy, alphas in policies.items():
            random = np.random.default_rng(1)
            seen = [follow(draw("equal spreads", random, effects, 20), effects, alphas, MARGIN) for _ in range(batches)]
            codes = np.concatenate([outcome.codes for outcome in seen])
            real = effects > 0
            wrong = np.isin(codes, (BETTER, WORSE)) & ~real | (codes == WORSE) & real
            wrong |= (codes == EQUIVALENT) & (effects >= MARGIN)
            figures = [
                np.mean(codes != UNDECIDED),
                np.mean(codes[:, real] == BETTER),
                np.mean(codes[:, ~real] == EQUIVALENT),
                np.mean(wrong.any(axis=1)),
            ]
            row = " | ".join(f"{each:.1%}" for each in figures)
            runs = np.mean([outcome.runs.mean() for outcome in seen])
            covers = np.mean([outcome.covers.mean() for outcome in seen])
            print(f"| {effect:g} spreads | {policy} | {row} | {runs:.0f} | {covers:.1%} |", flush=True)


if __name__ == "__main__":
    main()
