"""Do the statistics keep their word? Simulated ablations with known effects, judged by the code that judges real ones.

    python benchmarks/coverage.py [REPETITIONS]

A result is the seed's own level + the variant's effect + noise, in points of accuracy. Printed for n = 3, 5, 10 seeds:
the family-wise rate of false "better" or "worse" among 10 variants without effect; that of false "no effect" among 10
variants whose effect is just the smallest that matters; the coverage of both intervals; the share of right verdicts on
10 variants with a large effect.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from terminator.analysis.statistics.tests import bca_interval
from terminator.analysis.statistics.verdict import Comparison, Verdict, compare

VARIANTS = 10
SMALLEST_EFFECT = 0.5
NOISE = 0.3
SEED_LEVEL = 0.5
LARGE = 2.0


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{repetitions} ablations each of {VARIANTS} variants; noise {NOISE}, smallest effect {SMALLEST_EFFECT}")
    print("seeds | false better or worse | false no effect | t covers | BCa covers | large effect found")
    for seeds in (3, 5, 10):
        tables = list(simulate(0.0, seeds, repetitions))
        alarms = rate(any(decided(each) for each in table) for table in tables)
        t = rate(each.interval is not None and each.interval.contains(0.0) for table in tables for each in table)
        bca = rate(bca_covers(table[0], 0.0) for table in tables)
        blunders = rate(
            any(each.judgement.verdict is Verdict.equivalent for each in table)
            for table in simulate(SMALLEST_EFFECT, seeds, repetitions)
        )
        found = rate(
            each.judgement.verdict is Verdict.better for table in simulate(LARGE, seeds, repetitions) for each in table
        )
        print(f"{seeds:5} | {alarms:21.2%} | {blunders:15.2%} | {t:8.2%} | {bca:10.2%} | {found:18.2%}", flush=True)


def simulate(effect: float, seeds: int, repetitions: int) -> Iterator[list[Comparison]]:
    """Ablations whose variants all have the same true effect."""
    random = np.random.default_rng(seeds)
    for _ in range(repetitions):
        level = random.normal(95.0, SEED_LEVEL, seeds)
        results = level + random.normal(0.0, NOISE, (VARIANTS + 1, seeds))
        baseline = dict(enumerate(results[0].tolist()))
        variants = {str(i): dict(enumerate((results[i] + effect).tolist())) for i in range(1, VARIANTS + 1)}
        yield list(compare(baseline, variants, smallest_effect=SMALLEST_EFFECT).values())


def decided(comparison: Comparison) -> bool:
    """Whether the verdict claims a difference."""
    return comparison.judgement.verdict in (Verdict.better, Verdict.worse)


def bca_covers(comparison: Comparison, effect: float) -> bool:
    """Whether the bootstrap interval holds the true effect."""
    interval = bca_interval(comparison.pairs)
    return interval is not None and interval.contains(effect)


def rate(outcomes: Iterator[bool]) -> float:
    """The share of true ones."""
    return float(np.mean(list(outcomes)))


if __name__ == "__main__":
    main()
