from __future__ import annotations

from typing import Any

import pytest

from terminator.analysis.caveats import Kind, change

BASE: dict[str, Any] = {
    "model": {"gate": "rgu", "branches": {"local": True, "gated": True}, "local_kernels": [3, 9, 5], "width": 1.0},
    "objective": {"slow_loss": "tile", "weight": 1.0, "noise": 0.0},
    "seed": 0,
    "machine": {"threads": 1},
}


def variant(**groups: dict[str, Any]) -> dict[str, Any]:
    return {key: {**value, **groups.get(key, {})} if isinstance(value, dict) else value for key, value in BASE.items()}


@pytest.mark.parametrize(
    ("group", "kind", "parts"),
    [
        ({"model": {"branches": {"local": False, "gated": True}}}, Kind.removal, ["local"]),
        ({"objective": {"slow_loss": "off"}}, Kind.removal, ["slow_loss"]),
        ({"objective": {"weight": 0.0}}, Kind.removal, ["weight"]),
        ({"model": {"local_kernels": [3, 5]}}, Kind.removal, ["local_kernels 9"]),
        ({"model": {"local_kernels": [3, 9, 5, 7]}}, Kind.addition, ["local_kernels 7"]),
        ({"model": {"local_kernels": [3, 3, 3]}}, Kind.replacement, ["local_kernels"]),
        ({"objective": {"noise": 0.1}}, Kind.addition, ["noise"]),
        ({"model": {"gate": "glu"}}, Kind.replacement, ["gate"]),
        ({"model": {"branches": {"local": False, "gated": True}, "gate": "glu"}}, Kind.replacement, ["gate", "local"]),
        ({"machine": {"threads": 2}}, Kind.replacement, []),
    ],
)
def test_kinds_and_parts(group: dict[str, dict[str, Any]], kind: Kind, parts: list[str]) -> None:
    found = change(BASE, variant(**group))
    assert found.kind is kind
    assert found.parts() == parts


def test_seeds_are_no_change() -> None:
    assert change(BASE, {**BASE, "seed": 4}).keys == {}


def test_the_width_of_a_twin_is_its_control() -> None:
    narrow = variant(model={"branches": {"local": False, "gated": True}, "width": 1.25})
    assert change(BASE, narrow, is_twin=True).kind is Kind.removal
    assert change(BASE, narrow).kind is Kind.replacement
    assert change(BASE, narrow).keys["model.width"] == (1.0, 1.25)
