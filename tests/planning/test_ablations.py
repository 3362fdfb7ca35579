"""Every ablation file: its variants make networks, and docs/axes.md says of it what is true."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from terminator.config import RunConfig, shipped
from terminator.planning.ablation import AblationConfig, DataKind, variants
from terminator.planning.compose import Composer
from terminator.planning.cost import check
from terminator.text import to_overrides

ABLATIONS = sorted(path.stem for path in (shipped("sweeps") / "ablation").glob("*.yaml"))


class Row(NamedTuple):
    """A line of the table, its cells as they are written."""

    axis: str
    values: str
    keys: str
    ablation: str
    runs: str


def _rows() -> dict[str, Row]:
    text = (Path(__file__).parents[2] / "docs" / "axes.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    rows = [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]
    return {row.ablation.strip("`"): row for row in rows}


def _listed_values(ablation: AblationConfig) -> list[str]:
    axes = [*ablation.one_at_a_time.values(), *ablation.grid.values()]
    return [to_overrides({"": value})[0].lstrip("=") for values in axes for value in values]


def test_the_table_has_one_row_for_each_file() -> None:
    assert sorted(_rows()) == ABLATIONS


@pytest.mark.parametrize("name", ABLATIONS)
def test_the_variants_make_networks_and_the_table_is_true(composer: Composer, name: str) -> None:
    ablation = composer.settings([f"ablation={name}"]).ablation
    data = ["data=sdigits"] if ablation.data_kind is DataKind.sequence else []
    assert ablation.question.endswith("?")
    assert (ablation.seeds is None) == (name != "variance")  # looks are planned
    configs: list[RunConfig] = []
    keys: set[str] = set()
    for variant in variants(ablation, name):
        config = composer.settings([*data, *to_overrides(variant.overrides)]).run_config()
        keys.update(variant.overrides)
        if config in configs:
            continue
        configs.append(config)
        check(config)
    row = _rows()[name]
    twins = len(configs) - 1 if ablation.match else 0
    assert int(row.runs) == (len(configs) + twins) * len(ablation.fixed_seeds or range(ablation.looks[0]))
    written = {key.strip("` ") for key in row.keys.split(",")}
    assert {key if key in written else f"{key.rpartition('.')[0]}.*" for key in keys} <= written
    if name != "omega_0":  # a range there
        assert all(f"`{value}`" in row.values for value in _listed_values(ablation))
