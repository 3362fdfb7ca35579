"""What the final metrics are called, in which unit they are shown, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from terminator.analysis.results import Results
from terminator.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A metric as it is shown: `scale` turns the ledger's unit into `unit`; `points` is the unit of its differences.

    `complement`: shown as one minus the logged metric of that name.
    """

    name: str
    title: str
    unit: str = ""
    points: str = ""
    scale: float = 1.0
    higher_is_better: bool = False
    complement: str | None = None

    @property
    def heading(self) -> str:
        """Title and unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title

    @property
    def points_heading(self) -> str:
        """The unit of differences in brackets, to go after a heading; empty without one."""
        return f" ({self.points})" if self.points else ""

    @property
    def points_suffix(self) -> str:
        """The unit of differences, to go after a number; empty without one."""
        return f" {self.points}" if self.points else ""

    def resolution(self, test_images: int | None) -> float:
        """What one of so many test images is worth, in the shown unit; 0 where it moves in no such steps."""
        return self.scale / test_images if self.of_test_images and test_images else 0.0

    @property
    def logged(self) -> str:
        """The name that it is logged by."""
        return self.complement or self.name

    def shown(self, value: float) -> float:
        """What was logged, in the shown unit."""
        return self.scale * (1 - value if self.complement else value)

    @property
    def of_test_images(self) -> bool:
        """Whether it counts test images, so that it moves in steps of one."""
        return self.logged == "test_accuracy"

    @property
    def is_fraction(self) -> bool:
        """An accuracy or an error: a fraction on disk, shown in per cent."""
        return self.unit == "%"


def _fraction(name: str, title: str, *, up: bool, complement: str | None = None) -> Metric:
    return Metric(name, title, "%", "points", 100.0, up, complement)


KNOWN = {
    metric.name: metric
    for metric in (
        _fraction("test_accuracy", "Test accuracy", up=True),
        _fraction("validation_accuracy", "Validation accuracy", up=True),
        _fraction("test_error", "Test error", up=False, complement="test_accuracy"),
        Metric("test_loss", "Test loss"),
        Metric("validation_loss", "Validation loss"),
        Metric("parameters", "Parameters"),
        Metric("flops", "MFLOPs", scale=1e-6),
        Metric("train_seconds", "Training", "s", "s"),
        Metric("images_per_second", "Images/s", higher_is_better=True),
        Metric("peak_memory_bytes", "Peak memory", "MiB", "MiB", 2.0**-20),
        Metric("energy_joules", "Energy", "kJ", "kJ", 1e-3),
        Metric("best_epoch", "Best epoch"),
        Metric("epochs", "Epochs"),
        Metric("convergence_epochs", "Epochs to 95\u00a0% (of its best)", points="epochs"),
    )
}


def metric(name: str, higher_is_better: bool | None = None) -> Metric:
    """The metric of that name; one that nobody has described is shown as it is, and more of it is better."""
    known = KNOWN.get(name)
    if known is not None:
        return known
    return Metric(name, name.replace("_", " ").capitalize(), higher_is_better=higher_is_better is not False)


def check_logged(results: Results, name: str) -> None:
    """Raise UserError if some runs are done and none of them has the metric."""
    logged = results.metrics()
    if logged and metric(name).logged not in logged:
        raise UserError(f"metric={name}: no run has logged it; choose from {', '.join(sorted(logged))}")
