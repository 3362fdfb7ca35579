"""From look to look, with runs that only write down invented results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest

from terminator import looks as driver
from terminator.config import RunConfig, to_plain
from terminator.errors import UserError
from terminator.ledger import (
    Ablation,
    Code,
    Ledger,
    Look,
    LookPlan,
    Provenance,
    Reason,
    Run,
    RunState,
    Sweep,
    Variant,
    Verdict,
    ablation_id,
    sweep_id,
)
from terminator.looks import Outcome, carry_out
from terminator.run_key import code_hash, run_key
from terminator.sweeps.scheduler import Scheduler
from tests.ledger.examples import row

PLAN = LookPlan((3, 4, 6), (0.4, 0.3, 0.3))
SMOOTHING = {"full": 0.0, "worse": 0.1, "close": 0.2}  # tells the variants' runs apart
EFFECTS = {"full": 0.0, "worse": -0.08, "close": -0.012}  # of accuracy: decided at once, and never
SPREAD = {"full": 0.001, "worse": 0.001, "close": 0.02}
PRINT = driver._print
NAMES = {smoothing: name for name, smoothing in SMOOTHING.items()}


def config_of(name: str, seed: int) -> RunConfig:
    config = RunConfig(seed=seed)
    return replace(config, objective=replace(config.objective, label_smoothing=SMOOTHING[name]))


@cache
def key_of(name: str, seed: int) -> str:
    return run_key(config_of(name, seed))


def planned(ledger: Ledger, looks: LookPlan | None = PLAN, seeds: Sequence[int] = (0, 1, 2), **own: object) -> Sweep:
    """What typing the sweep's command does: freeze its runs and write it down. `seeds` without `looks` are a list."""
    variants = []
    for name in SMOOTHING:
        configs = {seed: config_of(name, seed) for seed in seeds}
        runs = {seed: key_of(name, seed) for seed in seeds}
        for seed, config in configs.items():
            origin = Provenance(Code(code_hash(config), "1f2e", False), "", {"python": "3.11"})
            ledger.freeze(runs[seed], to_plain(config), origin)
        variants.append(Variant(name, {"objective.label_smoothing": SMOOTHING[name]}, runs=runs))
    asked = ("Does it matter?", "full", "test_accuracy", True, 0.005, list(seeds), variants)
    ablation = Ablation("some", *asked, looks=looks)
    ablation = replace(ablation, id=ablation_id(ablation, {name: key_of(name, 0) for name in SMOOTHING}))
    ledger.looks(ablation).freeze(ablation.plan)
    code = Code("c0de", "1f2e", False)
    sweep = Sweep(sweep_id([ablation]), 1.0, ["python"], [], code, [ablation], tracked=False, data=("digits",), **own)
    return ledger.write_sweep(sweep)


def of(run: Run) -> tuple[str, int]:
    """The variant and the seed of a run."""
    config = run.spec().config
    return NAMES[config["objective"]["label_smoothing"]], config["seed"]


def finish(run: Run) -> None:
    """A result that depends on the variant and the seed alone."""
    name, seed = of(run)
    noise = np.random.default_rng([list(SMOOTHING).index(name), seed]).normal(0, SPREAD[name])
    attempt = run.begin()
    attempt.log_epoch(row(1))
    attempt.finish({"test_accuracy": 0.95 + 0.002 * np.sin(seed) + EFFECTS[name] + noise, "epochs": 1})


def kill(run: Run, reason: Reason = Reason.killed) -> None:
    run.close(run.begin().number, RunState.failed, reason, "from outside")


def fail(run: Run) -> None:
    run.begin().fail(Reason.diverged, "the loss is nan")


@dataclass
class Fake(Scheduler):
    """Does with each run what `act` does; `started` are the variants and seeds of each start."""

    act: Callable[[Run], None] = finish
    started: list[list[tuple[str, int]]] = field(default_factory=list)

    def start(self, runs: Sequence[Run]) -> bool:
        self.started.append([of(run) for run in runs])
        for run in runs:
            self.act(run)
        return True


@pytest.fixture(autouse=True)
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ablations whose table would have been printed."""
    names: list[str] = []
    monkeypatch.setattr(driver, "_print", lambda ledger, sweep, name: names.append(name))
    return names


def go(ledger: Ledger, sweep: Sweep, scheduler: Scheduler | None = None, said: list[str] | None = None) -> Outcome:
    chosen = scheduler or Fake()
    return carry_out(ledger, [sweep], lambda now: chosen, [].append if said is None else said.append)


def made(ledger: Ledger) -> list[Look]:
    return ledger.looks(ledger.sweeps()[0].ablations[0]).made()


def files(ledger: Ledger) -> dict[str, bytes]:
    """The looks as they are on disk."""
    return {path.name: path.read_bytes() for path in sorted((ledger.root / "looks").glob("*/0*.json"))}


def seeds_started(scheduler: Fake) -> list[dict[str, list[int]]]:
    """The seeds of each variant that were started, start by start."""
    return [{name: [seed for each, seed in start if each == name] for name, _ in start} for start in scheduler.started]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The looks that PLAN comes to."""
    ledger = Ledger(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_print", lambda *_: None)
        go(ledger, planned(ledger))
    return files(ledger)


def test_what_is_decided_gets_no_more_seeds(ledger: Ledger, shown: list[str]) -> None:
    scheduler = Fake()
    outcome = go(ledger, planned(ledger), scheduler)
    assert seeds_started(scheduler) == [
        {"full": [0, 1, 2], "worse": [0, 1, 2], "close": [0, 1, 2]},
        {"full": [3], "close": [3]},
        {"full": [4, 5], "close": [4, 5]},
    ]
    assert (outcome.missing, outcome.ended) == ([], True)
    looks = made(ledger)
    assert [(look.number, len(look.seeds)) for look in looks] == [(1, 3), (2, 4), (3, 6)]
    assert all(look.planned for look in looks)
    assert [look.alpha for look in looks] == pytest.approx([0.018, 0.0135, 0.0135])
    assert [look.undecided for look in looks] == [("close",)] * 3
    assert {look.decisions["worse"] for look in looks} == {looks[0].decisions["worse"]}
    assert looks[0].decisions["worse"].verdict is Verdict.worse
    assert shown == ["some", "some"]  # the last table is that of the report


def test_seeds_are_run_one_after_the_other_in_whole_pairs(ledger: Ledger) -> None:
    scheduler = Fake()
    go(ledger, planned(ledger), scheduler)
    assert scheduler.started[0] == [(name, seed) for seed in (0, 1, 2) for name in SMOOTHING]
    assert scheduler.started[2] == [(name, seed) for seed in (4, 5) for name in ("full", "close")]


def test_the_sweep_holds_the_runs_of_its_looks_frozen_as_the_first_were(ledger: Ledger) -> None:
    first = planned(ledger)
    outcome = go(ledger, first)
    [sweep] = ledger.sweeps()
    assert outcome.sweeps == [sweep]
    assert [list(each.runs) for each in sweep.ablations[0].variants] == [[*range(6)], [0, 1, 2], [*range(6)]]
    full, later = (ledger.run(sweep.ablations[0].variants[0].runs[seed]).spec() for seed in (0, 5))
    assert later.key == key_of("full", 5)
    assert (later.code, later.environment, later.config) == (full.code, full.environment, {**full.config, "seed": 5})
    assert sweep.created == first.created


def test_a_sweep_whose_rows_are_all_decided_ends_there(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFECTS, "close", -0.2)
    scheduler = Fake()
    go(ledger, planned(ledger), scheduler)
    assert (len(scheduler.started), len(made(ledger)), made(ledger)[0].undecided) == (1, 1, ())


def test_the_same_command_again_runs_and_spends_nothing(ledger: Ledger, undisturbed: dict[str, bytes]) -> None:
    for _ in range(2):
        scheduler = Fake()
        go(ledger, planned(ledger), scheduler)
        assert files(ledger) == undisturbed
    assert scheduler.started == []


def test_the_limit_on_looks_is_kept_and_can_be_lifted(ledger: Ledger, undisturbed: dict[str, bytes]) -> None:
    for limit in (1, 1, 2):
        go(ledger, planned(ledger, most_looks=limit))
        assert len(files(ledger)) == limit
    go(ledger, planned(ledger))
    assert files(ledger) == undisturbed


def test_the_limit_on_time_is_kept_and_can_be_lifted(
    ledger: Ledger, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, said = 100.0, []
    monkeypatch.setattr(driver, "time", SimpleNamespace(time=lambda: now))

    def work(run: Run) -> None:  # ten seconds a run; none is started at 200 seconds or later
        nonlocal now
        if now < 200:
            finish(run)
            now += 10

    for begun, looks in ((100.0, 1), (170.0, 2), (300.0, 2)):  # nine runs and one; the other one and two; none
        now = begun
        scheduler = Fake(work)
        assert go(ledger, planned(ledger, until=200.0), scheduler, said).missing == []
        assert len(files(ledger)) == looks
    assert scheduler.started == []
    assert said == [
        f"sweep.budget_min is spent; {runs} to the next look: the same command goes on"
        for runs in ("1 run", "2 runs", "2 runs")
    ]
    go(ledger, planned(ledger))
    assert files(ledger) == undisturbed


def test_a_run_that_failed_for_good_is_left_out(ledger: Ledger) -> None:
    scheduler = Fake(lambda run: (fail if of(run) == ("close", 1) else finish)(run))
    outcome = go(ledger, planned(ledger), scheduler)
    assert len(made(ledger)) == 3
    assert made(ledger)[0].decisions["close"].seeds == (0, 2)
    assert made(ledger)[2].decisions["close"].seeds == (0, 2, 3, 4, 5)
    assert sum(start.count(("close", 1)) for start in scheduler.started) == 1
    assert [of(run) for run in outcome.missing] == [("close", 1)]


def test_a_failed_run_of_an_open_row_is_tried_again_by_the_next_command(ledger: Ledger) -> None:
    go(ledger, planned(ledger), Fake(lambda run: (fail if of(run) == ("close", 1) else finish)(run)))
    again = Fake()
    go(ledger, planned(ledger), again)
    assert again.started == [[("close", 1)]]
    assert made(ledger)[-1].decisions["close"].seeds == tuple(range(6))
    assert (len(made(ledger)), made(ledger)[-1].planned) == (4, False)  # it spends of the reserve
    assert made(ledger)[-1].alpha == pytest.approx(0.0025)


@pytest.mark.parametrize("reason", [Reason.killed, Reason.timeout])
def test_a_killed_run_stops_the_look_and_the_next_command_goes_on(
    ledger: Ledger, undisturbed: dict[str, bytes], reason: Reason
) -> None:
    scheduler = Fake(lambda run: kill(run, reason) if of(run) == ("worse", 1) else finish(run))
    outcome = go(ledger, planned(ledger), scheduler)
    assert [of(run) for run in outcome.missing] == [("worse", 1)]
    assert (files(ledger), len(scheduler.started)) == ({}, 1)
    again = Fake()
    assert go(ledger, planned(ledger), again).missing == []
    assert again.started[0] == [("worse", 1)]
    assert files(ledger) == undisturbed


def test_a_run_that_is_killed_again_and_again_is_given_up(ledger: Ledger) -> None:
    scheduler = Fake(lambda run: (kill if of(run) == ("close", 1) else finish)(run))
    for _ in range(2):
        assert len(go(ledger, planned(ledger), scheduler).missing) == 1
    assert files(ledger) == {}
    go(ledger, planned(ledger), scheduler)
    assert len(made(ledger)) == 3


def test_a_variant_whose_every_run_failed_gets_no_more_seeds(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EFFECTS, "worse", -0.012)
    monkeypatch.setitem(SPREAD, "worse", 0.02)
    scheduler = Fake(lambda run: (fail if of(run)[0] == "close" else finish)(run))
    go(ledger, planned(ledger), scheduler)
    assert seeds_started(scheduler)[1:] == [{"full": [3], "worse": [3]}, {"full": [4, 5], "worse": [4, 5]}]
    assert made(ledger)[-1].decisions["close"].seeds == ()


def test_without_a_result_of_the_baseline_there_is_no_look(ledger: Ledger) -> None:
    scheduler = Fake(lambda run: (fail if of(run)[0] == "full" else finish)(run))
    go(ledger, planned(ledger), scheduler)
    assert (files(ledger), len(scheduler.started)) == ({}, 1)


def test_runs_that_go_on_without_this_process_are_not_waited_for(ledger: Ledger) -> None:
    class Queue(Fake):
        def start(self, runs: Sequence[Run]) -> bool:
            super().start(runs)
            return False

    assert not go(ledger, planned(ledger), Queue(lambda run: None)).ended


class Interrupted:
    """Finishes so many runs, and interrupts the command at the next."""

    def __init__(self, runs: int) -> None:
        self.left = runs

    def __call__(self, run: Run) -> None:
        if self.left == 0:
            run.begin().stop(RunState.interrupted)
            raise KeyboardInterrupt
        self.left -= 1
        finish(run)


@pytest.mark.parametrize("seed", range(3))
def test_interruptions_change_no_look(ledger: Ledger, undisturbed: dict[str, bytes], seed: int) -> None:
    """The command is interrupted again and again, each time after a random number of runs."""
    random, interruptions = np.random.default_rng(seed), 0
    while True:
        try:
            outcome = go(ledger, planned(ledger), Fake(Interrupted(int(random.integers(0, 7)))))
            break
        except KeyboardInterrupt:
            interruptions += 1
            assert files(ledger).items() <= undisturbed.items()
    assert interruptions
    assert (files(ledger), outcome.missing) == (undisturbed, [])


def test_an_end_between_a_look_and_its_next_runs_changes_nothing(
    ledger: Ledger, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(driver, "_print", die)
        for _ in range(2):
            with pytest.raises(SystemExit):
                go(ledger, planned(ledger))
    go(ledger, planned(ledger))
    assert files(ledger) == undisturbed


def test_a_look_whose_file_is_damaged_stops_the_sweep(ledger: Ledger) -> None:
    go(ledger, planned(ledger, most_looks=2))
    [path] = (ledger.root / "looks").glob("*/0002.json")
    path.write_text("{")
    with pytest.raises(UserError, match="look 2 is missing or damaged, so what its tests have spent is not known"):
        go(ledger, planned(ledger))


def test_runs_frozen_with_other_code_are_not_mixed_with_new_ones(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(ledger, planned(ledger, most_looks=1))
    sweep = planned(ledger)
    monkeypatch.setattr(driver, "code_hash", lambda config: "0ther")
    with pytest.raises(UserError, match=r"^full: its runs were frozen with other code \(code=.*, now 0ther\): "):
        go(ledger, sweep)


def test_other_seeds_typed_later_spend_the_reserve(ledger: Ledger) -> None:
    go(ledger, planned(ledger))
    scheduler = Fake()
    go(ledger, planned(ledger, None, range(7)), scheduler)
    assert seeds_started(scheduler) == [{"worse": [3, 4, 5, 6], "full": [6], "close": [6]}]
    looks = made(ledger)
    assert [(len(look.seeds), look.planned) for look in looks[3:]] == [(7, False)]
    assert looks[3].alpha == pytest.approx(0.05 * 0.1 / 2)
    assert looks[3].decisions["worse"] == looks[0].decisions["worse"]  # it was decided


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_typed_no_more_than_the_level_is_spent(ledger: Ledger, seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(6):
        first = int(random.integers(3, 6))
        seeds = tuple(np.cumsum([first, *random.integers(1, 4, size=random.integers(0, 3))]).tolist())
        plan = LookPlan(seeds, (1 / len(seeds),) * len(seeds), reserve=float(random.choice([0.0, 0.5])))
        if random.random() < 0.4:
            sweep = planned(ledger, None, sorted(random.permutation(10)[:first].tolist()))
        else:
            sweep = planned(ledger, plan, range(first), most_looks=int(random.integers(1, 4)))
        go(ledger, sweep)
        frozen = ledger.looks(sweep.ablations[0]).plan()
        assert frozen is not None
        looks = made(ledger)
        assert sum(look.alpha for look in looks) <= 0.05 * (1 + 1e-12)
        assert sum(look.alpha for look in looks if not look.planned) <= 0.05 * frozen.reserve * (1 + 1e-12)
    assert len(made(ledger)) >= 2


def test_the_table_of_a_look_is_printed_and_written(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(driver, "_print", PRINT)
    go(ledger, planned(ledger, most_looks=2))
    assert "worse" in capsys.readouterr().out
    assert list((ledger.root / "reports" / "some" / "tables").iterdir())
