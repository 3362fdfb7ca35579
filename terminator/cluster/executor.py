"""One array as sbatch takes it: its options, its batch script, and what happens before Python starts."""

from __future__ import annotations

import contextlib
import io
import shlex
import tempfile
from pathlib import Path

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError

from terminator.cluster.journal import Array
from terminator.cluster.profile import ClusterProfile
from terminator.cluster.slurm import SlurmRefusedError, ask, failure, require
from terminator.errors import UserError

UNSEEN = 66  # the exit code of a job whose node does not see the code (EX_NOINPUT)


class ArrayExecutor(SlurmExecutor):
    """Submits one array, whose tasks read their work from the array's folder.

    Submitit writes the batch script, calls sbatch and reads its answer. Its pickles are left out: they are renamed by
    the job's number after sbatch has returned, so a submitter killed in between would lose the whole array.
    """

    def __init__(self, array: Array, code: Path) -> None:
        require("sbatch")
        require("srun")
        super().__init__(array.folder, python=array.profile.python)
        self._command = f"{self.python} -u -m {array.entry} {shlex.quote(str(array.folder))}"
        folder = str(array.folder).replace("%", "%%")  # of which Submitit would make a pattern of SLURM's
        parameters = array.profile.sbatch_parameters(array.after)
        parameters["additional_parameters"] = {
            "output": f"{folder}/%A_%a_0_log.out",
            **parameters["additional_parameters"],
        }
        self.update_parameters(
            job_name=array.token,
            wckey=None,
            stderr_to_stdout=True,
            # The first task's exit ends all.
            srun_args=["--kill-on-bad-exit=1", "--output", f"{folder}/%A_%a_%t_log.out"],
            setup=_setup(array.profile, code),
            **parameters,
        )
        self.parameters["map_count"] = len(array.jobs)

    def submit_all(self) -> str:
        """SLURM's number for the array.

        Raises SlurmRefusedError; or SlurmAwayError, and then the array may have been accepted or not.
        """
        with contextlib.redirect_stderr(io.StringIO()):  # Submitit prints what it also raises
            try:
                return str(self._submit_command(self._command).job_id)
            except FailedJobError as error:
                raise failure("sbatch", str(error)) from error


def check(profile: ClusterProfile) -> None:
    """Ask SLURM whether it would take a job of this profile, without submitting one.

    Raises UserError with SLURM's own message where it would not, and where this machine has no sbatch.
    """
    require("sbatch")
    require("srun")
    with tempfile.TemporaryDirectory() as folder:
        executor = SlurmExecutor(folder)
        executor.update_parameters(wckey=None, **profile.sbatch_parameters())
        script = Path(folder) / "script.sh"
        script.write_text(executor._make_submission_file_text("true", ""), "utf-8")
        try:
            ask("sbatch", "--test-only", str(script))
        except SlurmRefusedError as error:
            raise UserError(f"cluster: SLURM refuses jobs of this profile: {error.answer}") from error


def check_root(root: Path) -> None:
    """Raise UserError where SLURM could not write a job's log under the root."""
    if any(character in str(root) for character in "\\\n"):
        rule = "must hold no backslash and no new line, which have a meaning of their own in what sbatch reads"
        raise UserError(f"root={str(root)!r}: {rule}")


# A command of the setup that fails ends the job; not one in a script that the setup sources, which may expect it.
BEFORE_SETUP = (
    """trap 'echo "cluster.setup: $BASH_COMMAND: exit code $?" >&2' EXIT""",
    """trap 'code=$?; [ ${#BASH_SOURCE[@]} -gt 1 ] || exit $code' ERR""",
)
AFTER_SETUP = ("trap - ERR", """case "$(trap -p EXIT)" in *cluster.setup:*) trap - EXIT ;; esac""")  # not a user's own


def _setup(profile: ClusterProfile, code: Path) -> list[str]:
    """The lines before srun. The current folder comes first on Python's path, so it has to be the snapshot."""
    folder = shlex.quote(str(code))
    return [
        *((*BEFORE_SETUP, *profile.setup, *AFTER_SETUP) if profile.setup else ()),
        f"cd {folder} || exit {UNSEEN}",
        f"export PYTHONPATH={folder}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]
