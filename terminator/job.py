"""One attempt at one run, from its frozen specification to its result: `python -m terminator.job RUN_FOLDER`."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import platform
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from terminator.errors import FULL, Diverged, UserError, storage_errors
from terminator.ledger import (
    EXIT_CODES,
    EXIT_DIVERGED,
    EXIT_SUPERSEDED,
    Attempt,
    Job,
    Reason,
    Run,
    RunState,
    Superseded,
    digest,
)
from terminator.stop import Stopped, StopRequest

STORAGE = (*FULL, errno.EIO, errno.EROFS, errno.ESTALE)  # none of the run's doing


def execute(run: Run, job: Job | None = None, *, watched: bool = False) -> int:
    """Make one attempt at `run` in this process, record in the ledger how it ended, and return its exit code.

    Its output goes to the attempt's log.txt; `watched`: progress and failure go to standard error as well.
    SIGTERM and SIGUSR2 preempt it and SIGINT interrupts it at the next step; a second SIGINT stops it at once.
    Processes with `torchrun`'s variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) make one attempt together.
    """
    with StopRequest() as stop:
        if os.environ.get("RANK", "0") != "0":
            return _assist(run, stop)
        try:
            with storage_errors(run.folder.parents[1]):
                attempt = run.begin(job)
                with _output_to(attempt.folder / "log.txt") as outside:
                    return _try(
                        attempt,
                        stop,
                        outside if watched else None,
                        "the same command" if job is None else "a new attempt",
                    )
        except Superseded as superseded:
            print(superseded, file=sys.stderr)
            return EXIT_SUPERSEDED
        except UserError as error:  # and no room to record it
            print(error, file=sys.stderr)
            return EXIT_CODES[RunState.failed]


def _try(attempt: Attempt, stop: StopRequest, watcher: TextIO | None, successor: str) -> int:
    """`successor`: what goes on after a stop."""
    try:
        with storage_errors(attempt.run.folder.parents[1]):
            attempt.finish(_train(attempt, stop, watcher))
        return EXIT_CODES[RunState.done]
    except (Stopped, KeyboardInterrupt) as stopped:
        state = stopped.state if isinstance(stopped, Stopped) else RunState.interrupted
        _say(f"{state.value}: {successor} goes on from the checkpoint", watcher)
        attempt.stop(state)
        return EXIT_CODES[state]
    except Superseded:
        raise
    except Exception as error:
        _say(f"{error}" if isinstance(error, UserError) else traceback.format_exc(), watcher)
        if stop.state and not isinstance(error, (UserError, Diverged)):
            # The signal reached others too, a compiler or another process of this run, and this comes of their end.
            attempt.stop(stop.state, _one_line(error))
            return EXIT_CODES[stop.state]
        reason = _reason(error)
        attempt.fail(reason, _one_line(error), traceback.format_exc())
        return EXIT_DIVERGED if reason is Reason.diverged else EXIT_CODES[RunState.failed]


def _train(attempt: Attempt, stop: StopRequest, watcher: TextIO | None) -> dict[str, Any]:
    share_compiled(attempt.run)
    # PyTorch takes seconds to import: here, as the attempt has begun and signals are heeded.
    from terminator.training.loop import train

    return train(attempt.run, attempt, stop, watcher)


def _assist(run: Run, stop: StopRequest) -> int:
    """Train beside the process of rank 0, which makes the attempt."""
    share_compiled(run)
    from terminator.training.loop import train

    try:
        train(run, None, stop, None)
        return EXIT_CODES[RunState.done]
    except Stopped as stopped:
        return EXIT_CODES[stopped.state]
    except Exception as error:
        traceback.print_exc()
        return EXIT_DIVERGED if isinstance(error, Diverged) else EXIT_CODES[RunState.failed]


def share_compiled(run: Run) -> None:
    """Have `torch.compile` keep what it makes in ROOT/compile-cache, for later runs, unless the environment names
    another folder.

    Each kind of processor has a folder: C++ is compiled for the one at hand, which PyTorch's names of files don't tell.
    """
    if not run.spec().config["training"].get("compile"):
        return
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf-8").splitlines() if cpuinfo.exists() else [platform.processor()]
    features = {line for line in lines if line.startswith(("model name", "flags", "Features"))}
    folder = run.folder.parents[1].absolute() / "compile-cache" / digest({"processor": sorted(features) or lines})
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(folder))


def _reason(error: Exception) -> Reason:
    if isinstance(error, Diverged):
        return Reason.diverged
    origin = error.__cause__ or error  # of the line that `storage_errors` makes of it
    if isinstance(origin, OSError) and origin.errno in STORAGE:
        return Reason.storage
    out_of_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"  # a GPU's
    out_of_memory |= isinstance(error, RuntimeError) and "can't allocate memory" in str(error)  # behind a tensor
    return Reason.out_of_memory if out_of_memory else Reason.exception


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, (UserError, Diverged)) else f"{type(error).__name__}: {text}"


def _say(text: str, watcher: TextIO | None) -> None:
    for stream in (sys.stdout, watcher):
        if stream is not None:
            print(text.rstrip(), file=stream, flush=True)


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[TextIO]:
    """Send standard output and error, also of libraries below Python, to `path`. Yields the former standard error."""
    sys.stdout.flush()
    sys.stderr.flush()
    before = sys.stdout, sys.stderr
    descriptors = os.dup(1), os.dup(2)
    with open(path, "a", buffering=1, encoding="utf-8") as log, os.fdopen(os.dup(2), "w", encoding="utf-8") as outside:
        try:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.stdout = sys.stderr = log
            yield outside
        finally:
            sys.stdout, sys.stderr = before
            for number, descriptor in zip((1, 2), descriptors, strict=True):
                os.dup2(descriptor, number)
                os.close(descriptor)


def main() -> None:
    """The entry point; exits with `execute`'s code, or 2 where there is no such run."""
    parser = argparse.ArgumentParser(prog="python -m terminator.job", description="Make one attempt at a frozen run.")
    parser.add_argument("run_folder", type=Path, help="ROOT/runs/KEY, with its spec.json")
    parser.add_argument(
        "--attempt-job", type=json.loads, metavar="JSON", help="the scheduler's job: scheduler, id, node"
    )
    arguments = parser.parse_args()
    run = Run(arguments.run_folder)
    try:
        run.spec()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    job = Job(**arguments.attempt_job) if arguments.attempt_job else None
    sys.exit(execute(run, job, watched=True))


if __name__ == "__main__":
    main()
