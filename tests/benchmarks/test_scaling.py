"""Cost against size: exponents and memory against ones worked by hand, and the command end to end."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import scaling
from benchmarks.scaling import Measurement, exponents
from benchmarks.scaling_measure import peak_memory, step_of

CPU = torch.device("cpu")


def _measured(pixels: int, seconds: float) -> Measurement:
    return Measurement(2, "network", 0, pixels, 1, "forward", 1, seconds, seconds, 8.0 * pixels, 5.0, "wall", 1)


def test_exponents_of_a_power_law_and_of_its_end() -> None:
    rows = [_measured(pixels, float(seconds)) for pixels, seconds in [(16, 1), (1, 1), (4, 1), (64, 8)]]
    time, memory, fixed = exponents(rows)
    assert (time.cost, memory.cost, fixed.cost) == ("seconds", "memory_bytes", "flops")
    assert time.exponent == pytest.approx(0.45)  # logs to base 4: (0, 0, 0, 1.5) at (0, 1, 2, 3)
    assert time.last == pytest.approx(1.5)
    assert (memory.exponent, memory.last) == pytest.approx((1, 1))
    assert (fixed.exponent, fixed.last) == pytest.approx((0, 0))


def test_peak_memory_counts_what_lives_at_once() -> None:
    x = torch.zeros(1 << 18)  # 1 MiB

    def step() -> None:
        doubled = x * 2
        tripled = x * 3
        del doubled
        tripled.add_(1)
        torch.cat([tripled, tripled])

    assert peak_memory(step, CPU) == pytest.approx(3 << 20, rel=0.01)


def test_a_step_backward_leaves_no_gradient_behind() -> None:
    network = nn.Linear(3, 2)
    step_of(network, torch.ones(4, 3), backward=True)()
    assert network.weight.grad is None


def test_the_command_writes_tables_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--repetitions", "1", "--sides", "5", "6", "--lengths"]
    monkeypatch.setattr(sys, "argv", ["scaling", str(tmp_path), *arguments])
    shown = {name: scaling.networks()[name] for name in ("Terminator, ⊗ matmul", "Terminator, ⊗ hadamard")}
    monkeypatch.setattr(scaling, "networks", lambda: shown)
    scaling.main()
    with (tmp_path / "scaling.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * 2
    forward = {row["network"]: float(row["flops"]) for row in rows if (row["size"], row["work"]) == ("6", "forward")}
    products = forward["Terminator, ⊗ matmul"] - forward["Terminator, ⊗ hadamard"]
    assert products == 2 * 6**3 * 3 * (3 + 4 * 48)  # per channel, three products a block
    assert {path.name for path in tmp_path.iterdir()} == {
        "scaling.csv",
        "scaling_exponents.csv",
        "scaling.png",
        "scaling.pdf",
    }
