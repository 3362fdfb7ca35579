"""SLURM's own commands: what they answer, what they refuse, and patience while its controller is away."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import time

from terminator.errors import UserError

log = logging.getLogger(__name__)

# What the commands say when the controller, or the accounting's database, is not there.
AWAY = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Connection refused|Connection timed out|Zero Bytes were"
    r"|Transport endpoint|Unexpected message received|Slurm backup controller in standby|Protocol authentication error"
)
# What they say where no controller is configured, nor to be found in the network: asking again is of no use.
UNREACHABLE = re.compile(r"resolve_ctls_from_dns_srv|Could not establish a configuration source|failed to fetch config")
PATIENCE = 60.0  # seconds; each command already tries for about nine by itself
LONGEST_PAUSE = 16.0
# A controller that has just been started knows no node's GPUs until the node has reported.
UNSETTLED = "Requested node configuration is not available"
SETTLING = 8.0  # seconds


class SlurmRefusedError(UserError):
    """SLURM answered, and said no. `said`: its own words."""

    def __init__(self, command: str, said: str) -> None:
        super().__init__(f"{command}: {said}")
        self.said = said


class SlurmAwayError(UserError):
    """The controller did not answer, or (`nowhere`) there is none. `said`: the command's own words."""

    def __init__(self, command: str, said: str) -> None:
        self.nowhere = UNREACHABLE.search(said) is not None
        what = "no SLURM controller can be reached from here" if self.nowhere else "SLURM does not answer"
        super().__init__(f"{what} ({command}: {said})")
        self.said = said


def require(command: str) -> None:
    """Raise UserError unless this machine has the command."""
    if shutil.which(command) is None:
        raise UserError(f"no {command} on this machine: submit from a log-in node of the cluster")


def ask(*command: str, patience: float | None = None) -> str:
    """A command's output. While SLURM is away it is asked again, ever more slowly, for `patience` seconds.

    Only for commands that may be repeated. Raises SlurmAwayError and SlurmRefusedError.
    """
    patience = default_patience() if patience is None else patience
    pause, until, settled = 1.0, time.monotonic() + patience, None
    while True:
        try:
            return ask_once(*command)
        except SlurmAwayError as error:
            if error.nowhere:
                raise
            problem: UserError = error
        except SlurmRefusedError as error:
            if UNSETTLED not in error.said:
                raise
            settled = settled or time.monotonic() + min(patience, SETTLING)
            problem = error
        if time.monotonic() + pause > (settled or until):
            raise problem
        log.warning("%s; asking again", problem)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def ask_once(*command: str) -> str:
    """A command's output. Raises SlurmAwayError and SlurmRefusedError."""
    require(command[0])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return done.stdout
    raise failure(command[0], done.stderr or done.stdout)


def failure(command: str, stderr: str) -> SlurmAwayError | SlurmRefusedError:
    """The exception for what a command wrote before it failed."""
    lines = [re.sub(rf"^{command}: (error: )?", "", line.strip()) for line in stderr.splitlines() if line.strip()]
    said = "; ".join(dict.fromkeys(lines)) or "failed without a word"
    is_away = AWAY.search(said) or UNREACHABLE.search(said)
    return (SlurmAwayError if is_away else SlurmRefusedError)(command, said)


def default_patience() -> float:
    """Seconds to wait for SLURM's controller: TERMINATOR_SLURM_PATIENCE, else 60."""
    return float(os.environ.get("TERMINATOR_SLURM_PATIENCE", PATIENCE))
