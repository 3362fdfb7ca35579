"""What the variants' names stand for: what each changes, and what the ablation's YAML file remarks on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from terminator.analysis.results import Question
from terminator.analysis.summary import Summary, VariantSummary
from terminator.config import shipped
from terminator.text import to_overrides

MOST_KEYS = 12


class Entry(NamedTuple):
    """A variant's name, what it `changes`, and a `remark`, which may be empty."""

    name: str
    changes: str
    remark: str


def glossary(summary: Summary) -> list[Entry]:
    """An entry for each variant, in the table's order."""
    overrides = {each.name: dict(each.overrides) for each in summary.question.ablation.variants}
    said = _remarks(summary.question)
    return [
        Entry(variant.name, "the baseline, which the others are compared with", said.get(variant.name, ""))
        if variant is summary.baseline
        else _entry(variant, overrides.get(variant.name, {}), said.get(variant.name, ""))
        for variant in summary.variants
    ]


def _entry(variant: VariantSummary, overrides: Mapping[str, Any], remark: str) -> Entry:
    if variant.twin_of is not None:
        what = variant.name.rpartition("@")[2]
        remark = f"size-matched control: {variant.twin_of}, with a width that gives it the baseline's {what}"
    keys = variant.change.keys
    if len(keys) > MOST_KEYS and 0 < len(overrides) < len(keys):  # another network: what chose it
        return Entry(variant.name, " ".join(to_overrides(overrides)), remark)
    changes = "; ".join(f"{key}: {_value(old)} → {_value(new)}" for key, (old, new) in keys.items())
    return Entry(variant.name, changes or " ".join(to_overrides(overrides)), remark)


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _remarks(question: Question) -> dict[str, str]:
    """The comments beside the variants' names in the ablation's file, of those that still mean what was run."""
    for folder in _folders(question.sweep.command):
        path = folder / "ablation" / f"{question.ablation.name}.yaml"
        try:
            text = path.read_text("utf-8")
            written = (yaml.safe_load(text) or {}).get("variants") or {}
        except (OSError, ValueError, AttributeError, yaml.YAMLError):
            continue
        run = {each.name: dict(each.overrides) for each in question.ablation.variants}
        found = {name: _comment(text, str(name)) for name, overrides in written.items() if run.get(name) == overrides}
        return {name: comment for name, comment in found.items() if comment}
    return {}


def _folders(command: Sequence[str]) -> list[Path]:
    """Where ablations are looked for: the command's `--config-dir`, then the shipped ones."""
    own = [Path(after) for word, after in pairwise(command) if word == "--config-dir"]
    return [*own, shipped("sweeps")]


def _comment(text: str, name: str) -> str:
    found = re.search(rf"^[ \t]+(['\"]?){re.escape(name)}\1:[^\n]*?[ \t]#[ \t]*(.+)$", text, re.MULTILINE)
    return found.group(2).strip() if found else ""
