"""sweep.json: the plan of a sweep, and the runs that fill it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from terminator.ledger.files import SCHEMA
from terminator.ledger.records import Code


@dataclass(frozen=True)
class Variant:
    """One row of the table. `runs`: seed → run key. `factors`: axis → level, in factorial designs."""

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    factors: Mapping[str, Any] = field(default_factory=dict)
    twin_of: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """One question, its baseline and its variants."""

    name: str
    question: str
    baseline: str
    metric: str
    higher_is_better: bool
    smallest_effect: float
    seeds: Sequence[int]
    variants: Sequence[Variant]


class Cell(NamedTuple):
    """One run in its place. Two cells may share a key."""

    ablation: Ablation
    variant: Variant
    seed: int
    key: str


@dataclass(frozen=True)
class Sweep:
    """What one command planned. `base`: the overrides that all runs have in common.

    `created`: when it was first typed, in seconds since 1970; `called`: when last, None if it was typed once.
    `tracked`: whether MLflow hears of it; `tracking_uri`: where MLflow is, None for ROOT/mlflow.db.
    """

    id: str
    created: float
    command: Sequence[str]
    base: Sequence[str]
    code: Code
    ablations: Sequence[Ablation]
    tracking_uri: str | None = None
    tracked: bool = True
    called: float | None = None

    @property
    def last_called(self) -> float:
        """When its command was typed last."""
        return self.created if self.called is None else self.called

    def cells(self) -> Iterator[Cell]:
        """Every place of the plan, in its order."""
        for ablation in self.ablations:
            for variant in ablation.variants:
                for seed, key in variant.runs.items():
                    yield Cell(ablation, variant, seed, key)

    def keys(self) -> list[str]:
        """The runs, each once, in the plan's order."""
        return list(dict.fromkeys(cell.key for cell in self.cells()))

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def parse(plain: dict[str, Any]) -> Sweep:
        """From the file's JSON."""
        return Sweep(
            id=plain["id"],
            created=float(plain["created"]),
            command=list(plain["command"]),
            base=list(plain["base"]),
            code=Code(**plain["code"]),
            ablations=[_ablation(each) for each in plain["ablations"]],
            tracking_uri=plain.get("tracking_uri"),
            tracked=plain.get("tracked", True),
            called=plain.get("called"),
        )


def sweep_id(ablations: Sequence[Ablation]) -> str:
    """`<ablation>[+<ablation>]-<8 hex digits>`: the same plan has the same id, so a command continues its sweep."""
    plan = [
        [ablation.name, variant.name, [[seed, variant.runs[seed]] for seed in sorted(variant.runs)]]
        for ablation in ablations
        for variant in ablation.variants
    ]
    digest = hashlib.sha256(json.dumps(plan, separators=(",", ":")).encode()).hexdigest()
    return f"{'+'.join(ablation.name for ablation in ablations)}-{digest[:8]}"


def _ablation(plain: dict[str, Any]) -> Ablation:
    return Ablation(**{**plain, "variants": [_variant(each) for each in plain["variants"]]})


def _variant(plain: dict[str, Any]) -> Variant:
    return Variant(**{**plain, "runs": {int(seed): key for seed, key in plain["runs"].items()}})
