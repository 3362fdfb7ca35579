"""`python -m tests.slurm.storm`: fault injection into an ablation, on this machine and on SLURM.

Commands, runs, jobs and daemons are killed at random moments, also just before and after a file is renamed; the disk
fills up; the controller forgets its jobs. At the end no result may be missing, and looks, results and epoch rows equal
those of the same ablation without faults, to the bit. Needs the packages of slurm/dev-cluster; as
root the disk is really full.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from terminator.ledger import Ledger, Run, RunState, alive_here
from terminator.looks import MOST_TRIES
from tests.slurm.conftest import Cluster, running_cluster
from tests.slurm.sweeps import REPOSITORY, determined, task_of

SIZE_MB = 48  # of the file system that fills up
LOSES_NODES_SOON = ("--set", "SlurmdTimeout=8")  # for `slurm/dev-cluster start`

# Read by every Python that starts with it in its path: it ends the process with SIGKILL beside one rename in so many.
AT_RENAMES = """
import os, signal
rename = os.replace
def replace(*arguments, **options):
    strike = os.urandom(1)[0]
    if strike < 8: os.kill(os.getpid(), signal.SIGKILL)
    rename(*arguments, **options)
    if strike > 247: os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
"""


@dataclass
class FaultInjector:
    """One output root, the command that fills it, the faults injected so far. `cluster`: None for runs here."""

    root: Path
    words: Sequence[str]
    hook: Path  # the folder of AT_RENAMES, as sitecustomize.py
    random: random.Random
    cluster: Cluster | None = None
    faults: Counter[str] = field(default_factory=Counter)
    shells: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        common: list[tuple[str, Callable[[], bool]]] = [
            ("kill -9 of the command", lambda: self._shell(signal.SIGKILL)),
            ("SIGTERM to the command", lambda: self._shell(signal.SIGTERM)),
            ("Ctrl-C", lambda: self._shell(signal.SIGINT)),
            ("kill -9 at a rename", self._at_a_rename),
            ("kill -9 of a sync", lambda: self._sweeps("sync", signal.SIGKILL)),
            ("two syncs", self._two_syncs),
            ("kill -9 of a run", self._kill_run),
            ("full disk", self._fill_disk),
        ]
        jobs: list[tuple[str, Callable[[], bool]]] = [
            ("requeue", lambda: self._job("scontrol", "requeue")),
            ("SIGTERM to a job", lambda: self._job("scancel", "--signal=TERM")),
            ("SIGUSR2 to a job", lambda: self._job("scancel", "--signal=USR2")),
            ("scancel", lambda: self._job("scancel")),
            ("hold and release", lambda: self._job("scontrol", "hold") and self._later("scontrol", "release")),
            ("suspend and resume", lambda: self._job("scontrol", "suspend") and self._later("scontrol", "resume")),
            ("kill -9 of a job", self._kill_task),
            ("kill -9 of a retry", lambda: self._sweeps("retry", signal.SIGKILL)),
            ("controller killed", self._restart_controller),
        ]
        self._kinds = common + jobs if self.cluster else common
        self._last_job: str | None = None  # that a fault met

    def inject(self) -> None:
        """One fault of a random kind, counted where it met something."""
        kind, inject = self.random.choice(self._kinds)
        if inject():
            self.faults[kind] += 1

    def start(self, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """`python -m WORDS`, its output at the end of storm.log."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
        with (self.hook / "storm.log").open("ab") as log:
            log.write(f"$ {' '.join(words)}\n".encode())
            log.flush()
            shell = subprocess.Popen(
                [sys.executable, "-m", *words], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
            )
        self.shells.append(shell)
        return shell

    def type_command(self, **variables: str) -> subprocess.Popen[bytes]:
        """The sweep's command in a shell of its own."""
        return self.start("terminator.run", *self.words, f"root={self.root}", **variables)

    def living(self) -> list[subprocess.Popen[bytes]]:
        """The shells that still run."""
        self.shells = [shell for shell in self.shells if shell.poll() is None]
        return self.shells

    def at_work(self) -> list[Run]:
        """The runs whose processes train now."""
        attempts = ((run, run.last_attempt()) for run in Ledger(self.root).runs() if run.result() is None)
        return [run for run, last in attempts if last and last.end is None and last.pid and alive_here(last)]

    def _shell(self, number: signal.Signals) -> bool:
        """Signal a command at a random moment of its life, a new one where none is at work or SLURM does the work."""
        living = self.living()
        shell = self.random.choice(living) if living and self.cluster is None else self.type_command()
        time.sleep(self.random.uniform(0, 8))
        if shell.poll() is not None:
            return False
        shell.send_signal(number)
        return True

    def _sweeps(self, verb: str, number: signal.Signals) -> bool:
        shell = self.start("terminator.sweeps", verb, "--root", str(self.root))
        time.sleep(self.random.uniform(0.5, 6))
        if shell.poll() is not None:
            return False
        shell.send_signal(number)
        return True

    def _two_syncs(self) -> bool:
        for shell in [self.start("terminator.sweeps", "sync", "--root", str(self.root)) for _ in range(2)]:
            shell.wait()
        return True

    def _at_a_rename(self) -> bool:
        """The command or a sync until it dies of a rename. The runs that a local command starts die of theirs, too."""
        shell = self.type_command(PYTHONPATH=str(self.hook))
        with contextlib.suppress(subprocess.TimeoutExpired):
            shell.wait(20)
        if shell.poll() is None:
            shell.send_signal(signal.SIGKILL)
        return shell.wait() == -signal.SIGKILL

    def _victim(self) -> int | None:
        """The process of a run that trains now; of none that was killed twice, for the third time a look goes on
        without it."""
        runs = [run for run in self.at_work() if _failures(run) < MOST_TRIES - 1]
        last = self.random.choice(runs).last_attempt() if runs else None
        return last.pid if last is not None else None

    def _kill_run(self) -> bool:
        victim = self._victim()
        return victim is not None and _kill(victim, signal.SIGKILL)

    def _kill_task(self) -> bool:
        task = task_of(self._victim())
        return task is not None and _kill(task, signal.SIGKILL)

    def _job(self, *command: str) -> bool:
        assert self.cluster is not None
        jobs = self.cluster.run("squeue", "-h", "-r", "-o", "%i").split()
        if not jobs:
            return False
        self._last_job = self.random.choice(jobs)
        self.cluster.try_run(*command, self._last_job)
        return True

    def _later(self, *command: str) -> bool:
        assert self.cluster is not None
        assert self._last_job is not None
        time.sleep(self.random.uniform(1, 4))
        self.cluster.try_run(*command, self._last_job)
        return True

    def _fill_disk(self) -> bool:
        """Leave no byte for a few seconds."""
        if not os.path.ismount(self.root):
            return False
        ballast = self.root / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(self.random.uniform(1, 5))
        ballast.unlink()
        return True

    def _restart_controller(self) -> bool:
        assert self.cluster is not None
        self.cluster.daemon("down", "slurmctld")
        time.sleep(self.random.uniform(0, 5))
        self.cluster.daemon("up", "slurmctld")
        return True

    def lose_node(self) -> None:
        """Take the slurmd of a node with jobs down, wait until SLURM marks the node as down, bring it back."""
        assert self.cluster is not None
        cluster = self.cluster
        cluster.wait(lambda: cluster.run("squeue", "-h", "-w", "n1"), 180)
        self.cluster.daemon("down", "n1")
        self.cluster.wait(self._is_lost, 180)
        self.cluster.daemon("up", "n1")
        self.faults["node lost"] += 1

    def _is_lost(self) -> bool:
        """Whether SLURM has given n1 up; or has drained it before, over a job that could not start."""
        assert self.cluster is not None
        node = self.cluster.run("scontrol", "show", "node", "n1", "--oneliner")  # sinfo hides it while jobs complete
        return re.search(r"State=\S*(DOWN|DRAIN)", node) is not None

    def wipe_controller(self) -> None:
        """Have SLURM forget every job, and count from 1 again."""
        assert self.cluster is not None
        self.cluster.daemon("down", "slurmctld")
        shutil.rmtree(self.cluster.folder / "state")
        (self.cluster.folder / "state").mkdir(mode=0o700)
        self.cluster.daemon("up", "slurmctld")
        self.faults["controller wiped"] += 1

    def act_as_administrator(self) -> None:
        """What an administrator does: resume drained nodes and suspended jobs, release jobs that SLURM holds."""
        assert self.cluster is not None
        for line in self.cluster.run("sinfo", "-h", "-N", "-o", "%N %T").splitlines():
            node, state = line.split()
            if state.startswith(("drain", "down")):
                self.cluster.try_run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        for line in self.cluster.run("squeue", "-h", "-r", "-t", "PD", "-o", "%i %r").splitlines():
            job, reason = line.split(maxsplit=1)
            if "held" in reason.lower():
                self.cluster.try_run("scontrol", "release", job)
        for job in self.cluster.run("squeue", "-h", "-r", "-t", "S,SI", "-o", "%i").split():
            self.cluster.try_run("scontrol", "resume", job)  # one whose resume came while the controller was down

    def is_idle(self) -> bool:
        """Whether no job is left."""
        assert self.cluster is not None
        self.act_as_administrator()
        return not self.cluster.run("squeue", "-h")


def _failures(run: Run) -> int:
    return sum(each.end is not None and each.end.outcome is RunState.failed for each in run.attempts())


def _kill(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A root that can be filled: a file system of SIZE_MB as root, else an ordinary folder."""
    folder.mkdir(parents=True)
    mounted = os.geteuid() == 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "terminator-storm", folder], stderr=subprocess.DEVNULL
    ).returncode  # fmt: skip
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


def kill_hook(scratch: Path) -> Path:
    """A folder that holds AT_RENAMES as Python finds it."""
    folder = scratch / "hook"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(AT_RENAMES)
    return folder


def looks(root: Path) -> dict[str, bytes]:
    """What was chosen by tuning and the looks that were made, by the names of their files."""
    paths = sorted([*root.glob("looks/*/tuned.json"), *root.glob("looks/*/0*.json")])
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def run_undisturbed(root: Path, words: Sequence[str]) -> None:
    """The same command without faults. Raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", "terminator.run", *words, f"root={root}"], cwd=REPOSITORY, check=True)


def disturb(injector: FaultInjector, reference: Path, faults: int, minutes: float) -> None:
    """Inject faults until there were so many, the sweep is done or the time is up; then let the sweep end without any.

    On SLURM a node is lost first, and the controller wiped after two thirds of the faults.
    """
    try:
        _disturb(injector, reference, faults, minutes)
    finally:
        for shell in injector.living():
            shell.kill()
            shell.wait()


def _disturb(injector: FaultInjector, reference: Path, faults: int, minutes: float) -> None:
    wanted, deadline = len(looks(reference)), time.monotonic() + 60 * minutes
    injector.type_command()
    if injector.cluster is not None:
        injector.lose_node()
    while injector.faults.total() < faults and time.monotonic() < deadline and len(looks(injector.root)) < wanted:
        if injector.cluster is None and not injector.living():
            injector.type_command()
        if injector.cluster is not None:
            injector.cluster.hurry()
            if injector.faults.total() >= 2 * faults // 3 and not injector.faults["controller wiped"]:
                injector.wipe_controller()
            if injector.is_idle():
                injector.start("terminator.sweeps", "retry", "--root", str(injector.root)).wait()
        time.sleep(injector.random.uniform(0, 2))
        injector.inject()
    for shell in injector.living():
        shell.send_signal(signal.SIGINT)
        shell.wait()
    for _ in range(20):
        if len(looks(injector.root)) >= wanted and not injector.at_work():
            break
        injector.type_command().wait()
        injector.start("terminator.sweeps", "retry", "--root", str(injector.root)).wait()
        if injector.cluster is not None:
            injector.cluster.wait(injector.is_idle, 900)


def compare(injector: FaultInjector, reference: Path, title: str) -> list[str]:
    """Print the faults and what they changed. Returns what is wrong, a line each."""
    undisturbed = {run.key: run for run in Ledger(reference).runs() if run.result() is not None}
    runs = {run.key: run for run in Ledger(injector.root).runs()}
    lost = [key for key in undisturbed if key not in runs or runs[key].result() is None]
    same = [key for key in undisturbed if key not in lost and determined(runs[key]) == determined(undisturbed[key])]
    twice = [
        run.key
        for run in runs.values()
        if [each.end.outcome for each in run.attempts() if each.end is not None].count(RunState.done) > 1
    ]
    attempts = [attempt for run in runs.values() for attempt in run.attempts()]
    print(f"{title}: {len(undisturbed)} runs, {len(looks(reference))} looks, {injector.faults.total()} faults")
    for kind, count in injector.faults.most_common():
        print(f"    {count:4d}  {kind}")
    print(
        f"    {len(attempts)} attempts, {sum(each.resumed_from is not None for each in attempts)} resumed from a "
        f"checkpoint; {len(lost)} lost, {len(same)} bit-equal, looks equal: {looks(injector.root) == looks(reference)}"
    )
    wrong = [f"{title}: {key} was lost" for key in lost]
    wrong += [f"{title}: {key} has other numbers" for key in undisturbed.keys() - set(lost) - set(same)]
    wrong += [f"{title}: {key} was done twice" for key in twice]
    wrong += [] if looks(injector.root) == looks(reference) else [f"{title}: other looks"]
    if wrong:  # the small disk goes away
        shutil.copytree(injector.root, injector.hook / injector.root.name)
    return wrong


TUNED = """
one_at_a_time: {objective.label_smoothing: [0.0, 0.3]}
tune: optimizer.lr
tune_values: [0.001, 0.01]
tune_seeds: [1000]
looks: {looks}
shares: {shares}
"""
SCREENED = """
screen: {objective.label_smoothing: 0.0, optimizer.lr: 0.001}
seeds: [0, 1, 2]
"""


def words(folder: Path, seeds: Sequence[int], epochs: int) -> tuple[str, ...]:
    """The sweep's arguments: variants of a pointwise network, untuned and tuned, and a screen, at these looks.

    `folder`: where the files of the two ablations are written to.
    """
    (folder / "ablation").mkdir(parents=True)
    tuned = TUNED.replace("{looks}", str(list(seeds))).replace("{shares}", str([1 / len(seeds)] * len(seeds)))
    for name, text in (("tuned", tuned), ("screened", SCREENED)):
        (folder / "ablation" / f"{name}.yaml").write_text(text)
    return (
        "-m",
        "--config-dir",
        str(folder),
        "ablation=tuned,screened",
        "ablation.smallest_effect=0.0001",  # so that rows stay undecided, and all looks are made
        "model.channels=[12]",
        "model.previous_blocks=[[]]",
        *(f"model.branches.{name}=false" for name in ("si_glu", "gated", "interaction", "local")),
        *(f"model.branches.{name}=false" for name in ("global_gated", "global_mixed", "global_channel")),
        f"training.epochs={epochs}",
        "training.batch_size=128",
        "machine.device=cpu",
    )


def main() -> int:
    """Returns 1 where anything was lost or changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=60, help="on this machine, and as many on SLURM")
    parser.add_argument("--minutes", type=float, default=9, help="at most, each")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="storm-"))
    sweep = words(scratch / "configs", (3, 5, 8, 12), 60)
    run_undisturbed(scratch / "undisturbed", (*sweep, "sweep.workers=2"))
    chance = random.Random(arguments.seed)
    with small_disk(scratch / "here") as root:
        injector = FaultInjector(root, (*sweep, "sweep.workers=2"), kill_hook(scratch), chance)
        disturb(injector, scratch / "undisturbed", arguments.faults, arguments.minutes)
        wrong = compare(injector, scratch / "undisturbed", "on this machine")
    os.environ["SLURM_CONF"] = str(scratch / "slurm" / "slurm.conf")
    with running_cluster(scratch / "slurm", *LOSES_NODES_SOON) as cluster, small_disk(scratch / "there") as root:
        injector = FaultInjector(root, (*sweep, "cluster=dev"), kill_hook(scratch), chance, cluster)
        disturb(injector, scratch / "undisturbed", arguments.faults, arguments.minutes)
        wrong += compare(injector, scratch / "undisturbed", "on SLURM")
    print("\n".join(wrong) or "nothing lost, nothing changed")
    if wrong:
        print(f"kept: {scratch}")
    else:
        shutil.rmtree(scratch)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
