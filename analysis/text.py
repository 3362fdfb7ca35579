"""Verdicts and numbers as text.

"Helps" is said of what the sentence names: the part taken away or added, else the change made.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import floor, isfinite, isnan, log10
from statistics import median

from terminator.analysis.caveats import Kind
from terminator.analysis.metrics import Metric
from terminator.analysis.summary import Summary, VariantSummary
from terminator.ledger import Interval, Verdict

NAMED_PARTS = 3


def verdict_text(variant: VariantSummary, metric: Metric | None = None) -> str:
    """A row's verdict: "part helps", "change hurts", "no effect", "undecided: at most ±1.3 points".

    Without a `metric` for a column: "undecided (±1.3)", in the unit of the differences beside it.
    """
    if variant.comparison is None:
        return "baseline"
    if not variant.values:
        return variant.lost
    judgement = variant.comparison.judgement
    if judgement.verdict is Verdict.equivalent:
        return "no effect"
    if judgement.verdict is Verdict.undecided:
        if judgement.bound is None:
            return "undecided"
        bound = significant(judgement.bound, 2)
        return f"undecided: at most ±{bound}{metric.points_suffix}" if metric else f"undecided (±{bound})"
    if variant.change.kind is Kind.replacement:
        return "change helps" if judgement.verdict is Verdict.better else "change hurts"
    # A part that was taken away helps where doing without it is worse.
    helps = (judgement.verdict is Verdict.better) == (variant.change.kind is Kind.addition)
    if len(variant.change.parts()) > 1:
        return "parts help" if helps else "parts hurt"
    return "part helps" if helps else "part hurts"


def sentence(summary: Summary, variant: VariantSummary) -> str:
    """What was found out about a variant, as one sentence for a text, with the numbers of its row in the table."""
    comparison = variant.comparison
    if comparison is None:
        raise ValueError(f"{variant.name}: the baseline is compared with nothing")
    subject = _subject(variant)
    if comparison.pairs.n == 0:
        return f"{subject}: no verdict, {verdict_text(variant, summary.metric)}."
    judgement, metric = comparison.judgement, summary.metric
    mean, interval = comparison.pairs.mean, comparison.interval
    _, of_difference = places([summary])
    if comparison.pairs.constant and mean == 0:
        what = "stays the same"
    else:
        what = f"changes by {number(mean, of_difference, sign=True)}{metric.points_suffix}"
    evidence = f"n = {comparison.pairs.n}"
    if interval is not None:
        what += f" {bracketed(interval, of_difference)}".replace("\u00a0", " ")
        evidence += f", p = {p_value(comparison.p_difference)}".replace("= <", "< ")
    verdict = verdict_text(variant, metric)
    if judgement.verdict is Verdict.equivalent:
        verdict += f" (surely less than {number(summary.smallest_effect, 2)}{metric.points_suffix})"
    elif judgement.verdict is not Verdict.undecided:
        verdict = f"the {verdict}"
    note = f"; {judgement.note}" if judgement.note else ""
    return f"{subject}: {metric.title.lower()} {what} ({evidence}): {verdict}{note}."


def _subject(variant: VariantSummary) -> str:
    """The variant's name, and what it goes without or has added where that takes few words."""
    kind, parts = variant.change.kind, variant.change.parts()
    if variant.twin_of is not None:
        return f"{variant.name} ({variant.twin_of} at the baseline's size)"
    if kind is Kind.replacement or not parts or len(parts) > NAMED_PARTS:
        return variant.name
    return f"{variant.name} ({'without' if kind is Kind.removal else 'with added'} {' and '.join(parts)})"


MINUS = "−"
NOTHING = "–"


def decimals(spreads: Iterable[float], default: int = 2) -> int:
    """Decimals for a column whose numbers are uncertain by `spreads`: the typical one is to show two significant digits
    where they begin with 10 … 35, else one (the rule of the Particle Data Group). `default` where there is no spread.
    """
    known = [spread for spread in spreads if isfinite(spread) and spread > 0]
    if not known:
        return default
    typical = median(known)
    power = floor(log10(typical))
    return min(4, max(0, 1 - power if typical / 10.0 ** (power - 1) < 35.5 else -power))


def places(summaries: Iterable[Summary]) -> tuple[int, int]:
    """Decimals for the means of these summaries, and for their differences: no interval that excludes 0 shows it."""
    known = list(summaries)
    of_mean = decimals(variant.std for summary in known for variant in summary.variants)
    intervals = [interval for summary in known for interval in summary.intervals]
    of_difference = decimals((each.half_width for each in intervals), default=of_mean)
    ends = [min(each.low, each.high, key=abs) for each in intervals if each.low * each.high > 0]
    while of_difference < 4 and any(end and not round(end, of_difference) for end in ends):
        of_difference += 1
    return of_mean, of_difference


def number(value: float, places: int, *, sign: bool = False) -> str:
    """With a true minus; with `sign`, a plus too; no negative zero. NaN stands for a number that is not there."""
    if not isfinite(value):
        return NOTHING if isnan(value) else "∞" if value > 0 else f"{MINUS}∞"
    text = f"{round(value, places) + 0.0:{'+' if sign else ''},.{places}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def bracketed(interval: Interval, places: int) -> str:
    """`[−1.2, +0.3]`, unbroken."""
    low, high = (number(end, places, sign=True) for end in (interval.low, interval.high))
    return f"[{low},\u00a0{high}]"


def significant(value: float, digits: int = 3) -> str:
    """With so many significant digits; whole numbers stay whole."""
    if not isfinite(value):
        return number(value, 0)
    if value == 0:
        return "0"
    return number(value, max(0, digits - 1 - floor(log10(abs(value)))))


def p_value(value: float | None) -> str:
    """Two significant digits, never below one in a thousand, never 0 and never above 1."""
    if value is None or not isfinite(value):
        return NOTHING
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"
