from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from terminator.planning.show import Words, broken


@pytest.mark.parametrize(
    ("word", "width", "lines"),
    [
        ("model.branches.local=true", 30, ["model.branches.local=true"]),
        ("model.branches.local=true", 22, ["model.branches.", "local=true"]),
        ("model.branches.local=true", 10, ["model.", "branches.", "local=true"]),
        ("model.channels=[12,24,48]", 22, ["model.channels=[12,24,", "48]"]),
        ("model.omega_0=30.5", 15, ["model.", "omega_0=30.5"]),
        ("objective.penalty=5e-06", 5, ["objective.", "penalty=5e-06"]),
        ("data=digits", 3, ["data=digits"]),
    ],
)
def test_words_are_broken_at_their_joints(word: str, width: int, lines: list[str]) -> None:
    assert broken(word, width) == lines


def test_a_cell_is_as_wide_as_the_table_leaves_it() -> None:
    table = Table("variant", "overrides", box=None, pad_edge=False)
    table.add_row("a" * 20, Words(["model.branches.local=false", "seed=1"]))
    console = Console(file=io.StringIO(), width=44)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    said = [line.replace("a" * 20, "").strip() for line in console.file.getvalue().splitlines()[1:]]
    assert said == ["model.branches.", "local=false", "seed=1"]
