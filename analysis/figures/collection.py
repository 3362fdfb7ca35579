"""All figures of a report, and the files they are written to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from analysis.figures.curves import learning_curves
from analysis.figures.forest import forest
from analysis.figures.heatmap import heatmap
from analysis.figures.seeds import seed_strip
from analysis.figures.style import save
from analysis.figures.tradeoff import tradeoff
from analysis.results import Results
from analysis.summary import Summary


@dataclass(frozen=True)
class Drawn:
    """A figure on disk."""

    png: Path
    pdf: Path
    caption: str


def draw_figures(results: Results, summary: Summary, folder: Path, label: str) -> list[Drawn]:
    """Draw what the results of one ablation allow, as `<folder>/<label>-<figure>.png` and `.pdf`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure, caption in _figures(results, summary):
        if figure is not None:
            png, pdf = save(figure, folder / f"{label}-{name}")
            written.append(Drawn(png, pdf, caption))
    return written


def _figures(results: Results, summary: Summary) -> Iterator[tuple[str, Figure | None, str]]:
    title, baseline = summary.metric.title.lower(), summary.baseline.name
    if len(summary.variants) > 1:
        yield (
            "differences",
            forest(summary),
            f"Difference in {title} from {baseline}, paired by seed: mean, 95 % interval, and a dot for each seed. "
            "Grey band: smaller than the smallest effect that matters. ◂: beyond the edge.",
        )
    yield "seeds", seed_strip(summary), f"Every run's {title}; the bar is the mean over the seeds."
    yield (
        "curves",
        learning_curves(summary, results.epochs_of(summary.question)),
        f"Learning curves, mean ± standard deviation over the seeds; dashed: {baseline}.",
    )
    for cost, what in (("parameters", "parameters"), ("flops", "FLOPs of a forward pass")):
        yield cost, tradeoff(summary, cost), f"{summary.metric.title} (mean ± standard deviation) against {what}."
    if summary.crossing is not None:
        yield "crossing", heatmap(summary), f"Mean {title} in each cell of {' × '.join(summary.crossing.factors)}."
