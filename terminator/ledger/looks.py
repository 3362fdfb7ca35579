"""The looks that an ablation plans at growing numbers of seeds, and those that were made.

A look tests an ablation's variants at the seeds there are, and spends a part of the error level. What later looks may
spend depends on it, so the ledger remembers every look, by its question, whatever sweep it was made in:

    ROOT/looks/<question>/plan.json     the plan, as frozen by the first look
    ROOT/looks/<question>/0001.json     a look
    ROOT/looks/<question>/tuned.json    variant → the candidate that its tuning chose, if it has one

terminator.analysis.statistics.looks says what a look may spend, and what it decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from math import isclose
from pathlib import Path
from typing import Any

from terminator.errors import UserError
from terminator.ledger import files

FEWEST_SEEDS = 3  # at two, only a difference a hundred times its spread could be shown
DEFAULT_SEEDS = (3, 5, 8, 12, 20)
DEFAULT_SHARES = (0.10, 0.25, 0.25, 0.20, 0.20)


@dataclass(frozen=True)
class LookPlan:
    """The numbers of seeds to look at, and each look's share of what they spend: `level` less the part in `reserve`.

    The reserve is for looks beyond the plan, half of what is left of it at each, so that there is always a next one.
    Raises UserError.
    """

    seeds: tuple[int, ...] = DEFAULT_SEEDS
    shares: tuple[float, ...] = DEFAULT_SHARES
    level: float = 0.05
    reserve: float = 0.10

    def __post_init__(self) -> None:
        seeds, shares = f"ablation.looks={list(self.seeds)}", f"ablation.shares={list(self.shares)}"
        if not self.seeds or self.seeds[0] < FEWEST_SEEDS:
            raise UserError(f"{seeds}: the first look takes {FEWEST_SEEDS} seeds or more")
        if any(later <= sooner for sooner, later in zip(self.seeds, self.seeds[1:], strict=False)):
            raise UserError(f"{seeds}: each look must have more seeds than the one before it")
        if len(self.shares) != len(self.seeds):
            raise UserError(f"{shares}: must be as many as the looks, {len(self.seeds)}")
        if not all(share > 0 for share in self.shares):
            raise UserError(f"{shares}: each must be above 0")
        if not isclose(sum(self.shares), 1.0, abs_tol=1e-6):
            raise UserError(f"{shares}: must sum to 1, here {sum(self.shares):g}")
        if not 0 < self.level < 1:
            raise UserError(f"level={self.level}: must lie between 0 and 1")
        if not 0 <= self.reserve < 1:
            raise UserError(f"ablation.reserve={self.reserve}: must be 0 or more, and below 1")

    @classmethod
    def fixed(cls, seeds: int, reserve: float = 0.10) -> LookPlan:
        """The plan of one look that a fixed list of seeds is. Fewer than three seeds can be run, but decide nothing."""
        return cls(seeds=(max(FEWEST_SEEDS, seeds),), shares=(1.0,), reserve=reserve)

    @classmethod
    def parse(cls, plain: Mapping[str, Any]) -> LookPlan:
        """From the file's JSON."""
        return cls(tuple(plain["seeds"]), tuple(plain["shares"]), plain["level"], plain["reserve"])


class Verdict(Enum):
    """What the data say of a variant beside its baseline."""

    better = "better"
    worse = "worse"
    equivalent = "equivalent"
    undecided = "undecided"

    @property
    def shown(self) -> str:
        """As tables and legends call it."""
        return "no effect" if self is Verdict.equivalent else self.value


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float
    level: float = 0.95

    @property
    def bound(self) -> float:
        """Its farther end, in size: the value is at most ± this."""
        return max(abs(self.low), abs(self.high))

    @property
    def half_width(self) -> float:
        """Half of the distance between its ends."""
        return (self.high - self.low) / 2

    def contains(self, value: float) -> bool:
        """Whether `value` lies in the interval, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Decision:
    """What a look says of one variant, or said at the look at which it was decided; None where there is no number.

    `seeds`: those of its pairs. `difference`: their mean, variant less baseline. `interval`: of the true mean, by
    Student's t at level 1 − α of the look, a repeated confidence interval: those of all looks together hold it with
    95 %, so that the one at which a row stops does. The p-values are corrected over variants (Holm) and looks (times
    level / α): below the level, 0.05, they decide.
    """

    verdict: Verdict = Verdict.undecided
    look: int = 0
    seeds: tuple[int, ...] = ()
    difference: float | None = None
    interval: Interval | None = None
    p_difference: float | None = None
    p_equivalence: float | None = None


@dataclass(frozen=True)
class Look:
    """A look that was made, the `number`-th from 1 on, at these `seeds`, spending `alpha` of the level.

    `planned`: it was one of its plan's, so it did not spend of the reserve. `decisions`: all variants of the table.
    """

    number: int
    seeds: tuple[int, ...]
    alpha: float
    planned: bool
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The variants that get more seeds."""
        return tuple(name for name, each in self.decisions.items() if each.verdict is Verdict.undecided)

    def to_json(self) -> dict[str, Any]:
        """What json.dumps takes and `from_json` gives back, to the bit."""
        return asdict(self) | {
            "decisions": {name: asdict(each) | {"verdict": each.verdict.value} for name, each in self.decisions.items()}
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Look:
        """Read `to_json`."""
        decisions = {
            name: Decision(
                **{
                    **each,
                    "verdict": Verdict(each["verdict"]),
                    "seeds": tuple(each["seeds"]),
                    "interval": each["interval"] and Interval(**each["interval"]),
                }
            )
            for name, each in record["decisions"].items()
        }
        return cls(record["number"], tuple(record["seeds"]), record["alpha"], record["planned"], decisions)


class Looks:
    """The plan and the looks of one question: `folder` is ROOT/looks/<question>, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plan(self) -> LookPlan | None:
        """The plan that the first look froze; None before it."""
        return files.read(self.folder / "plan.json", LookPlan.parse)

    def freeze(self, plan: LookPlan) -> LookPlan:
        """Freeze the plan unless there is one. Returns the frozen one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write_once(self.folder / "plan.json", files.dumps({"schema": files.SCHEMA, **asdict(plan)}))
        return self.plan() or plan

    def tuned(self) -> dict[str, str] | None:
        """Variant → the name of the candidate that was chosen for it; None before."""
        return files.read(self.folder / "tuned.json", lambda plain: dict(plain["chosen"]))

    def choose(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """Record what tuning chose, once and for all. Returns what is recorded."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write_once(self.folder / "tuned.json", files.dumps({"schema": files.SCHEMA, "chosen": dict(chosen)}))
        return self.tuned() or dict(chosen)

    def made(self) -> list[Look]:
        """The looks that were made, in order. Raises UserError where one of them is missing or damaged.

        A look that was lost would be made again, and its part of the error level spent twice.
        """
        paths = sorted(self.folder.glob("[0-9]*.json"))
        looks = [files.read(path, Look.from_json) for path in paths]
        lost = next((number for number, look in enumerate(looks, 1) if look is None or look.number != number), None)
        aside = [path.with_name(path.name.partition(".corrupt-")[0]) for path in self.folder.glob("*.corrupt-*")]
        if lost is not None or not all(path.exists() for path in aside):
            raise UserError(
                f"{self.folder}: look {lost or len(looks) + 1} is missing or damaged, so what its tests have spent is "
                "not known: restore the file, or delete the folder to begin the question anew"
            )
        return [look for look in looks if look is not None]

    def record(self, look: Look) -> Look:
        """Record a look. Returns the recorded one of its number: another process may have been sooner."""
        path = self.folder / f"{look.number:04d}.json"
        files.write_once(path, files.dumps({"schema": files.SCHEMA, **look.to_json()}))
        return self.made()[look.number - 1]
