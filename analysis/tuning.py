"""What a tuning chooses: the best setting for each variant, by validation images and seeds of its own."""

from __future__ import annotations

from collections import defaultdict
from statistics import fmean

from terminator.ledger import Ablation, Ledger, Variant


def best_candidates(ledger: Ledger, tuning: Ablation) -> dict[str, str]:
    """Variant → the name of its candidate with the best mean metric; of equals the one listed first.

    Candidates without a result at some seed (diverged, out of memory) come after those that have all; where none has
    any, the first stands, and its final runs will show what is wrong.
    """
    by_variant: dict[str, list[Variant]] = defaultdict(list)
    for candidate in tuning.variants:
        by_variant[str(candidate.candidate_of)].append(candidate)
    sign = 1.0 if tuning.higher_is_better else -1.0

    def rank(candidate: Variant) -> tuple[int, float]:
        results = [ledger.run(key).result() for key in candidate.runs.values()]
        values = [float(each.metrics[tuning.metric]) for each in results if each is not None]
        return len(values), sign * fmean(values) if values else 0.0

    return {variant: max(candidates, key=rank).name for variant, candidates in by_variant.items()}
