"""A cluster profile (slurm/cluster/*.yaml): what each job asks SLURM for, and how often it may come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from terminator.errors import UserError
from terminator.ledger import Sweep
from terminator.text import did_you_mean

AT_LEAST_ONE = (
    *("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "array_parallelism"),
    *("max_submit", "runs_per_gpu", "signal_delay_s"),
)
AT_LEAST_ZERO = ("gpus_per_node", "max_timeouts", "max_preemptions")
LONGEST_SIGNAL_DELAY = 120  # seconds; a checkpoint and a requeue take a few


@dataclass(frozen=True)
class ClusterProfile:
    """One job of a sweep. `None` leaves the choice to the cluster.

    `runs_per_gpu` runs share one job and its GPUs, side by side, by CUDA MPS where it works.
    `array_parallelism`: tasks of one array that may run at once.
    `max_submit`: jobs that you may have in the queue; the rest waits in the ledger. A job that is cut off by its time
    limit, or preempted, checkpoints and goes back to the queue, at most `max_timeouts` and `max_preemptions` times.
    `signal_delay_s`: seconds between that checkpoint and the limit; by default 120, or a quarter of a short limit.
    `setup`: lines of shell before the run starts; one that fails ends the job. `sbatch`: further options of sbatch, by
    their long names.
    `python`: the command that starts Python on a node; by default the interpreter of the submission.
    `look_job`: what the small job asks for that makes a look when its runs have ended, where not one core for half an
    hour and no GPU.
    `notify`: as `sweep.notify`, for all sweeps with this profile.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    timeout_min: int = 60
    nodes: int = 1
    tasks_per_node: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int | None = None
    memory_gb: float | None = None
    setup: list[str] = field(default_factory=list)
    array_parallelism: int = 256
    max_submit: int | None = None
    runs_per_gpu: int = 1
    max_timeouts: int = 100
    max_preemptions: int = 100
    signal_delay_s: int | None = None
    sbatch: dict[str, Any] = field(default_factory=dict)
    python: str | None = None
    look_job: dict[str, Any] = field(default_factory=dict)
    notify: str | None = None

    def __post_init__(self) -> None:
        for names, least in ((AT_LEAST_ONE, 1), (AT_LEAST_ZERO, 0)):
            for name in names:
                value = getattr(self, name)
                if value is not None and value < least:
                    raise UserError(f"cluster.{name}={value}: must be at least {least}")
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise UserError(f"cluster.memory_gb={self.memory_gb}: must be positive")
        if self.signal_delay() >= 60 * self.timeout_min:
            limit = f"cluster.timeout_min={self.timeout_min} is {60 * self.timeout_min} seconds"
            raise UserError(f"cluster.signal_delay_s={self.signal_delay_s}: must be less than the time limit; {limit}")

    def signal_delay(self) -> int:
        """Seconds before the time limit at which SLURM sends SIGUSR2."""
        return self.signal_delay_s or min(LONGEST_SIGNAL_DELAY, 15 * self.timeout_min)

    def of_look_job(self) -> ClusterProfile:
        """The profile of the job that makes a look. Raises UserError for a key that is none of a profile's."""
        small = {"nodes": 1, "tasks_per_node": 1, "gpus_per_node": 0, "cpus_per_task": 1, "timeout_min": 30}
        return self.with_resources({**small, "signal_delay_s": None, **self.look_job}, "look_job")

    def with_resources(self, resources: Mapping[str, Any], variant: str) -> ClusterProfile:
        """The profile with a variant's own `resources`. Raises UserError for a key that is none of a profile's."""
        known = [each.name for each in fields(self)]
        for key in resources:
            if key not in known:
                meant = did_you_mean(key, known)
                raise UserError(f"resources.{variant}.{key}: no such key; {meant}choose from {', '.join(known)}")
        return replace(self, **resources)

    def sbatch_parameters(self, after: Sequence[str] = ()) -> dict[str, Any]:
        """As Submitit's SlurmExecutor names them. `after`: jobs that must have ended, in whatever way, before."""
        dependency = {"dependency": f"afterany:{':'.join(after)}"} if after else {}
        parameters = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.timeout_min,
            "nodes": self.nodes,
            "ntasks_per_node": self.tasks_per_node,
            "cpus_per_task": self.cpus_per_task,
            "gpus_per_node": self.gpus_per_node or None,
            "mem": None if self.memory_gb is None else f"{round(self.memory_gb * 1024)}M",
            "array_parallelism": self.array_parallelism,
            "signal_delay_s": self.signal_delay(),
            "additional_parameters": {**self.sbatch, **dependency, "requeue": True},
        }
        return {name: value for name, value in parameters.items() if value is not None}


def profiles_of(sweep: Sweep, profile: ClusterProfile) -> dict[str, ClusterProfile]:
    """The profile of each run: its variant's resources on top of `profile`. Raises UserError for what does not fit."""
    cells = {cell.key: cell.variant for cell in reversed(list(sweep.cells()))}  # a shared run is its first variant's
    return {key: profile.with_resources(variant.resources, variant.name) for key, variant in cells.items()}
