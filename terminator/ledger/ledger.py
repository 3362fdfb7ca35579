"""The root folder: all runs and sweeps in it."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from terminator.errors import UserError
from terminator.ledger import files
from terminator.ledger.files import SCHEMA
from terminator.ledger.looks import FEWEST_SEEDS, LookPlan, Looks
from terminator.ledger.names import run_named, sweep_named
from terminator.ledger.provenance import Provenance
from terminator.ledger.records import Alive, Code
from terminator.ledger.run import Run
from terminator.text import file_name

ON, OFF = "on", "off"  # the levels of a screen's factors


@dataclass(frozen=True)
class Variant:
    """One row of the table. `runs`: seed → run key. `factors`: axis → level, in factorial designs.

    `candidate_of`: the variant that it tries a setting for, where the runs of a tuning are meant.
    """

    name: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    factors: Mapping[str, Any] = field(default_factory=dict)
    twin_of: str | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    runs: Mapping[int, str] = field(default_factory=dict)
    candidate_of: str | None = None


@dataclass(frozen=True)
class Ablation:
    """One question, its baseline and its variants. `match`: the budget of its size-matched controls, if it has any.

    `seeds`: a look at n seeds takes the first n. `looks`: the looks to make, as typed last; None for the one look that
    a fixed list of seeds is. `id`: the same for all seeds, so that what was looked at is known whatever is typed later;
    empty in ledgers that know of no looks. `tuned_by`: the name of the ablation in the same sweep, a tuning, that
    chooses settings for each of the variants; these have no runs before.
    """

    name: str
    question: str
    baseline: str
    metric: str
    higher_is_better: bool
    smallest_effect: float
    seeds: Sequence[int]
    variants: Sequence[Variant]
    match: str | None = None
    looks: LookPlan | None = None
    id: str = ""
    tuned_by: str | None = None

    @property
    def plan(self) -> LookPlan:
        """The looks to make, of a fixed list of seeds the one at all of them."""
        return self.looks or LookPlan.fixed(len(self.seeds))

    @property
    def most_seeds(self) -> int:
        """The number of seeds at the last look."""
        return len(self.seeds) if self.looks is None else self.looks.seeds[-1]

    @property
    def is_judged(self) -> bool:
        """Whether looks are made of it: there is something to compare, at seeds enough."""
        return (
            len(self.variants) > 1
            and not self.is_tuning
            and not self.is_of_seeds
            and (self.looks is not None or len(self.seeds) >= FEWEST_SEEDS)
        )

    @property
    def is_of_seeds(self) -> bool:
        """Whether its variants differ in what their seeds draw alone: it asks about the spread of runs."""
        keys = {key for variant in self.variants for key in variant.overrides}
        return bool(keys) and all(key.startswith("seed_of.") for key in keys)

    @property
    def is_tuning(self) -> bool:
        """Whether its rows are settings to choose from, for the variants of another ablation."""
        return any(variant.candidate_of is not None for variant in self.variants)

    @property
    def is_screen(self) -> bool:
        """Whether its variants are the cells of a screen, of which the switches' main effects are judged."""
        return bool(self.variants) and set(self.variants[0].factors.values()) == {ON}

    @property
    def is_chosen(self) -> bool:
        """Whether its variants' settings are known: they were not tuned, or that is over."""
        return self.tuned_by is None or any(variant.runs for variant in self.variants)

    def first_seeds(self, count: int) -> list[int]:
        """The seeds of a look at so many: those that were given, then the smallest others."""
        others = (seed for seed in itertools.count() if seed not in self.seeds)
        return [*self.seeds[:count], *itertools.islice(others, max(0, count - len(self.seeds)))]


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
    `settings`: what was typed that changes results, but for the choice of data; `data`: its runs' data sets, by name.
    `most_looks`: stop after so many looks; `until`: start no more runs after this moment; None goes on.
    `notify`: the Apprise configuration file for a message at the end, None for none.
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
    settings: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    most_looks: int | None = None
    until: float | None = None
    notify: str | None = None

    @property
    def is_comparable(self) -> bool:
        """Whether it still asks what its ablations do: other data or seeds, but no other settings."""
        return all(setting.startswith("seed=") for setting in self.settings)

    @property
    def last_called(self) -> float:
        """When its command was typed last."""
        return self.created if self.called is None else self.called

    def ablation(self, name: str) -> Ablation:
        """The ablation of that name. Raises KeyError."""
        return {each.name: each for each in self.ablations}[name]

    def with_ablation(self, ablation: Ablation) -> Sweep:
        """The sweep with `ablation` in place of the one of its name."""
        return replace(self, ablations=[ablation if each.name == ablation.name else each for each in self.ablations])

    def cells(self) -> Iterator[Cell]:
        """Every place of the plan, in its order."""
        for ablation in self.ablations:
            for variant in ablation.variants:
                for seed, key in variant.runs.items():
                    yield Cell(ablation, variant, seed, key)

    def keys(self) -> list[str]:
        """The runs, each once, in the plan's order."""
        return list(dict.fromkeys(cell.key for cell in self.cells()))

    def names(self) -> dict[str, str]:
        """Run key → `variant/seed`, of its first place in the plan."""
        names: dict[str, str] = {}
        for cell in self.cells():
            names.setdefault(cell.key, f"{cell.variant.name}/{cell.seed}")
        return names

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def parse(plain: dict[str, Any]) -> Sweep:
        """From the file's JSON."""
        found = {**_typed_before(plain), **plain}
        found["code"] = Code(**plain["code"])
        found["ablations"] = [_ablation(each) for each in plain["ablations"]]
        found |= {name: tuple(found[name]) for name in ("settings", "data")}
        return Sweep(**{each.name: found[each.name] for each in fields(Sweep) if each.name in found})


def distinctions(sweeps: Sequence[Sweep]) -> list[str]:
    """What tells each of the sweeps from the others: its data and settings, without what all have; empty for one."""
    words = [(*sweep.data, *sweep.settings) for sweep in sweeps]
    return [" ".join(word for word in own if any(word not in other for other in words)) for own in words]


# The keys, and what keys begin with, that change no run's result.
_NO_RESULT = ("root", "sweep", "tracking", "cluster", "hydra", "ablation", "machine", "data.folder")


def _typed_before(plain: dict[str, Any]) -> dict[str, Any]:
    """The settings and data of a sweep.json that does not hold them yet, read from the overrides that were typed."""
    seeds = [each for each in plain["command"] if each.startswith("seed=")]
    settings, data = [], "digits"
    for override in dict.fromkeys([*plain["base"], *seeds]):
        key, _, value = override.lstrip("+~").partition("=")
        if key == "data":
            data = value
        elif not any(key == each or key.startswith((f"{each}.", f"{each}/")) for each in _NO_RESULT):
            settings.append(override)
    return {"settings": settings, "data": [data]}


def ablation_id(ablation: Ablation, keys: Mapping[str, str]) -> str:
    """`<name>-<8 hex digits>` of what is asked, without its seeds. `keys`: variant → key of its run with seed 0."""
    rule = [ablation.baseline, ablation.metric, ablation.higher_is_better, ablation.smallest_effect]
    return f"{file_name(ablation.name)}-{_digest([*rule, list(keys.items())])}"


def sweep_id(ablations: Sequence[Ablation]) -> str:
    """`<ablation>[+<ablation>]-<8 hex digits>`: the same ablations have the same id, so a command continues its sweep,
    also with other seeds."""
    names = file_name("+".join(ablation.name for ablation in ablations))
    return ablations[0].id if len(ablations) == 1 else f"{names}-{_digest([ablation.id for ablation in ablations])}"


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()[:8]


def _ablation(plain: dict[str, Any]) -> Ablation:
    looks = plain.get("looks")
    parsed = {"variants": [_variant(each) for each in plain["variants"]], "looks": looks and LookPlan.parse(looks)}
    return Ablation(**{**plain, **parsed})


def _with_runs(ablation: Ablation, before: Ablation) -> Ablation:
    """The ablation with the runs that it had before, too, seed by seed."""
    known = {variant.name: variant.runs for variant in before.variants}
    runs = [dict(sorted({**known.get(each.name, {}), **each.runs}.items())) for each in ablation.variants]
    variants = [replace(each, runs=of) for each, of in zip(ablation.variants, runs, strict=True)]
    return replace(ablation, variants=variants)


def _variant(plain: dict[str, Any]) -> Variant:
    return Variant(**{**plain, "runs": {int(seed): key for seed, key in plain["runs"].items()}})


def default_root(given: str | None = None) -> Path:
    """The output root: what was given, else $TERMINATOR_ROOT, else ./outputs. Absolute."""
    return Path(given or os.environ.get("TERMINATOR_ROOT") or "outputs").expanduser().absolute()


class Ledger:
    """The runs and sweeps under `root`. Folders are made when something is written."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def freeze(
        self, key: str, config: dict[str, Any], provenance: Provenance, data_fingerprint: str | None = None
    ) -> Run:
        """The run of that key, with `config` (`to_plain(config)`), frozen unless it is already.

        An intact spec.json never changes. Raises UserError if the root can't be written.
        """
        run = self.run(key)
        if run.frozen():
            return run
        plain = {
            "schema": files.SCHEMA,
            "key": key,
            "config": config,
            "code": asdict(provenance.code),
            "environment": provenance.environment,
            "data_fingerprint": data_fingerprint,
            "created": time.time(),
        }
        self._folder(run.folder)
        if provenance.diff:
            files.write(run.folder / "diff.patch", provenance.diff)
        files.write_once(run.folder / "spec.json", files.dumps(plain))
        return run

    def freeze_like(self, sibling: Run, key: str, config: dict[str, Any]) -> Run:
        """As `freeze`, with the code, the environment and the data of a run that was frozen before."""
        spec, patch = sibling.spec(), sibling.folder / "diff.patch"
        diff = patch.read_text("utf-8") if patch.exists() else ""
        return self.freeze(key, config, Provenance(spec.code, diff, spec.environment), spec.data_fingerprint)

    def run(self, key: str) -> Run:
        """The run of that key, frozen or not."""
        return Run(self.root / "runs" / key)

    def find_run(self, name: str, sweeps: Sequence[Sweep] | None = None) -> Run:
        """The run called `name`: its key, `VARIANT/SEED`, that of one sweep or ablation, `SWEEP:VARIANT/SEED`, or how a
        key begins.

        `sweeps`: the first of them that has a VARIANT/SEED is meant; None for all, of which only one run may be called
        so. Raises UserError, with choices, for a name of none or several.
        """
        return self.run(run_named(self, name, sweeps))

    def runs_of(self, sweeps: Iterable[Sweep]) -> list[Run]:
        """The runs of these sweeps, each once, in the plans' order."""
        return [self.run(key) for key in dict.fromkeys(itertools.chain.from_iterable(map(Sweep.keys, sweeps)))]

    def runs(self) -> Iterator[Run]:
        """Every run there is, by key."""
        return (Run(folder) for folder in _folders(self.root / "runs"))

    def remove_left_behind(self, sweeps: Sequence[Sweep], alive: Alive) -> None:
        """Remove the temporary files of these sweeps, and of their runs, whose process was killed."""
        for run in self.runs_of(sweeps):
            run.remove_left_behind(alive)
        own = [self.sweep_folder(sweep) for sweep in sweeps]
        jobs = [folder for each in own for folder in (each / "slurm", *_folders(each / "slurm"))]
        looks = [self.looks(ablation).folder for sweep in sweeps for ablation in sweep.ablations if ablation.id]
        others = [folder for each in own for folder in (each, each / "code", each / "drivers")]
        files.remove_left_behind([self.root, *others, *jobs, *looks])

    def looks(self, ablation: Ablation) -> Looks:
        """The plan of the ablation's looks, and the looks that were made."""
        return Looks(self.root / "looks" / ablation.id)

    def write_sweep(self, sweep: Sweep) -> Sweep:
        """Write the plan, over one of the same id, which it continues: it keeps its runs and when it was first called.

        Returns the sweep as written. Raises UserError if the root can't be written.
        """
        path = self._folder(self.sweep_folder(sweep)) / "sweep.json"
        if (before := files.read(path, Sweep.parse)) is not None:
            ablations = [_with_runs(*pair) for pair in zip(sweep.ablations, before.ablations, strict=True)]
            called = None if sweep.last_called == before.created else sweep.last_called
            sweep = replace(sweep, ablations=ablations, created=before.created, called=called)
        files.write(path, files.dumps(sweep.plain()))
        return sweep

    def sweep_folder(self, sweep: Sweep) -> Path:
        """Where the sweep's own files are."""
        return self.root / "sweeps" / sweep.id

    def sweeps(self) -> list[Sweep]:
        """Every sweep, the last called first."""
        read = (files.read(folder / "sweep.json", Sweep.parse) for folder in _folders(self.root / "sweeps"))
        return sorted((sweep for sweep in read if sweep is not None), key=lambda sweep: -sweep.last_called)

    def sweep(self, name: str) -> Sweep:
        """The sweep of that id, else the newest with an ablation of that name, else the one whose id begins so.

        Raises UserError, listing the sweeps, where `name` means none or several.
        """
        return sweep_named(self, name)

    def _folder(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(0, "Permission denied")
        except OSError as error:
            raise UserError(f"root={self.root}: cannot be written ({error.strerror})") from None
        return folder


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
