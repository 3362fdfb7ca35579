from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from terminator.ledger import Ledger, provenance
from terminator.planning.compose import Composer
from terminator.planning.plan import plan
from terminator.planning.show import show_plan


def test_a_plan_shows_how_far_twins_are_off(composer: Composer, tmp_path: Path) -> None:
    words = ["ablation.match=parameters", "ablation.one_at_a_time={model.depth:[1]}"]
    planned = plan(composer, ["depth"], words, [0])
    console = Console(file=io.StringIO(), width=100)
    show_plan(console, planned, planned.sweep(provenance(), []), Ledger(tmp_path))
    assert isinstance(console.file, io.StringIO)
    table, said, _ = console.file.getvalue().partition("depth=1@parameters misses the 103,991 parameters")
    assert said
    cells = {row[0]: row[1:] for line in table.splitlines() if (row := line.split())}
    assert cells["variant"] == ["parameters", "MFLOPs", "off", "done", "overrides"]
    assert cells["full"] == ["103,991", "4.41", "0/1"]
    assert cells["depth=1@parameters"][2:5] == ["−82", "%", "0/1"]
