"""All figures of a report: add a figure to `_figures`, and every report has it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from terminator.analysis.factors import numeric_axis
from terminator.analysis.features import Features, read_features
from terminator.analysis.figures.curves import learning_curves
from terminator.analysis.figures.features import feature_maps, features_by_depth, hyper_kernels
from terminator.analysis.figures.forest import forest, leave_one_out, screen_figure, seed_strip
from terminator.analysis.figures.relations import along_axis, heatmap, tradeoff
from terminator.analysis.figures.style import save
from terminator.analysis.results import Results
from terminator.analysis.summary import Summary
from terminator.errors import UserError
from terminator.text import file_name

DIFFERENCES = "differences"
BROKEN = " Beyond a dotted line, if there is one, the axis is logarithmic."
log = logging.getLogger(__name__)
KERNELS_SIDE_BY_SIDE = 2
MOST_BY_DEPTH = 7
MOST_VARIANTS = 30  # that a page holds


@dataclass(frozen=True)
class Drawn:
    """A figure on disk; `name` is that of its kind."""

    name: str
    png: Path
    pdf: Path
    caption: str

    @property
    def files(self) -> tuple[Path, Path]:
        """Both forms."""
        return self.png, self.pdf


def draw_figures(
    results: Results, summary: Summary, folder: Path, label: str, most: int = MOST_VARIANTS
) -> list[Drawn]:
    """Draw what the results of one ablation allow, as `<folder>/<label>-<figure>.png` and `.pdf`.

    Figures with a row or a panel for each variant show the baseline and the `most` that differ most from it; 0: all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure, caption in _figures(results, summary, most):
        if figure is not None:
            png, pdf = save(figure, folder / file_name(f"{label}-{name}"))
            written.append(Drawn(name, png, pdf, " ".join([caption, *summary.remarks])))
    return written


def _figures(results: Results, summary: Summary, most: int) -> Iterator[tuple[str, Figure | None, str]]:
    title, baseline = summary.metric.title.lower(), summary.baseline.name
    shown = summary.farthest(most) if most else summary
    left_out = len(summary.variants) - len(shown.variants)
    note = f" The {most} of {most + left_out} variants that differ most; --most 0 draws all." if left_out else ""
    interval = "95 % interval, " if shown.intervals else ""
    yield (
        DIFFERENCES,
        forest(shown),
        f"Difference in {title} from {baseline}, paired by seed: mean, {interval}and a dot for each seed. "
        f"Grey band: smaller than the smallest effect that matters.{BROKEN}{note}",
    )
    yield "seeds", seed_strip(shown), f"Every run's {title}; the bar is the mean over the seeds.{BROKEN}{note}"
    yield (
        "curves",
        learning_curves(shown, results.epochs_of(summary.question)),
        f"Learning curves, mean ± standard deviation over the seeds; dashed: {baseline}.{note}",
    )
    for cost, what in (("parameters", "parameters"), ("flops", "FLOPs of a forward pass")):
        yield (
            cost,
            tradeoff(shown, cost),
            f"{summary.metric.title} (mean ± standard deviation) against {what}.{BROKEN}{note}",
        )
    axis = numeric_axis(results.of(summary.question), baseline)
    if axis is not None:
        drawn = f"{summary.metric.title} (mean ± standard deviation, and a dot for each seed)"
        yield "axis", along_axis(summary, axis), f"{drawn} along {axis.key}; ◆: {baseline}.{BROKEN}"
    yield from _inner_figures(_exported(results, summary))
    if summary.is_screen:
        other = leave_one_out(results, summary)
        alone = f", and the difference of switching it off alone ({other.name})" if other else ""
        yield (
            "screen",
            screen_figure(summary, other),
            f"What switching each part off does, averaged over the presence of the others{alone}: mean and t interval "
            "over the seeds, those of the tables: they hold the true one with 95 % over all looks, each effect by "
            "itself; verdicts and p alone are corrected over the effects. Grey: smaller than the smallest effect that "
            f"matters.{BROKEN}",
        )
    if summary.crossing is not None:
        yield "crossing", heatmap(summary), f"Mean {title} in each cell of {' × '.join(summary.crossing.factors)}."


def _exported(results: Results, summary: Summary) -> dict[str, Features]:
    """The features of one run of each variant that has some, by the variant's name, in the table's order."""
    runs = results.of(summary.question)
    found: dict[str, Features] = {}
    for variant in summary.variants:
        for key in runs.loc[runs["variant"] == variant.name, "key"]:
            try:
                features = read_features(Path(results.source), str(key))
            except UserError as error:  # one damaged export is no reason to go without a report
                log.warning("%s", error)
                continue
            if features is not None:
                found[variant.name] = features
                break
    return found


def _inner_figures(exported: dict[str, Features]) -> Iterator[tuple[str, Figure | None, str]]:
    if not exported:
        return
    pair = dict(list(exported.items())[:KERNELS_SIDE_BY_SIDE])
    yield (
        "kernels",
        hyper_kernels(pair),
        "Global hyper-kernels K of each block and context-dependent ones K̂ = Z ⊙ K for one test image, first channels; "
        f"grey is zero, every row has its own scale ({' and '.join(pair)}).",
    )
    name, features = next(iter(exported.items()))
    yield "maps", feature_maps(features), f"The output of each block of {name} for one test image, first channels."
    several = dict(list(exported.items())[:MOST_BY_DEPTH])
    yield (
        "depth",
        features_by_depth(several),
        "Mean and standard deviation of each block's output over the test images, all channels and pixels.",
    )
